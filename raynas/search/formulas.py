"""The formulas of the scores F0 to F7: what the candidates of one layer add to a score.

``.docs/pages/method.md``, Scores, has the table. Symbols: c is the block indicator of each
candidate, g the layer indicator, w the layer's weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True)
class Layer:
    """What the batch norms say of a layer.

    Attributes:
        c: The block indicator of each candidate; NaN where there is none, as of an identity.
        g: The layer indicator, clamped; NaN where there is none.
        w: The weight of the layer, 1 where there is no g.
        identity: The index of the identity candidate, or None.
        taylor: First-order importance of scales.
        saliency: The same of scales and shifts, weighted by positions.
        identity_weight: lambda of F5.
    """

    c: Array
    g: float
    w: float
    identity: int | None
    taylor: Array
    saliency: Array
    identity_weight: float

    @cached_property
    def mean(self) -> float:
        """Mean of c over the candidates."""
        return float(np.nanmean(self.c))

    @cached_property
    def spread(self) -> float:
        """Standard deviation of c over the candidates, above 0."""
        return max(float(np.nanstd(self.c)), _TINY)

    @property
    def reference(self) -> float:
        """g, or the mean of c in a layer without one."""
        return self.g if np.isfinite(self.g) else self.mean

    def others(self) -> tuple[float, float]:
        """Return mean and standard deviation of c without the identity."""
        rest = self.c if self.identity is None else np.delete(self.c, self.identity)
        return float(np.nanmean(rest)), max(float(np.nanstd(rest)), _TINY)

    def row(self, blocks: Array, identity: float) -> Array:
        """Return what blocks add, and what a chosen identity adds."""
        if self.identity is not None:
            blocks[self.identity] = identity
        return blocks


def bnnas(layer: Layer) -> Array:
    """Return F0 = c; BN-NAS (arXiv 2108.07375)."""
    return layer.row(layer.c.copy(), 0.0)


def identity_ratio(layer: Layer) -> Array:
    """Return F1 = c / g, or c over its mean in a reduction layer; an identity adds g / g."""
    return layer.row(layer.c / layer.reference, 1.0)


def layer_weighted(layer: Layer) -> Array:
    """Return F2 = w c / mean of c."""
    mean, _ = layer.others()
    return layer.row(layer.w * layer.c / layer.mean, layer.w * layer.g / mean)


def log_ratio(layer: Layer) -> Array:
    """Return F3 = log(c / g); an identity adds log(g / g)."""
    return layer.row(np.log(layer.c / layer.reference), 0.0)


def zscore(layer: Layer) -> Array:
    """Return F4 = w (c - mean of c) / standard deviation of c."""
    mean, spread = layer.others()
    blocks = layer.w * (layer.c - layer.mean) / layer.spread
    return layer.row(blocks, layer.w * (layer.g - mean) / spread)


def additive(layer: Layer) -> Array:
    """Return F5 = c; an identity adds lambda g."""
    return layer.row(layer.c.copy(), layer.identity_weight * layer.g)


def taylor(layer: Layer) -> Array:
    """Return F6, the first-order importance."""
    return layer.taylor.copy()


def saliency(layer: Layer) -> Array:
    """Return F7, roots of the importance: returns of more of it diminish."""
    roots: Array = np.sqrt(layer.saliency)
    return roots


FORMULAS: dict[str, Callable[[Layer], Array]] = {
    "bnnas": bnnas,
    "identity_ratio": identity_ratio,
    "layer_weighted": layer_weighted,
    "log_ratio": log_ratio,
    "zscore": zscore,
    "additive": additive,
    "taylor": taylor,
    "saliency": saliency,
}
"""The formulas that look at one layer at a time."""
