"""What a calibration looks at: features of architectures that add up over their layers.

Source: the issue's "indicator score, depth, log MACs, one-hot layers", in additive form. MACs
enter linearly (log M is nearly linear over the range of a limit), and two groups lie between a
single depth and free layers: how often each operation is chosen, and how early. All of a group's
features together vary by one over the architectures of the space, each drawn uniformly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.costs import CostTable
from raynas.search.indicators import Array
from raynas.search.posterior import Prior
from raynas.space import Architecture, SearchSpace

INDICATOR = "indicator"
_SPREADS = {"depth": 0.5, "macs": 0.5, "operation": 1.0, "trend": 1.0, "layer": 0.5}


@dataclass(frozen=True)
class Features:
    """F additive features over n columns, one per candidate of each layer in turn.

    Attributes:
        names: The features' names, ``group`` or ``group:member``.
        values: F x n; what a chosen candidate adds to each feature.
        prior: The indicator's weight is 1, all others are 0, give or take.
        usable: Per layer, which candidates have an indicator at all.
    """

    names: tuple[str, ...]
    values: Array
    prior: Prior
    usable: tuple[npt.NDArray[np.bool_], ...]

    def of(self, architectures: Sequence[Architecture]) -> Array:
        """Return the features of architectures (N x F)."""
        sizes = [len(row) for row in self.usable]
        starts = np.cumsum([0, *sizes[:-1]])
        columns = np.array(architectures, dtype=np.int64).reshape(-1, len(sizes)) + starts
        features: Array = self.values.T[columns].sum(axis=1)
        return features

    def table(self, weights: Array) -> list[Array]:
        """Return T[l][i] = w . f[l][i]; -inf where there is no indicator."""
        ends = np.cumsum([len(row) for row in self.usable])[:-1]
        rows = np.split(weights @ self.values, ends)
        return [np.where(known, row, -np.inf) for known, row in zip(self.usable, rows, strict=True)]


def build_features(table: Sequence[Array], costs: CostTable, space: SearchSpace) -> Features:
    """Return the features of a space whose indicators add up to ``table``."""
    usable = tuple(np.isfinite(row) for row in table)
    known = np.concatenate(usable)
    names = [c.name for block in space.blocks for c in block.candidates]
    layer = np.repeat(np.arange(len(table)), [len(row) for row in table])
    one_hot = np.eye(len(names))
    operations = dict.fromkeys(names)
    counts = np.array([[float(name == each) for name in names] for each in operations])
    skipped = np.concatenate([np.arange(block.size) == block.identity for block in space.blocks])
    indicator = np.where(known, np.concatenate(table), 0.0)
    groups = {
        INDICATOR: ([""], indicator[None]),
        "depth": ([""], 1.0 - skipped[None]),
        "macs": ([""], np.concatenate([np.array(row, float) for row in costs.macs])[None]),
        "operation": (list(operations), counts),
        "trend": (list(operations), counts * (2 * layer / max(layer[-1], 1) - 1)),
        "layer": ([f"{at}:{name}" for at, name in zip(layer, names, strict=True)], one_hot),
    }
    rows = {name: _unit(values, layer, known) for name, (_, values) in groups.items()}
    spread = np.concatenate([np.full(len(r), _SPREADS.get(g, 1.0)) for g, r in rows.items()])
    labels = [f"{g}:{each}".strip(":") for g, (members, _) in groups.items() for each in members]
    mean = (np.array(labels) == INDICATOR).astype(float)
    return Features(tuple(labels), np.vstack(list(rows.values())), Prior(mean, spread), usable)


def _unit(values: Array, layer: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> Array:
    """Return a group's features (G x n) centred in each layer, with a variance of 1 in all.

    Layers are independent, so variances add: sum over G and l of the mean over i of f[l][i]^2.
    """
    mask = (layer == np.arange(layer[-1] + 1)[:, None]) & known  # L x n
    share = mask / mask.sum(axis=1, keepdims=True)
    centred = np.where(known, values - (values @ share.T)[:, layer], 0.0)
    variance = float((centred**2 @ share.T).sum())
    return centred / np.sqrt(variance) if variance > 0 else centred
