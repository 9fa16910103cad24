"""What candidates have, as shares of their stage: no scale of a layer decides between stages.

A stage is what lies between two reductions. Importance falls by orders of magnitude from the first
stage to the last one, so a plain sum is a score of the first layers. Here every stage counts by
what a choice in it can change, and more of the same counts less and less:

    f[l][i] = g((x[l][i] + sum over the stage's other layers of mu) / M) / (g(1) - g(m / M)),
    g(u) = log(0.1 + u),   M = sum over the stage's layers of max x,   m = sum of min x,

mu is the mean of a layer's x. Rows are centred, and sums over layers scaled to a variance of 1 over
architectures drawn uniformly. Multiplying a stage's x by a constant changes nothing.
"""

from collections.abc import Sequence

import numpy as np

from raynas.search.formulas import Array

_START = 0.1  # what makes a share of 0 finite
_TINY = 1e-12


def balanced(x: Sequence[Array], stages: Sequence[int]) -> list[Array]:
    """Return what each candidate adds to a score, of unit variance over the space.

    Args:
        x: ``x[l][i]``, what candidate i of layer l has, at least 0; NaN where that is not known.
        stages: The stage of each layer.

    Returns:
        The table; NaN where x is, and 0 in stages without a choice.
    """
    numbers = np.array(stages)
    table: list[Array] = [np.zeros(0)] * len(x)
    for stage in np.unique(numbers):
        layers = np.flatnonzero(numbers == stage).tolist()
        for layer, row in zip(layers, _shares([x[each] for each in layers]), strict=True):
            table[layer] = row
    return scaled(centred(table))


def centred(table: Sequence[Array]) -> list[Array]:
    """Return a table whose rows have a mean of 0; what is not known stays so."""
    return [row - row[np.isfinite(row)].mean() if np.isfinite(row).any() else row for row in table]


def scaled(table: Sequence[Array]) -> list[Array]:
    """Return a table whose sums have a variance of 1 over architectures drawn uniformly.

    Layers are independent, so their variances add up. A table without variance stays as it is.
    """
    known = [row[np.isfinite(row)] for row in table]
    variance = sum(float(row.var()) for row in known if row.size)
    return [row / np.sqrt(variance) if variance > _TINY else row for row in table]


def _shares(rows: Sequence[Array]) -> list[Array]:
    """Return f of one stage's layers, up to a constant of each."""
    known = [row[np.isfinite(row)] for row in rows]
    most, least, means = (
        np.array([float(of(row)) if row.size else 0.0 for row in known])
        for of in (np.max, np.min, np.mean)
    )
    whole = float(most.sum())
    if whole - float(least.sum()) <= _TINY * max(whole, 1.0):
        return [row * 0 for row in rows]
    height = _log(1.0) - _log(float(least.sum()) / whole)
    found = []
    for row, mean in zip(rows, means, strict=True):
        found.append(_log((row + means.sum() - mean) / whole) / height)
    return found


def _log(share: Array | float) -> Array:
    """Return g, the logarithm of a share."""
    logs: Array = np.log(_START + np.asarray(share))
    return logs
