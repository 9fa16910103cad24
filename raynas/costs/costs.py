"""What architectures cost, as a table that is additive over layers."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, get_args

from raynas.errors import UserError

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}
_TOO_LARGE = 2**63  # for a table of whole numbers

Kind = Literal["macs", "params", "latency"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WORDS: dict[Kind, str] = {"macs": "MACs", "params": "parameters", "latency": "latency"}
Rows = tuple[tuple[int, ...], ...]
"""Of one kind of cost, ``rows[layer][candidate]``."""


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        macs: Multiply-adds of one image (papers call them FLOPs).
        params: The number of parameters.
        latency: Nanoseconds, whole, so that sums and limits are exact; None: nobody measured.
    """

    macs: int
    params: int
    latency: int | None = None

    @property
    def latency_ms(self) -> float | None:
        """The latency in milliseconds, as tables hold it."""
        return None if self.latency is None else self.latency / 1e6

    def of(self, kind: Kind) -> int:
        """Return one kind of it; a latency must be known."""
        if kind == "latency":
            assert self.latency is not None, "a latency without a table of latencies"
            return self.latency
        return self.macs if kind == "macs" else self.params

    @property
    def columns(self) -> dict[str, float | None]:
        """The cost as tables hold it, by the names of their columns."""
        return {"macs": self.macs, "params": self.params, "latency_ms": self.latency_ms}


@dataclass(frozen=True)
class Limits:
    """What an architecture may cost at most and must cost at least; None is no limit."""

    max_macs: int | None = None
    max_params: int | None = None
    max_latency: int | None = None  # nanoseconds
    min_macs: int | None = None
    min_params: int | None = None

    @property
    def most(self) -> dict[Kind, int]:
        """The upper limits that there are."""
        limits: tuple[tuple[Kind, int | None], ...] = (
            ("macs", self.max_macs),
            ("params", self.max_params),
            ("latency", self.max_latency),
        )
        return {kind: limit for kind, limit in limits if limit is not None}

    @property
    def least(self) -> dict[Kind, int]:
        """The lower limits that there are; a latency has none."""
        limits: tuple[tuple[Kind, int | None], ...] = (
            ("macs", self.min_macs),
            ("params", self.min_params),
        )
        return {kind: limit for kind, limit in limits if limit is not None}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of cost that are limited."""
        return tuple(kind for kind in KINDS if kind in self.most or kind in self.least)

    def allow(self, cost: Cost) -> bool:
        """Return whether a cost keeps all limits."""
        return all(cost.of(kind) <= limit for kind, limit in self.most.items()) and all(
            cost.of(kind) >= limit for kind, limit in self.least.items()
        )

    def within(self, kind: Kind, most: int) -> "Limits":
        """Return these limits and one more; of two of a kind the lower one holds."""
        limit = min(most, self.most.get(kind, most))
        if kind == "latency":
            return replace(self, max_latency=limit)
        return replace(self, max_macs=limit) if kind == "macs" else replace(self, max_params=limit)

    def only(self, kinds: Iterable[Kind]) -> "Limits":
        """Return the limits of some kinds of cost."""
        wanted = set(kinds)
        most = {kind: limit for kind, limit in self.most.items() if kind in wanted}
        least = {kind: limit for kind, limit in self.least.items() if kind in wanted}
        return Limits(
            most.get("macs"),
            most.get("params"),
            most.get("latency"),
            least.get("macs"),
            least.get("params"),
        )

    @property
    def words(self) -> list[str]:
        """What each kind of cost may be, such as 300M to 330M MACs."""
        return [self._words(kind) for kind in self.kinds]

    def _words(self, kind: Kind) -> str:
        least, most = self.least.get(kind), self.most.get(kind)
        if most is None:
            assert least is not None, "it is limited"
            return f"at least {show_amount(kind, least)}"
        if least is None:
            return f"at most {show_amount(kind, most)}"
        return f"{show_limit(kind, least)} to {show_amount(kind, most)}"


@dataclass(frozen=True)
class CostTable:
    """Costs per layer and candidate, and of the fixed parts (stem, head).

    Attributes:
        macs: ``macs[layer][candidate]``.
        params: ``params[layer][candidate]``.
        fixed: What stem and head cost.
        latency: ``latency[layer][candidate]``; None: nobody measured.
    """

    macs: Rows
    params: Rows
    fixed: Cost
    latency: Rows | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of cost that are known."""
        return KINDS if self.latency is not None else ("macs", "params")

    def rows(self, kind: Kind) -> Rows:
        """Return one kind of cost; a latency must be known."""
        if kind == "latency":
            assert self.latency is not None, "a latency without a table of latencies"
            return self.latency
        return self.macs if kind == "macs" else self.params

    def only(self, kept: Sequence[Iterable[int]]) -> "CostTable":
        """Return the costs of some candidates of each layer, in that order."""

        def picked(rows: Rows) -> Rows:
            return tuple(tuple(row[i] for i in of) for row, of in zip(rows, kept, strict=True))

        latency = None if self.latency is None else picked(self.latency)
        return CostTable(picked(self.macs), picked(self.params), self.fixed, latency)

    def of(self, architecture: Iterable[int]) -> Cost:
        """Return the cost of one architecture."""
        choices = tuple(architecture)
        return self._each(lambda rows: sum(row[i] for row, i in zip(rows, choices, strict=True)))

    @property
    def smallest(self) -> Cost:
        """The least of each kind; one architecture need not have them all."""
        return self._each(lambda rows: sum(map(min, rows)))

    @property
    def largest(self) -> Cost:
        """The most of each kind."""
        return self._each(lambda rows: sum(map(max, rows)))

    def _each(self, total: Callable[[Rows], int]) -> Cost:
        """Return the fixed part and the layers' total, kind by kind."""
        return Cost(**{kind: self.fixed.of(kind) + total(self.rows(kind)) for kind in self.kinds})


