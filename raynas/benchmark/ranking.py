"""How well a score ranks networks whose true accuracy is known, and what to compare it with.

See ``.docs/pages/method.md``, Ranking. tau is Kendall's tau-b, rho is Spearman's; both are also
taken within networks of equal depth and within quarters by MACs, for a score that only counts
layers agrees with the truth at large and says nothing there. A regret is the best true accuracy
under a limit minus that of the network which the score puts first, in points.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from raynas.benchmark.truth import Truth
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Measures = dict[str, float]
"""Name to number: tau, tau_depth (the mean within equal depth), tau_depth_4, regret_40M, ..."""

BUDGETS: dict[str, float] = {"40M": 40e6, "50M": 50e6, "60M": 60e6, "70M": 70e6, "any": np.inf}
"""Limits on MACs at which a score's first choice is looked up."""
FEWEST = 10
"""Networks of a part that is correlated by itself."""
_DRAWS = 200  # of random scores
_RESAMPLES = 2000  # of runs
_INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Estimate:
    """Measures, and where there are several samples of them, where 95 percent lie.

    Attributes:
        mean: The mean of the samples.
        low: The 2.5th percentile, or None for one sample.
        high: The 97.5th percentile, or None for one sample.
    """

    mean: Measures
    low: Measures | None = None
    high: Measures | None = None


def tau(a: Array, b: Array) -> float:
    """Return Kendall's tau-b; NaN for fewer than two values or where one side is constant."""
    if _is_flat(a) or _is_flat(b):
        return float("nan")
    return float(stats.kendalltau(a, b).statistic)


def rho(a: Array, b: Array) -> float:
    """Return Spearman's rank correlation; NaN where tau is."""
    if _is_flat(a) or _is_flat(b):
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


def _is_flat(values: Array) -> bool:
    return len(values) < 2 or bool((values == values[0]).all())


def parts(truth: Truth) -> dict[str, dict[str, Indices]]:
    """Return the networks of each depth, and of each quarter by MACs, that are 10 or more."""
    edges = np.quantile(truth.macs, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(edges, truth.macs)  # a value on an edge is below it
    groups = {
        "depth": {f"{depth:g}": truth.depth == depth for depth in np.unique(truth.depth)},
        "macs": {str(q + 1): quarter == q for q in range(4)},
    }
    return {
        group: {k: np.flatnonzero(v) for k, v in members.items() if v.sum() >= FEWEST}
        for group, members in groups.items()
    }


def measure(scores: Array, truth: Truth) -> Measures:
    """Return all that is said of one score per network."""
    return correlations(scores, truth) | first_choices(scores, truth)


def correlations(scores: Array, truth: Truth) -> Measures:
    """Return tau and rho over all networks, in each part, and their plain means over the parts."""
    found = {"tau": tau(scores, truth.accuracy), "rho": rho(scores, truth.accuracy)}
    for group, members in parts(truth).items():
        for name, statistic in (("tau", tau), ("rho", rho)):
            values = {k: statistic(scores[i], truth.accuracy[i]) for k, i in members.items()}
            found[f"{name}_{group}"] = _mean_of_known(values.values())
            found |= {f"{name}_{group}_{k}": value for k, value in values.items()}
    return found


def _mean_of_known(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def first_choices(scores: Array, truth: Truth) -> Measures:
    """Return what the best score under each limit reaches that some network keeps.

    accuracy and regret are of the first choice; regret3 is that of the best of the first three,
    which is what a run with three retrained networks hands out.
    """
    found: Measures = {}
    for name, limit in BUDGETS.items():
        if (allowed := truth.macs <= limit).any():
            found |= _first_choice(name, scores[allowed], truth.accuracy[allowed])
    return found


def _first_choice(budget: str, scores: Array, accuracy: Array) -> Measures:
    """Return what the best score reaches; among equal scores one is taken blindly."""
    reached = float(accuracy[scores == scores.max()].mean())
    three = accuracy[np.argsort(-scores, kind="stable")[:3]]
    return {
        f"accuracy_{budget}": reached,
        f"regret_{budget}": float(accuracy.max()) - reached,
        f"regret3_{budget}": float(accuracy.max() - three.max()),
    }


def yardsticks(truth: Truth, seed: int = 0) -> dict[str, Estimate]:
    """Return the trivial scores: what needs no training and any indicator must beat."""
    trivial = {
        "depth": truth.depth,
        "sum of choices": truth.codes,
        "MACs": truth.macs,
        "params": truth.params,
    }
    rng = random_numbers(seed, Stream.RANDOM_TABLES)
    draws = [measure(random_scores(truth, rng), truth) for _ in range(_DRAWS)]
    found = {name: Estimate(measure(values, truth)) for name, values in trivial.items()}
    return found | {"random positive scores": spread(draws)}


def random_scores(truth: Truth, rng: np.random.Generator) -> Array:
    """Return scores of an indicator that knows nothing: positive, and 0 for choice 0.

    That choice is the identity, or the least that a stage can begin with: so an indicator that
    is a scale of something gets depth right for free.
    """
    choices = np.array(truth.architectures)
    table = rng.uniform(size=(choices.shape[1], choices.max() + 1))
    table[:, 0] = 0.0
    return truth.merged(AdditiveScorer(list(table))(truth.architectures))


def ceilings(truth: Truth) -> dict[str, Estimate]:
    """Return how well one training ranks the networks as another does, and as all others do.

    Empty where the file has one training per network or none.
    """
    trainings = truth.repeats.T
    if len(trainings) < 2:
        return {}
    single = [
        correlations(a, replace(truth, accuracy=b)) for a, b in itertools.combinations(trainings, 2)
    ]
    others = [
        correlations(one, replace(truth, accuracy=np.delete(trainings, i, axis=0).mean(axis=0)))
        for i, one in enumerate(trainings)
    ]
    found = {"one training against another": Estimate(_mean(single))}
    if len(trainings) > 2:
        found["one training against the others' mean"] = Estimate(_mean(others))
    return found


def spread(samples: Sequence[Measures]) -> Estimate:
    """Return the mean of samples and the interval in which 95 percent of them lie."""
    names, values = _matrix(samples)
    return _estimate(names, values.mean(axis=0), values)


def bootstrap(samples: Sequence[Measures], seed: int = 0) -> Estimate:
    """Return the mean over runs and its 95 percent interval when runs are drawn again."""
    names, values = _matrix(samples)
    if len(values) < 2:
        return Estimate(_mean(samples))
    drawn = random_numbers(seed, Stream.RUNS_AGAIN).integers(
        0, len(values), (_RESAMPLES, len(values))
    )
    return _estimate(names, values.mean(axis=0), values[drawn].mean(axis=1))


def _estimate(names: Sequence[str], mean: Array, samples: Array) -> Estimate:
    low, high = np.percentile(samples, _INTERVAL, axis=0)
    return Estimate(*(dict(zip(names, map(float, row), strict=True)) for row in (mean, low, high)))


def _mean(samples: Sequence[Measures]) -> Measures:
    names, values = _matrix(samples)
    return dict(zip(names, map(float, values.mean(axis=0)), strict=True))


def _matrix(samples: Sequence[Measures]) -> tuple[list[str], Array]:
    """Return the measures' names, and their values as samples x measures."""
    names = list(samples[0])
    return names, np.array([[sample[name] for name in names] for sample in samples])
