"""First-order importance of candidates, gathered from the gradients of their training.

Source: Molchanov et al. 2019, Importance Estimation for Neural Network Pruning: the loss changes
by |theta dL/dtheta| to first order if theta is removed. The gradient of
a batch norm's parameter is a sum over the H W positions of a feature map, whose signs are
random: it understates them by sqrt(H W), which F7 makes good (tests/bench/README.md).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raynas.spaces.parameter_layout import Segment

Array = npt.NDArray[np.float64]


class Importance:
    """Sums over updates, L x max(sizes), of what a candidate's batch norms weigh.

    Attributes:
        taylor: Of |gamma dL/dgamma| over all channels (F6).
        saliency: Of sqrt(H W) (|gamma dL/dgamma| + |beta dL/dbeta|) over all channels (F7).
    """

    def __init__(self, segments: Sequence[Segment], shape: tuple[int, ...]) -> None:
        """Start at zero; ``segments`` say what each number of the vector is."""
        self.taylor = np.zeros(shape)
        self.saliency = np.zeros(shape)
        sizes = [part.stop - part.start for part in segments]
        scales = [float(part.role == "gamma") for part in segments]
        sides = [
            part.positions**0.5 if part.role in {"gamma", "beta"} else 0.0 for part in segments
        ]
        self._scales = np.repeat(scales, sizes)
        self._sides = np.repeat(sides, sizes)

    def add(self, unit: Segment, changes: Array) -> None:
        """Add the changes theta dL/dtheta of all numbers of a candidate."""
        cell, span = (unit.layer, unit.candidate), slice(unit.start, unit.stop)
        size = np.abs(changes)
        self.taylor[cell] += _summed(self._scales[span] * size)
        self.saliency[cell] += _summed(self._sides[span] * size)

    def means(self, updates: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Return both per update; NaN for a candidate that had none, or where no norm learns."""
        if not self._sides.any():
            nothing = np.full(updates.shape, np.nan)
            return nothing, nothing
        with np.errstate(invalid="ignore"):
            taylor, saliency = (
                np.where(updates > 0, sums / updates, np.nan)
                for sums in (self.taylor, self.saliency)
            )
        return taylor, saliency


def _summed(values: Array) -> float:
    """Return the sum, taken one number after another."""
    total: float = np.cumsum(values)[-1]
    return total
