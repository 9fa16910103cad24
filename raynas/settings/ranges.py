"""What a setting that is a number may be; it stands beside the setting, in its annotation."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from raynas.errors import UserError

GPU_PARTS = 10_000
"""Parts into which Ray cuts a GPU that several share."""


class Rule(Protocol):
    """What the values of a setting must satisfy."""

    def refuse(self, flag: str, value: float) -> None:
        """Raise a UserError that names the flag, what it is and what it must be."""


@dataclass(frozen=True)
class Interval:
    """Where a number lies, as a person writes it.

    Attributes:
        text: Such as ``[1, inf)``, ``(0, 1]`` or ``[0, 2^63)``.
    """

    text: str

    def refuse(self, flag: str, value: float) -> None:
        """Refuse a number outside, as NaN always is.

        Raises:
            UserError: Names the flag, what it is and what it must be.
        """
        if value not in self:
            raise UserError(f"--{flag}: got {value}, wanted {self._words()}")

    def __contains__(self, value: float) -> bool:
        """Return whether a number lies inside."""
        low, high = map(_number, self._ends())
        above = value > low or (value == low and self.text[0] == "[")
        below = value < high or (value == high and self.text[-1] == "]")
        return above and below

    def _ends(self) -> list[str]:
        return self.text[1:-1].split(", ")

    def _words(self) -> str:
        low, high = self._ends()
        if low == "-inf":
            return "a finite number" if high == "inf" else f"less than {high}"
        if high != "inf":
            return f"a number in {self.text}"
        return f"at least {low}" if self.text[0] == "[" else f"more than {low}"


SEEDS = Interval("[0, 2^63)")
"""Where seeds lie: tables hold whole numbers of 64 bits."""


@dataclass(frozen=True)
class GpuShare:
    """A number of GPUs that Ray can give: whole ones, or a share of one that is not too small."""

    def refuse(self, flag: str, value: float) -> None:
        """Refuse several GPUs of which one is cut, and less than a part of one.

        Raises:
            UserError: Names the flag, what it is and what it must be.
        """
        if value > 1 and value != int(value):
            raise UserError(
                f"--{flag} {value:g}: wanted a whole number, or a share of one GPU; use "
                f"{int(value)} or {int(value) + 1}"
            )
        if 0 < value < 1 / GPU_PARTS:
            raise UserError(
                f"--{flag} {value:g}: wanted 0 or at least {1 / GPU_PARTS:g}, the least share of a "
                "GPU that Ray gives"
            )


def refuse_out_of_range(settings: Any, prefix: str = "") -> None:
    """Refuse numbers that break a rule in their field's annotation; None breaks none.

    Args:
        settings: A dataclass of settings, perhaps with others in it.
        prefix: What the flags of its fields begin with, such as ``retrain.``

    Raises:
        UserError: Names the flag, what it is and what it must be.
    """
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        flag = f"{prefix}{item.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            refuse_out_of_range(value, f"{flag}.")
        elif value is not None:
            for rule in rules_of(item.type):
                rule.refuse(flag, value)


def rules_of(kind: Any) -> Iterator[Rule]:
    """Yield the rules in a field's annotation, such as ``Annotated[int, Interval(...)] | None``."""
    yield from (each for each in getattr(kind, "__metadata__", ()) if hasattr(each, "refuse"))
    if not hasattr(kind, "__metadata__"):
        for inner in get_args(kind):
            yield from rules_of(inner)


def _number(text: str) -> float:
    """Return the number that a text such as inf, 0.5 or 2^63 stands for."""
    base, _, power = text.partition("^")
    return float(base) ** int(power or 1)
