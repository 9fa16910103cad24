"""Axes: where a value lies on a line of pixels, and which values are marked along it.

Ticks are multiples of 1, 2, 2.5 or 5 times a power of ten (Heckbert, Graphics Gems 1990).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A range of values.

    Attributes:
        label: What is measured, with its unit.
        low: The least value.
        high: The greatest.
        show: How a value is written at a tick; plainly where it is None.
        is_log: Whether equal distances are equal ratios.
        is_whole: Whether only whole numbers are marked.
        names: Values to mark and their texts, where the values are no quantities.
    """

    label: str
    low: float
    high: float
    show: Callable[[float], str] | None = None
    is_log: bool = False
    is_whole: bool = False
    names: tuple[tuple[float, str], ...] = ()

    def places(self, values: Iterable[Any], start: float, end: float) -> Array:
        """Return where values lie between two pixels."""
        points = np.asarray(list(values), dtype=np.float64)
        low, high = self.low, self.high
        if self.is_log:
            points, low, high = np.log10(points), math.log10(low), math.log10(high)
        return start + (points - low) / (high - low) * (end - start)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return values to mark, and their texts.

        Args:
            most: About how many there is room for.
        """
        if self.names:
            return list(self.names)
        values = self._ratios(most) if self.is_log else []
        if len(values) < 2:
            values = self._multiples(most)
        plain = _plain(values)
        return [(value, (self.show or plain)(value)) for value in values]

    def _multiples(self, most: int) -> list[float]:
        raw = (self.high - self.low) / max(most, 1)
        power = 10.0 ** math.floor(math.log10(raw))
        factors = (1, 2, 5, 10) if self.is_whole else (1, 2, 2.5, 5, 10)
        step = next(power * factor for factor in factors if power * factor >= raw * (1 - 1e-9))
        step = max(1.0, round(step)) if self.is_whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]

    def _ratios(self, most: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for factors in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
            values = [factor * 10.0**power for power in decades for factor in factors]
            inside = [value for value in values if self.low <= value <= self.high]
            if found and len(inside) > most:
                break
            found = inside
        return found


def spanning(values: Iterable[Any], label: str, margin: float = 0.06, **how: object) -> Axis:
    """Return the axis on which all values have room.

    Args:
        values: Those that are not finite are left out; none give 0 to 1.
        label: Of the axis.
        margin: Room at each end, as a share of the range.
        how: Further attributes of the axis.
    """
    points = np.asarray(list(values), dtype=np.float64)
    points = points[np.isfinite(points)]
    if how.get("is_log"):
        points = np.log10(points[points > 0])
    low, high = (float(points.min()), float(points.max())) if len(points) else (0.0, 1.0)
    spread = (high - low) or abs(high) or 1.0
    low, high = low - margin * spread, high + margin * spread
    if how.get("is_log"):
        low, high = 10**low, 10**high
    return Axis(label, low, high, **how)  # type: ignore[arg-type]  # attributes by their names


def _plain(values: list[float]) -> Callable[[float], str]:
    """Return what writes all values with as many decimals as the one that needs most."""
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return "{:.3g}".format
    decimals = max((len(f"{value:.6g}".partition(".")[2]) for value in values), default=0)
    return f"{{:,.{min(decimals, 6)}f}}".format
