"""What to compare a score with: scores that need no training, and trainings among each other."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from raynas.benchmark import ranking
from raynas.benchmark.ranking import Array, Estimate
from raynas.benchmark.truths.truth import Truth
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers

RANDOM = "random positive scores"
_DRAWS = 200  # of random scores


def trivial_scores(truth: Truth) -> dict[str, Array | None]:
    """Return what costs nothing to know; None: nobody knows it of these networks."""
    macs, params = truth.macs, truth.params
    both = None if macs is None or params is None else np.log(params) + np.log(macs)
    return {
        "depth": truth.depth,
        "MACs": macs,
        "params": params,
        "log params + log MACs": both,
        "ReLU inputs": truth.relu_inputs,
    }


def yardsticks(
    truth: Truth, seed: int = 0, limits: Mapping[str, float] | None = None
) -> dict[str, Estimate]:
    """Return the trivial scores that are known, and random ones: any indicator must beat them."""
    rng = random_numbers(seed, Stream.RANDOM_TABLES)
    draws = [ranking.measure(random_scores(truth, rng), truth, limits) for _ in range(_DRAWS)]
    found = {
        name: Estimate(ranking.measure(values, truth, limits))
        for name, values in trivial_scores(truth).items()
        if values is not None
    }
    return found | {RANDOM: ranking.spread(draws)}


def random_scores(truth: Truth, rng: np.random.Generator) -> Array:
    """Return scores of an indicator that knows nothing: positive, and 0 for what skips a layer.

    In NAS-Bench-Macro's format that is choice 0, also the least that a stage can begin with: so
    an indicator that is a scale of something gets depth right for free.
    """
    choices = np.array(truth.architectures)
    table = rng.uniform(size=(choices.shape[1], choices.max() + 1))
    for row, skip in zip(table, truth.skips or (), strict=False):
        if skip is not None and skip < len(row):
            row[skip] = 0.0
    return truth.merged(AdditiveScorer(list(table))(truth.architectures))


def ceilings(truth: Truth) -> dict[str, Estimate]:
    """Return how well one training ranks the networks as another does, and as all others do.

    It is taken over the networks that were trained at least twice, and empty where these are few.
    """
    again = truth.trainings >= 2
    if again.sum() < min(ranking.FEWEST, len(again)):
        return {}
    repeated = truth.only(again[truth.network])
    trainings = repeated.repeats[:, : repeated.trainings.min()].T
    single = [
        ranking.correlations(a, replace(repeated, accuracy=b))
        for a, b in itertools.combinations(trainings, 2)
    ]
    others = [
        ranking.correlations(
            one, replace(repeated, accuracy=np.delete(trainings, i, axis=0).mean(axis=0))
        )
        for i, one in enumerate(trainings)
    ]
    found = {"one training against another": Estimate(ranking.mean_of(single))}
    if len(trainings) > 2:
        found["one training against the others' mean"] = Estimate(ranking.mean_of(others))
    return found
