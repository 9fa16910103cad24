"""Scales on which the effects of candidates on accuracy may add up: powers of the error.

Source: Box, Cox 1964, An Analysis of Transformations. Accuracies near the ceiling keep their
differences on all of them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

POWERS = (0, -1, -2)  # of the error: 0 is its logarithm, -1 images per mistake
SCALES = (0.35, 0.7, 1.4, 2.8, 5.6)  # s, in standard deviations of y
_FLOOR = 1e-3  # an error below this counts as this
_TINY = 1e-9


@dataclass(frozen=True)
class Targets:
    """Accuracies on Q scales, each a power and a spread.

    Attributes:
        y: N x Q; differences from the level's mean, over what one unit of a score makes out.
        constants: Q; logarithms of the scales' Jacobians, by which their evidences compare.
        powers: Q.
        units: Q; what one unit of y is.
        centres: R x Q; means of the levels.
    """

    y: Array
    constants: Array
    powers: tuple[int, ...]
    units: Array
    centres: Array

    def accuracies(self, y: Array, level: int) -> Array:
        """Return the accuracies of values (Q x M) on these scales, in [0, 1]."""
        values = y * self.units[:, None] + self.centres[level][:, None]
        errors = [_error(row, power) for row, power in zip(values, self.powers, strict=True)]
        found: Array = 1 - np.array(errors)
        return found


def on_scales(accuracies: Array, levels: Array) -> Targets | None:
    """Return accuracies on all scales, or None where they tell nothing apart.

    Args:
        accuracies: N, in [0, 1].
        levels: N x R; which ones are of the same kind and may be compared.
    """
    errors = np.maximum(1 - accuracies, _FLOOR)
    counts = levels.sum(axis=0)
    free = len(errors) - len(counts)  # each level's mean takes a degree of freedom
    kept = 1 - levels @ (1 / counts)  # so a lone observation says nothing at all
    ys, constants, units, centres, powers = [], [], [], [], []
    for power in POWERS:
        raw = -np.log(errors) if power == 0 else errors**power
        centre = levels.T @ raw / counts
        y = raw - levels @ centre
        spread = float(np.sqrt((y**2).sum() / max(free, 1)))
        if not spread > _TINY:
            return None
        # log |dy/d error|, as y = -log error or error^p, up to what all scales share
        jacobian = (power - 1) * float(kept @ np.log(errors)) + free * np.log(abs(power or 1))
        for scale in SCALES:
            ys.append(y / (scale * spread))
            units.append(scale * spread)
            centres.append(centre)
            powers.append(power)
            constants.append(jacobian - free * np.log(scale * spread))
    return Targets(
        np.array(ys).T, np.array(constants), tuple(powers), np.array(units), np.array(centres).T
    )


def _error(y: Array, power: int) -> Array:
    """Return the error of values on a scale, in [0, 1]."""
    if power == 0:
        logarithmic: Array = np.exp(-np.maximum(y, 0.0))
        return logarithmic
    error: Array = np.maximum(y, 1.0) ** (1 / power)  # at an error of 1, y is 1
    return error
