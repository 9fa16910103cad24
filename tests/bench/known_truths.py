"""Truths that scores are held against, with what a space tells of their networks."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from raynas.benchmark.truths.reading import read_truths
from raynas.benchmark.truths.truth import Truth
from raynas.nets.cost import cost_table
from raynas.nets.relu_inputs import relu_inputs
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.spaces.chain import SearchSpace
from raynas.spaces.loading import load_space
from raynas.spaces.protocol import Space
from raynas.training.trained_networks import searched_space
from tests.bench.uses import Use

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
NAMED = {
    "macro": ("nas_bench_macro", DATA / "nas_bench_macro" / "development.json"),
    "accel": ("mnasnet", DATA / "accel_nasbench" / "development.json"),
    "own": ("small_mobile", ROOT / "tests" / "truths" / "small_mobile_cifar10.parquet"),
}
"""Name to a space and a file; any other name is a file itself."""


@dataclass(frozen=True)
class Known:
    """Networks of a space whose accuracies are known."""

    space: Space
    truth: Truth

    def sample(self, count: int, seed: int = 0) -> "Known":
        """Return some networks, all if there are no more, each with one of its architectures."""
        network = self.truth.network
        rng = random_numbers(seed, Stream.BENCH, Use.NETWORKS)
        drawn = rng.permutation(network.max() + 1)[:count]
        keys = np.zeros(len(network), bool)
        keys[np.unique(network, return_index=True)[1][drawn]] = True  # the first of each
        return Known(self.space, self.truth.only(keys))


def load_known(name: str, space: str | None = None) -> Known:
    """Return a truth and its space.

    Args:
        name: ``macro``, ``accel``, ``own``, or a file that ``analysis/ranking.py --truth`` reads.
        space: Of a file.
    """
    named, file = NAMED.get(name, (space, Path(name)))
    assert named, "--space: which space the file's architectures lie in"
    loaded = searched_space(load_space(named, ROOT / "search_spaces"), "path")
    return Known(loaded, completed(read_truths(str(file)), loaded))


def completed(truth: Truth, space: Space) -> Truth:
    """Return a truth with the costs that its file does not tell, at the space's resolution."""
    task = space.resolution, space.in_channels
    costs = cost_table(space, *task, space.num_classes)
    each = [costs.of(space.check(key)) for key in truth.architectures]
    found = replace(
        truth,
        macs=truth.merged([cost.macs for cost in each]) if truth.macs is None else truth.macs,
        params=truth.merged([cost.params for cost in each])
        if truth.params is None
        else truth.params,
    )
    if not isinstance(space, SearchSpace):
        return found
    counts = [np.array(row, dtype=np.float64) for row in relu_inputs(space, *task)]
    skips = tuple(block.identity for block in space.blocks)
    return replace(
        found,
        skips=skips if truth.skips is None else truth.skips,
        relu_inputs=truth.merged(AdditiveScorer(counts)(truth.architectures)),
    )
