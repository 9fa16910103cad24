"""NAS-Bench-Macro's development table as something to train: what was measured, plus noise.

The table holds 1,500 of the space's 6,561 architectures, so a search proposes among those: where
the calibrated search would solve for the best architecture of a draw, here it takes the draw's best
of the table within the limit.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

from raynas.costs.costs import CostTable, Limits
from raynas.nets.cost import cost_table
from raynas.nets.relu_inputs import relu_inputs
from raynas.search.calibration import Calibration
from raynas.search.experts import Expert, balanced_experts, single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space
from tests.bench.uses import Use

ROOT = Path(__file__).parents[2]
DEVELOPMENT = ROOT.parent / "shared" / "data" / "nas_bench_macro" / "development.json"

TAYLOR = np.array(
    [
        [0.30756, 0.67898, 1.01501],
        [0.32076, 0.66277, 0.85963],
        [0.2595, 0.66837, 0.93733],
        [0.21943, 0.60648, 0.80985],
        [0.29982, 0.5068, 0.64828],
        [0.22122, 0.66515, 0.82927],
        [0.2184, 0.56645, 0.72493],
        [0.28521, 0.48968, 0.60304],
    ]
)
"""The indicator ``taylor`` of a pretraining of 84 steps on half of CIFAR-10 (fair_taylor)."""

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


@dataclass
class Replay:
    """What was trained, and how well it did."""

    space: SearchSpace
    costs: CostTable
    architectures: list[Architecture]
    accuracies: Array
    macs: Array
    noise: float = 0.003
    position: dict[Architecture, int] = field(init=False)

    def __post_init__(self) -> None:
        self.position = {a: at for at, a in enumerate(self.architectures)}

    def legal(self, max_macs: float | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which architectures keep a limit."""
        return self.macs <= (max_macs or np.inf)

    def train(self, at: int, rng: np.random.Generator) -> float:
        """Return what a training of an architecture reports."""
        return float(np.clip(self.accuracies[at] + self.noise * rng.normal(), 0, 1))

    def tau(self, table: Sequence[Array]) -> float:
        """Return Kendall's tau of an additive table over all architectures."""
        scores = AdditiveScorer(table)(self.architectures)
        return float(stats.kendalltau(scores, self.accuracies).statistic)

    def regret(self, tried: Sequence[int], seen: Sequence[float], max_macs: float | None) -> float:
        """Return by how many points the best legal one beats the one that was seen to be best."""
        chosen = tried[int(np.argmax(seen))]
        return float(100 * (self.accuracies[self.legal(max_macs)].max() - self.accuracies[chosen]))


@dataclass(frozen=True)
class End:
    """What a search has reached after some trials."""

    trials: int
    regret: float
    tau: float = np.nan


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
    )


def planted(table: Replay, tau: float, seed: int) -> list[Array]:
    """Return an indicator of a given tau: the best additive table, and noise on every candidate."""
    rng = random_numbers(seed, Stream.BENCH, Use.PLANTED)
    shape = len(table.costs.macs), 3
    one_hot = np.eye(3)[np.array(table.architectures)].reshape(-1, 3 * shape[0])
    solution = np.linalg.lstsq(one_hot, 1 / (1 - table.accuracies), rcond=None)[0]
    truth, wrong = _standard(solution.reshape(shape)), _standard(rng.normal(size=shape))
    low, high = 0.0, 5.0
    for _ in range(20):
        share = (low + high) / 2
        above = table.tau(list(truth + share * wrong)) > tau
        low, high = (share, high) if above else (low, share)
    return list(truth + share * wrong)


def _standard(table: Array) -> Array:
    """Return a table of which the sums have mean 0 and variance 1."""
    centred: Array = table - table.mean(axis=1, keepdims=True)
    standard: Array = centred / np.sqrt((centred**2).mean(axis=1).sum())
    return standard


def macro_experts() -> tuple[Expert, ...]:
    """Return the readings of balanced_saliency, of the pretraining of ``SALIENCY``."""
    space = chain_of(load_space("nas_bench_macro", ROOT / "search_spaces"), "a replay")
    counted = relu_inputs(space, space.resolution, space.in_channels)
    return balanced_experts(list(SALIENCY**2), [np.array(row, float) for row in counted], space)


def replay(
    table: Replay,
    indicator: list[Array] | tuple[Expert, ...],
    max_macs: int | None,
    seed: int,
    budgets: Sequence[int],
    note: Callable[[Calibration], None] = lambda _: None,
) -> list[End]:
    """Run the calibrated search and return what it has reached at each budget."""
    rng = random_numbers(seed, Stream.BENCH, Use.TRAININGS)
    calibration = Calibration(
        experts_of(indicator), table.costs, Limits(max_macs), table.space, seed
    )
    tried: list[int] = []
    seen: list[float] = []
    ends: list[End] = []
    while len(tried) < max(budgets):
        scores = AdditiveScorer(calibration.draw())(table.architectures)
        scores[~table.legal(max_macs)] = -np.inf
        scores[tried] = -np.inf
        tried.append(int(np.argmax(scores)))
        seen.append(table.train(tried[-1], rng))
        calibration.observe(table.architectures[tried[-1]], seen[-1])
        note(calibration)
        if len(tried) in budgets:
            tau = table.tau(calibration.table())
            ends.append(End(len(tried), table.regret(tried, seen, max_macs), tau))
    return ends


def experts_of(indicator: list[Array] | tuple[Expert, ...]) -> tuple[Expert, ...]:
    """Return the readings of an indicator, which an additive table is by itself."""
    return indicator if isinstance(indicator, tuple) else single_expert(indicator)


def checked(table: Replay, indicator: list[Array], trials: int, seed: int) -> float:
    """Return tau of a calibration that saw trainings from the lowest score to the highest."""
    rng = random_numbers(seed, Stream.BENCH, Use.CHECK)
    calibration = Calibration(experts_of(indicator), table.costs, Limits(), table.space, seed)
    scores = AdditiveScorer(indicator)(table.architectures)
    pool = rng.choice(len(scores), 1000, replace=False)
    ranked = pool[np.argsort(scores[pool])]
    for at in ranked[np.linspace(0, len(ranked) - 1, trials).round().astype(int)]:
        calibration.observe(table.architectures[at], table.train(at, rng))
    return table.tau(calibration.table())
