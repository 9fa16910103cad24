"""Trainings from a table of truths, chosen as a run chooses them, and what a score learns of them.

The table holds some networks of its space alone, so where a search would solve for the best one of
a table of sums, here it takes the best of those that are known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from raynas.costs.costs import Limits
from raynas.search.calibration import Calibration
from raynas.search.design import design
from raynas.search.experts import Expert, mixed
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from tests.bench.macro import Replay
from tests.bench.uses import Use

Policy = Literal["last_quarter", "design", "mean", "alternating", "thompson"]
Places = npt.NDArray[np.int64]

FIRST = 8  # trainings by design, whatever the policy
_BEST = 0.25  # as of ``raynas.cluster.learning``
_DRAWN, _DROPPED = 533, 0.25  # as of ``raynas.search.design``
_PROPOSALS = 3  # as many networks a run hands out


class End(NamedTuple):
    """What is reached after some trainings.

    Attributes:
        tau: Kendall's, over the networks that were not trained.
        regret: By how many points the best network beats the best one of three proposals.
    """

    tau: float
    regret: float


@dataclass(frozen=True)
class Study:
    """A way of learning from trainings.

    Attributes:
        truth: What is trained.
        experts: What the score is mixed of.
        noise: Deviation of a training's accuracy, in [0, 1].
        policy: What is trained: all by design but the last quarter, which is what the others let
            believe best, as a run does; all by design; or, after the first eight, the best of the
            mean, the best of the mean and of a draw's deviation in turns, or the best of a draw.
        max_macs: What networks may cost.
        weight: How much a training counts; below 1 it is a short one, which may favour some sizes.
    """

    truth: Replay
    experts: tuple[Expert, ...]
    noise: float = 0.003
    policy: Policy = "last_quarter"
    max_macs: float = np.inf
    weight: float = 1.0

    @cached_property
    def legal(self) -> Places:
        """The networks within the limit."""
        return np.flatnonzero(self.truth.macs <= self.max_macs)

    def ends(self, seed: int, budgets: Sequence[int]) -> list[End]:
        """Return what is reached after so many trainings."""
        if self.policy == "last_quarter":  # each budget has a last quarter of its own
            return [self._last(seed, budget) for budget in budgets]
        return [
            self.end(calibration.table(), trained)
            for trained, calibration in self.trainings(seed, max(budgets))
            if len(trained) in budgets
        ]

    def _last(self, seed: int, budget: int) -> End:
        """Return what is reached at the end of a run."""
        *_, (trained, calibration) = self.trainings(seed, budget)
        return self.end(calibration.table(), trained)

    def end(self, table: Sequence[Array], trained: Sequence[int]) -> End:
        """Return how good a table is after trainings."""
        scores = AdditiveScorer(table)(self.truth.architectures)
        rest = np.setdiff1d(self.legal, trained)
        accuracies = self.truth.accuracies
        first = self.legal[np.argsort(-scores[self.legal])][:_PROPOSALS]
        return End(
            float(stats.kendalltau(scores[rest], accuracies[rest]).statistic),
            float(100 * (accuracies[self.legal].max() - accuracies[first].max())),
        )

    def trainings(self, seed: int, count: int) -> Iterator[tuple[list[int], Calibration]]:
        """Yield what was trained, and what is believed, after 0 to count trainings."""
        truth, rng = self.truth, random_numbers(seed, Stream.BENCH, Use.TRAININGS)
        calibration = Calibration(self.experts, truth.costs, Limits(), truth.space, seed)
        planned, trained = self._designed(seed, self._first(count)), list[int]()
        yield trained, calibration
        while len(trained) < count:
            if len(trained) == len(planned):
                planned += self._following(calibration, trained, count, rng)
            place = planned[len(trained)]
            accuracy = truth.accuracies[place] + self.noise * rng.normal()
            accuracy = float(np.clip(accuracy, 0, 1))
            calibration.observe(truth.architectures[place], accuracy, self.weight)
            trained.append(place)
            yield trained, calibration

    def _first(self, count: int) -> int:
        """Return how many trainings are chosen by design."""
        if self.policy == "last_quarter":
            return count - int(count * _BEST)
        return count if self.policy == "design" else min(FIRST, count)

    def _following(
        self, calibration: Calibration, trained: list[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        """Return the networks that are trained next: one, or the whole last quarter."""
        if self.policy != "last_quarter":
            return [self._best(calibration, trained, rng)]
        every = np.array(self.truth.architectures)
        scores = AdditiveScorer(calibration.table())(self.truth.architectures)
        left = np.setdiff1d(self.legal, trained)
        order, found = left[np.argsort(-scores[left])], list[int]()
        while len(found) < count - len(trained):
            found.append(int(order[0]))
            apart = (every[order] != every[found[-1]]).sum(axis=1)
            order = order[apart >= max(every.shape[1] // 5, 1)]
        return found

    def _designed(self, seed: int, count: int) -> list[int]:
        """Return the networks of a design among some that are drawn, without the lowest quarter."""
        rng = random_numbers(seed, Stream.BENCH, Use.POOL)
        drawn = rng.permutation(self.legal)[:_DRAWN]
        every = self.truth.architectures
        scores = AdditiveScorer(mixed(self.experts))([every[at] for at in drawn])
        kept = drawn[np.argsort(scores)][int(len(drawn) * _DROPPED) :]
        places = {every[at]: int(at) for at in kept}
        features = build_features(self.experts[0], self.truth.space)
        return [places[each] for each in design(features, list(places), count)]

    def _best(
        self, calibration: Calibration, trained: Sequence[int], rng: np.random.Generator
    ) -> int:
        """Return the network that the policy trains next."""
        table = calibration.draw() if self.policy == "alternating" else calibration.table()
        if self.policy == "thompson" and calibration.posterior is not None:
            expert, weights = calibration.posterior.draw(rng)
            deviation = build_features(self.experts[expert], self.truth.space).table(weights)
            table = [mean + drawn for mean, drawn in zip(table, deviation, strict=True)]
        left = np.setdiff1d(self.legal, trained)
        scores = AdditiveScorer(table)([self.truth.architectures[at] for at in left])
        return int(left[np.argmax(scores)])


def random_saliency(truth: Replay, seed: int) -> list[Array]:
    """Return random numbers in place of what a supernet says."""
    rng = random_numbers(seed, Stream.BENCH, Use.SALIENCY)
    return [np.abs(rng.normal(size=block.size)) for block in truth.space.blocks]


def limits_of(truth: Replay) -> list[float]:
    """Return the quartiles of MACs, and none."""
    return [*np.quantile(truth.macs, [0.25, 0.5, 0.75]).tolist(), np.inf]


def means(studies: Sequence[Study], seeds: Sequence[int], budgets: Sequence[int]) -> Array:
    """Return tau and regret at each budget (budgets x 2), in the mean of seeds and studies.

    Args:
        studies: One for each seed in turn, or one for all seeds; also several for each.
        seeds: Of the draws.
        budgets: Ascending.
    """
    found: Array = np.mean(
        [study.ends(seed, budgets) for seed in seeds for study in studies], axis=0
    )
    return found
