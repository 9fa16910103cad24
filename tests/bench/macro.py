"""NAS-Bench-Macro's development table as something to train: what was measured, plus noise."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from raynas.costs.costs import CostTable
from raynas.nets.cost import cost_table
from raynas.nets.relu_inputs import relu_inputs
from raynas.search.experts import Expert, balanced_experts
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space

ROOT = Path(__file__).parents[2]
DEVELOPMENT = ROOT.parent / "shared" / "data" / "nas_bench_macro" / "development.json"

SALIENCY = np.array(
    [
        [2.2010, 3.8826, 4.4992],
        [2.2429, 3.4100, 3.8582],
        [1.4121, 2.6341, 3.0910],
        [1.3172, 2.2954, 2.6364],
        [1.5054, 2.0753, 2.3730],
        [0.9134, 1.8094, 2.0643],
        [0.8885, 1.5338, 1.7649],
        [1.0237, 1.4182, 1.6080],
    ]
)
"""The scores ``saliency`` of 296 steps on a fifth of CIFAR-10 (fair_saliency, seed 0)."""


@dataclass(frozen=True)
class Replay:
    """What was trained, and how well it did.

    Attributes:
        space: Of the architectures.
        costs: What its candidates cost.
        architectures: N of them, all different.
        accuracies: N, in [0, 1].
        macs: N.
        saliency: What a supernet says of candidates, before its root.
        resolution: Of the images that it saw, in pixels.
    """

    space: SearchSpace
    costs: CostTable
    architectures: list[Architecture]
    accuracies: Array
    macs: Array
    saliency: list[Array]
    resolution: int

    def tau(self, table: Sequence[Array]) -> float:
        """Return Kendall's tau of an additive table over all architectures."""
        scores = AdditiveScorer(table)(self.architectures)
        return float(stats.kendalltau(scores, self.accuracies).statistic)

    def experts(self, saliency: list[Array] | None = None) -> tuple[Expert, ...]:
        """Return the readings of balanced_saliency, with other numbers for saliency if given."""
        counted = relu_inputs(self.space, self.resolution, self.space.in_channels)
        rows = [np.array(row, dtype=np.float64) for row in counted]
        return balanced_experts(self.saliency if saliency is None else saliency, rows, self.space)


def load_replay(path: Path = DEVELOPMENT) -> Replay:
    """Read the table."""
    space = chain_of(load_space("nas_bench_macro", ROOT / "search_spaces"), "a replay")
    records = dict(sorted(json.loads(path.read_text()).items()))
    return Replay(
        space,
        cost_table(space, space.resolution, space.in_channels, space.num_classes),
        [space.parse(key) for key in records],
        np.array([record["mean_acc"] / 100 for record in records.values()]),
        np.array([float(record["flops"]) for record in records.values()]),
        list(SALIENCY**2),
        space.resolution,
    )
