"""Sums of gradients that are the same to the last bit in whatever groups they are added up.

Each term is rounded once, by itself, to a whole number of ``UNIT``; whole numbers add up in int64
without rounding, so it does not matter who adds which of them first. (Sums of floats would have
to be taken in one order, which a step's pieces on several workers do not have. Where int64
overflows, it does so for every grouping alike.)

    q_i = round(w_i g_i / UNIT),    sum_i w_i g_i = UNIT sum_i q_i,    off by UNIT / 2 a term

What UNIT leaves out lies below the float32 rounding of every g >= 2^-20, and below Adam's epsilon
of 1e-8 by five digits. Before it is weighed, a term is cut to plus or minus ``LIMIT``: weights of a
path add up to 1, so fewer than 128 paths fit into int64 whatever their gradients are. A term that
is not finite makes the whole sum NaN, as it would make a sum of floats.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

UNIT = 2.0**-44
LIMIT = 2.0**12


@dataclass(frozen=True)
class ExactSum:
    """A weighted sum of vectors as it travels.

    Attributes:
        units: How many of UNIT each number is, int64; empty where there is nothing to add up.
        is_finite: Whether all terms were finite; if not, the units mean nothing.
    """

    units: npt.NDArray[np.int64]
    is_finite: bool = True

    def plus_(self, other: "ExactSum") -> "ExactSum":
        """Return the sum of both, in the memory of this one where that can be written."""
        units = np.require(self.units, requirements="W")
        units += other.units
        return ExactSum(units, self.is_finite and other.is_finite)

    def to_floats(self, part: slice = slice(None)) -> npt.NDArray[np.float64]:
        """Return the sum, or a part of it; NaN everywhere if a term was not finite."""
        return np.multiply(self.units[part], UNIT if self.is_finite else np.nan, dtype=np.float64)


class ExactAdder:
    """Adds up weighted vectors on a device; nothing leaves it before the sum is taken."""

    def __init__(self, size: int, device: torch.device) -> None:
        """Start at zero."""
        self._units = torch.zeros(size, dtype=torch.int64, device=device)
        self._whole = torch.empty_like(self._units)  # kept, for fresh memory takes as long as sums
        self._terms = torch.empty(size, dtype=torch.float64, device=device)
        self._check = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, values: torch.Tensor, weight: float) -> None:
        """Add a float32 vector times a weight in [0, 1]."""
        terms = self._terms.copy_(values)
        self._check += terms.sum()  # finite as long as all terms are: float32 cannot overflow it
        # q = round(w g / UNIT); a power of two changes no digit
        terms.clamp_(-LIMIT, LIMIT).mul_(weight / UNIT).round_()
        self._units += self._whole.copy_(terms)

    def take(self) -> ExactSum:
        """Wait for the device, return what was added up, and start at zero again."""
        units, is_finite = self._units.to("cpu", copy=True).numpy(), math.isfinite(self._check)
        self._units.zero_()
        self._check.zero_()
        return ExactSum(units, is_finite)