def show_amount(kind: Kind, amount: int) -> str:
    """Return 330M MACs, 3.4M parameters, or 12.5ms."""
    return show_duration(amount) if kind == "latency" else f"{show_quantity(amount)} {WORDS[kind]}"


def show_limit(kind: Kind, amount: int) -> str:
    """Return an amount as its flag takes it, such as 330M or 12.5ms."""
    return show_duration(amount) if kind == "latency" else show_quantity(amount)


def parse_duration(text: str) -> int:
    """Read ``12ms``, ``0.5s``, ``800us`` or ``90000ns`` as whole nanoseconds.

    Raises:
        UserError: Not a positive duration with a unit.
    """
    found = re.fullmatch(r"\s*([0-9.eE+_-]+?)\s*(s|ms|us|µs|ns)\s*", text)
    value = _whole(found[1], _NANOSECONDS[found[2]]) if found else 0
    if not value:
        raise UserError(
            f"duration {text!r}: wanted a positive number and its unit, such as 12ms, 0.5s or 800us"
        )
    return value


def _whole(text: str, scale: int) -> int:
    """Return a number times a scale, whole; 0 for what is none, not positive, or too large."""
    try:
        exact = Decimal(text) * scale
        return round(exact) if 0 < exact < _TOO_LARGE else 0
    except ArithmeticError:
        return 0


def show_duration(nanoseconds: int) -> str:
    """Return ``12.5ms`` for 12,500,000, with three decimals at most."""
    for unit in ("s", "ms", "us"):
        if nanoseconds >= _NANOSECONDS[unit]:
            return f"{nanoseconds / _NANOSECONDS[unit]:.3f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"


def parse_quantity(text: str) -> int:
    """Read ``330M``, ``3.5M``, ``47_000`` or ``1e6`` as a whole number.

    Raises:
        UserError: Not a positive quantity.
    """
    scale = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text.strip()[-1:].upper(), 1)
    digits = text.strip()[:-1] if scale > 1 else text.strip()
    value = _whole(digits, scale)
    if not value:
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
