"""What architectures cost, as a table that is additive over layers (``ALGORITHMS`` section 4)."""

from collections.abc import Iterable
from dataclasses import dataclass

from raynas.errors import UserError


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one image (papers call them FLOPs) and the number of parameters."""

    macs: int
    params: int


@dataclass(frozen=True)
class Limits:
    """Upper limits of what an architecture may cost; None is no limit."""

    max_macs: int | None = None
    max_params: int | None = None

    def allow(self, cost: Cost) -> bool:
        """Return whether a cost keeps both limits."""
        return (self.max_macs is None or cost.macs <= self.max_macs) and (
            self.max_params is None or cost.params <= self.max_params
        )


@dataclass(frozen=True)
class CostTable:
    """Costs per layer and candidate, and of the fixed parts (stem, head).

    Attributes:
        macs: ``macs[layer][candidate]``.
        params: ``params[layer][candidate]``.
        fixed: What stem and head cost.
    """

    macs: tuple[tuple[int, ...], ...]
    params: tuple[tuple[int, ...], ...]
    fixed: Cost

    def of(self, architecture: Iterable[int]) -> Cost:
        """Return the cost of one architecture."""
        choices = tuple(architecture)
        return Cost(
            self.fixed.macs + sum(row[i] for row, i in zip(self.macs, choices, strict=True)),
            self.fixed.params + sum(row[i] for row, i in zip(self.params, choices, strict=True)),
        )

    @property
    def smallest(self) -> Cost:
        """The least MACs and the least parameters; one architecture need not have both."""
        return Cost(
            self.fixed.macs + sum(map(min, self.macs)),
            self.fixed.params + sum(map(min, self.params)),
        )

    @property
    def largest(self) -> Cost:
        """The most MACs and the most parameters."""
        return Cost(
            self.fixed.macs + sum(map(max, self.macs)),
            self.fixed.params + sum(map(max, self.params)),
        )


def parse_quantity(text: str) -> int:
    """Read ``330M``, ``3.5M``, ``47_000`` or ``1e6`` as a whole number.

    Raises:
        UserError: Not a positive quantity.
    """
    scale = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text.strip()[-1:].upper(), 1)
    digits = text.strip()[:-1] if scale > 1 else text.strip()
    try:
        value = round(float(digits) * scale)
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise UserError(f"quantity {text!r}: wanted a positive number such as 330M, 47k or 1.5G")
    return value


def show_quantity(value: int) -> str:
    """Return ``330M`` for 330,000,000, with three decimals at most."""
    for scale, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= scale:
            return f"{value / scale:.3f}".rstrip("0").rstrip(".") + letter
    return str(value)


def show_seconds(seconds: float) -> str:
    """Return a time in the unit of its size, such as 2.5 min."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def show_bytes(count: float) -> str:
    """Return a number of bytes in the unit of its size, such as 3.0 MiB."""
    for size, unit in ((2**30, "GiB"), (2**20, "MiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"
