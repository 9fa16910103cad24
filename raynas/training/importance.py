"""First-order importance of candidates, gathered from the gradients of their training.

Source: Molchanov et al. 2019, Importance Estimation for Neural Network Pruning: the loss changes
by |theta dL/dtheta| to first order if theta is removed. The gradient of
a batch norm's parameter is a sum over the H W positions of a feature map, whose signs are
random: it understates them by sqrt(H W), which F7 makes good (tests/bench/README.md).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raynas.spaces.parameter_layout import Segment, owners

Array = npt.NDArray[np.float64]


class Importance:
    """Sums over updates, L x max(sizes), of what a candidate's batch norms weigh.

    Attributes:
        taylor: Of |gamma dL/dgamma| over all channels (F6).
        saliency: Of sqrt(H W) (|gamma dL/dgamma| + |beta dL/dbeta|) over all channels (F7).
    """

    def __init__(self, segments: Sequence[Segment], shape: tuple[int, ...]) -> None:
        """Start at zero; ``segments`` say whose each number of the vector is."""
        self.taylor = np.zeros(shape)
        self.saliency = np.zeros(shape)
        self._scales = owners(segments, shape, {"gamma"})
        self._norms = owners(segments, shape, {"gamma", "beta"})
        sizes = [part.stop - part.start for part in segments]
        self._sides = np.repeat([part.positions**0.5 for part in segments], sizes)

    def add(self, indices: npt.NDArray[np.int64], changes: Array) -> None:
        """Add the changes theta dL/dtheta of a path.

        Args:
            indices: Which numbers of the vector they are of, in order.
            changes: One for each.
        """
        size = np.abs(changes)
        self.taylor += self._summed(self._scales[indices], size)
        self.saliency += self._summed(self._norms[indices], self._sides[indices] * size)

    def _summed(self, cells: npt.NDArray[np.int64], values: Array) -> Array:
        count = self.taylor.size
        sums = np.bincount(cells, weights=values, minlength=count + 1)
        return sums[:count].reshape(self.taylor.shape).astype(np.float64)

    def means(self, updates: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Return both per update; NaN for a candidate that had none."""
        with np.errstate(invalid="ignore"):
            taylor, saliency = (
                np.where(updates > 0, sums / updates, np.nan)
                for sums in (self.taylor, self.saliency)
            )
        return taylor, saliency
