"""What a calibration looks at: features of architectures that add up over their layers.

An expert's score, apart for each stage, is where belief begins. What may correct it: how much more
later stages count than earlier ones, what the first layer of each stage has, how often each
operation is chosen, which holds depth, and each candidate on its own. Parameters, MACs and depth by
themselves added nothing, on neither of two spaces (``tests/bench/README.md``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.search.experts import Expert
from raynas.search.formulas import Array
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

_SPREADS = {"stage": 0.4, "trend": 0.3, "first": 0.3, "operation": 0.2, "candidate": 0.4}
_TINY = 1e-12


@dataclass(frozen=True)
class Prior:
    """What is believed of the weights before any evidence: mean and deviation (F each)."""

    mean: Array
    spread: Array


@dataclass(frozen=True)
class Features:
    """F additive features over n columns, one per candidate of each layer in turn.

    Attributes:
        names: The features' names, ``group:member``.
        values: F x n; what a chosen candidate adds to each feature.
        prior: The weights of the stages are 1, all others are 0, give or take.
        sizes: Candidates of each layer.
    """

    names: tuple[str, ...]
    values: Array
    prior: Prior
    sizes: tuple[int, ...]

    def of(self, architectures: Sequence[Architecture]) -> Array:
        """Return the features of architectures (N x F)."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        columns = np.array(architectures, dtype=np.int64).reshape(-1, len(self.sizes)) + starts
        features: Array = self.values.T[columns].sum(axis=1)
        return features

    def table(self, weights: Array) -> list[Array]:
        """Return T[l][i] = w . f[l][i]."""
        return np.split(weights @ self.values, np.cumsum(self.sizes)[:-1])


def build_features(expert: Expert, space: SearchSpace) -> Features:
    """Return the features that begin as an expert's score."""
    sizes = tuple(len(row) for row in expert.x)
    layer = np.repeat(np.arange(len(sizes)), sizes)
    stage = np.array(space.stages)[layer]
    x, score = (np.concatenate(rows) for rows in (expert.x, expert.table))
    known = np.isfinite(score)
    x, score = np.where(known, x, 0.0), np.where(known, score, 0.0)
    names = [c.name for block in space.blocks for c in block.candidates]
    operations = list(dict.fromkeys(names))
    stages = [str(each) for each in np.unique(stage)]
    in_stage = stage == np.unique(stage)[:, None]  # S x n
    groups = {
        "stage": (stages, score * in_stage),
        "trend": (["stage"], (score * (2 * stage / max(stage[-1], 1) - 1))[None]),
        "first": (stages, _first_layers(x, layer, in_stage)),
        "operation": (operations, np.array([[float(n == o) for n in names] for o in operations])),
        "candidate": (
            [f"{at}:{name}" for at, name in zip(layer, names, strict=True)],
            np.eye(len(names)),
        ),
    }
    mask = _members(layer) & known
    rows = {name: _centred(values, layer, mask) for name, (_, values) in groups.items()}
    rows |= {name: _unit(each, mask) for name, each in rows.items() if name != "stage"}
    spread = np.concatenate([np.full(len(each), _SPREADS[name]) for name, each in rows.items()])
    labels = tuple(f"{name}:{each}" for name, (of, _) in groups.items() for each in of)
    mean = np.array([float(label.startswith("stage:")) for label in labels])
    return Features(labels, np.vstack(list(rows.values())), Prior(mean, spread), sizes)


def _first_layers(x: Array, layer: npt.NDArray[np.int64], in_stage: npt.NDArray[np.bool_]) -> Array:
    """Return what the first layer of each stage has, over its range there (S x n)."""
    found = np.zeros(in_stage.shape)
    for row, mask in zip(found, in_stage, strict=True):
        first = layer == layer[mask][0]
        reach = float(np.ptp(x[first]))
        row[first] = x[first] / reach if reach > _TINY else 0.0
    return found


def _centred(values: Array, layer: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> Array:
    """Return features (G x n) with a mean of 0 in each layer, 0 where nothing is known."""
    counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    means = values @ (mask / counts).T  # G x L
    return np.where(mask.any(axis=0), values - means[:, layer], 0.0)


def _unit(values: Array, mask: npt.NDArray[np.bool_]) -> Array:
    """Return centred features (G x n) whose variances over random architectures add up to 1.

    Layers are independent, so variances add: sum over G and l of the mean over i of f[l][i]^2.
    """
    counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    variance = float((values**2 @ (mask / counts).T).sum())
    return values / np.sqrt(variance) if variance > _TINY else values


def _members(layer: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which columns are a layer's (L x n)."""
    members: npt.NDArray[np.bool_] = layer == np.arange(layer[-1] + 1)[:, None]
    return members
