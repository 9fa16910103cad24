"""What a calibration looks at: features of architectures that add up over their layers.

The indicator itself; how much it counts in each layer, its weak side on NAS-Bench-Macro; how
often each operation is chosen, which holds depth, and how early; and each candidate on its own.
All of a group's features together vary by one over the architectures of the space, each drawn
uniformly. Chosen by ``tests/bench/calibrated.py``; depth and MACs by themselves added nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.search.formulas import Array
from raynas.search.posterior import Prior
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

INDICATOR = "indicator"
_SPREADS = {"layer": 0.5, "operation": 1.0, "trend": 0.5, "candidate": 0.4}  # of the prior


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


def build_features(table: Sequence[Array], space: SearchSpace) -> Features:
    """Return the features of a space whose indicators add up to ``table``."""
    usable = tuple(np.isfinite(row) for row in table)
    known = np.concatenate(usable)
    names = [c.name for block in space.blocks for c in block.candidates]
    layer = np.repeat(np.arange(len(table)), [len(row) for row in table])
    operations = dict.fromkeys(names)
    indicator = np.where(known, np.concatenate(table), 0.0)
    counts = np.array([[float(name == each) for name in names] for each in operations])
    groups = {
        INDICATOR: ([""], indicator[None]),
        "layer": ([str(at) for at in range(len(table))], indicator * _members(layer)),
        "operation": (list(operations), counts),
        "trend": (list(operations), counts * (2 * layer / max(layer[-1], 1) - 1)),
        "candidate": (
            [f"{at}:{name}" for at, name in zip(layer, names, strict=True)],
            np.eye(len(names)),
        ),
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
    mask = _members(layer) & known
    share = mask / mask.sum(axis=1, keepdims=True)
    centred = np.where(known, values - (values @ share.T)[:, layer], 0.0)
    variance = float((centred**2 @ share.T).sum())
    return centred / np.sqrt(variance) if variance > 0 else centred


def _members(layer: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which columns are a layer's (L x n)."""
    members: npt.NDArray[np.bool_] = layer == np.arange(layer[-1] + 1)[:, None]
    return members
