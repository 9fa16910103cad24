"""How well a score ranks networks whose true accuracy is known, and what to compare it with.

See ``.docs/pages/method.md``, Ranking. tau is Kendall's tau-b, rho is Spearman's; both are also
taken within networks of equal depth and within quarters by MACs, for a score that only counts
layers agrees with the truth at large and says nothing there. A regret is the best true accuracy
under a limit minus that of the network which the score puts first, in points. nDCG looks at the
networks that a score puts first, with the relevances and gains of AceNAS.

Sources: nDCG, Jarvelin and Kekalainen (ACM TOIS 20:4, 2002), with ties as McSherry and Najork
(ECIR 2008) count them; for networks, AceNAS (Zhang et al., arXiv 2108.03001) and its code.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from raynas.benchmark.truths.truth import Truth
from raynas.costs.costs import show_quantity
from raynas.seeds import Stream, random_numbers

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Measures = dict[str, float]
"""Name to number: tau, tau_depth (the mean within equal depth), tau_depth_4, regret_40M, ..."""

NO_LIMIT = "any"
FEWEST = 10
"""Networks of a part that is correlated by itself."""
_RELEVANT = 20.0  # relevance of the best network
_IRRELEVANT = 0.2  # share of the networks whose relevance is 0
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


def ndcg(scores: Array, accuracy: Array) -> float:
    """Return how much is gained by looking at the first tenth by score; NaN where tau is.

    With r_i = 20 clip((accuracy_i - q) / (best - q), 0, 1), q the accuracy that a fifth of the
    networks do not exceed, and k a tenth of the networks,

        DCG = sum over places p = 1, ..., k of (2^r - 1) / log2(1 + p),

    divided by that of the true order: 1 is the best, and networks with r = 0 add nothing. Equal
    scores share the mean of their gains.
    """
    if _is_flat(scores) or _is_flat(accuracy):
        return float("nan")
    low, best = np.quantile(accuracy, _IRRELEVANT), accuracy.max()
    shares = (accuracy - low) / (best - low) if best > low else accuracy == best
    gains = 2 ** (_RELEVANT * np.clip(shares, 0, 1)) - 1
    return min(_discounted(scores, gains) / _discounted(gains, gains), 1.0)


def _discounted(scores: Array, gains: Array) -> float:
    """Return the discounted cumulative gain of the first tenth of the networks by score."""
    places = np.arange(1, len(scores) + 1)
    discounts = np.where(places <= math.ceil(len(scores) / 10), 1 / np.log2(1 + places), 0)
    _, group, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    of_group = np.add.reduceat(discounts, np.cumsum([0, *counts[:-1]]))
    return float((np.bincount(group, weights=gains) / counts) @ of_group)


def parts(truth: Truth) -> dict[str, dict[str, Indices]]:
    """Return the networks of each depth, and of each quarter by MACs, that are 10 or more."""
    groups: dict[str, dict[str, npt.NDArray[np.bool_]]] = {}
    depth = truth.depth
    if depth is not None:
        groups["depth"] = {f"{each:g}": depth == each for each in np.unique(depth)}
    if truth.macs is not None:
        edges = np.quantile(truth.macs, [0.25, 0.5, 0.75])
        quarter = np.searchsorted(edges, truth.macs)  # a value on an edge is below it
        groups["macs"] = {str(q + 1): quarter == q for q in range(4)}
    return {
        group: {k: np.flatnonzero(v) for k, v in members.items() if v.sum() >= FEWEST}
        for group, members in groups.items()
    }


def limits_of(truth: Truth, wanted: Sequence[float] | None = None) -> dict[str, float]:
    """Return the limits on MACs at which a score's first choice is looked up, and that of none.

    Args:
        truth: The networks; where nobody knows their MACs there are no limits.
        wanted: Limits; None: the quartiles of the networks' MACs.
    """
    if truth.macs is None:
        return {NO_LIMIT: math.inf}
    if wanted is not None:
        return {show_quantity(round(limit)): limit for limit in sorted(wanted)} | {
            NO_LIMIT: math.inf
        }
    quartiles = np.quantile(truth.macs, [0.25, 0.5, 0.75], method="higher").tolist()
    return {_in_three_digits(limit): limit for limit in quartiles} | {NO_LIMIT: math.inf}


def _in_three_digits(value: float) -> str:
    return show_quantity(round(float(f"{value:.3g}")))


def measure(scores: Array, truth: Truth, limits: Mapping[str, float] | None = None) -> Measures:
    """Return all that is said of one score per network; without limits, at the quartiles."""
    return correlations(scores, truth) | first_choices(scores, truth, limits)


def correlations(scores: Array, truth: Truth) -> Measures:
    """Return tau, rho and nDCG, tau and rho in each part, and their plain means over the parts."""
    statistics = {"tau": tau, "rho": rho, "ndcg": ndcg}
    found = {name: statistic(scores, truth.accuracy) for name, statistic in statistics.items()}
    for group, members in parts(truth).items():
        for name, statistic in (("tau", tau), ("rho", rho)):
            values = {k: statistic(scores[i], truth.accuracy[i]) for k, i in members.items()}
            found[f"{name}_{group}"] = _mean_of_known(values.values())
            found |= {f"{name}_{group}_{k}": value for k, value in values.items()}
    return found


def _mean_of_known(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def first_choices(
    scores: Array, truth: Truth, limits: Mapping[str, float] | None = None
) -> Measures:
    """Return what the best score under each limit reaches that some network keeps.

    accuracy and regret are of the first choice; regret3 is that of the best of the first three,
    which is what a run with three retrained networks hands out.
    """
    found: Measures = {}
    for name, limit in (limits_of(truth) if limits is None else limits).items():
        allowed = np.ones(len(scores), bool) if truth.macs is None else truth.macs <= limit
        if allowed.any():
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


def spread(samples: Sequence[Measures]) -> Estimate:
    """Return the mean of samples and the interval in which 95 percent of them lie."""
    names, values = _matrix(samples)
    return _estimate(names, values.mean(axis=0), values)


def bootstrap(samples: Sequence[Measures], seed: int = 0) -> Estimate:
    """Return the mean over runs and its 95 percent interval when runs are drawn again."""
    names, values = _matrix(samples)
    if len(values) < 2:
        return Estimate(mean_of(samples))
    drawn = random_numbers(seed, Stream.RUNS_AGAIN).integers(
        0, len(values), (_RESAMPLES, len(values))
    )
    return _estimate(names, values.mean(axis=0), values[drawn].mean(axis=1))


def _estimate(names: Sequence[str], mean: Array, samples: Array) -> Estimate:
    low, high = np.percentile(samples, _INTERVAL, axis=0)
    return Estimate(*(dict(zip(names, map(float, row), strict=True)) for row in (mean, low, high)))


def mean_of(samples: Sequence[Measures]) -> Measures:
    """Return the mean of each measure over samples."""
    names, values = _matrix(samples)
    return dict(zip(names, map(float, values.mean(axis=0)), strict=True))


def _matrix(samples: Sequence[Measures]) -> tuple[list[str], Array]:
    """Return the measures' names, and their values as samples x measures."""
    names = list(samples[0])
    return names, np.array([[sample[name] for name in names] for sample in samples])
