"""The stage in which a score learns what counts on these images, from short trainings.

A few networks, chosen so that they tell most, are trained for a few epochs. The search then
maximises what is believed of all candidates after that, instead of the supernet's word alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Scores
from raynas.cluster.tune.short_trainings import train_briefly
from raynas.errors import UserError
from raynas.recording.rows import prediction_rows, score_rows
from raynas.reporting.rank_correlation import kendall_tau
from raynas.search.calibration import Calibration
from raynas.search.design import design, design_pool
from raynas.search.exact import k_best
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture

_FEWEST = 4  # trainings that one can be left out of


def learn(run: Run, scores: Scores) -> Scores:
    """Train networks briefly, and return scores that know what came of it.

    Writes the tables ``checks``, ``calibration`` and ``predictions``, and what is believed of
    candidates into ``indicators``. Where the trainings teach nothing, the scores stay as they are.

    Args:
        run: The run.
        scores: What ``score`` returned.

    Raises:
        StageError: The trainings ended early.
    """
    count = run.settings.num_trainings
    if not count:
        return scores
    if scores.table is None:  # trials score each network: there is no table to correct
        scored = spread(_searched(run), count)
        train_briefly(run, scored, len(scored))
        return scores
    chosen = _designed(run, scores, run.settings.training_rounds[0])
    train_briefly(run, _scored(scores, chosen), count)
    chosen += _best(run, scores, chosen, count - len(chosen))
    train_briefly(run, _scored(scores, chosen), len(chosen))
    if run.settings.search.traits.learns_from_trials:
        return scores  # the search observes them itself
    return _learned(run, scores)


def _designed(run: Run, scores: Scores, count: int) -> list[Architecture]:
    """Return the networks that tell most."""
    plan, limits = run.plan, run.settings.limits
    rng = random_numbers(run.settings.seed, Stream.CHECK)
    pool = design_pool(scores.sums, plan.chain, plan.sampler, plan.costs, limits, rng)
    return design(build_features(scores.experts[0], plan.chain), pool, count)


def _best(
    run: Run, scores: Scores, designed: Sequence[Architecture], count: int
) -> list[Architecture]:
    """Return what is believed best after the first trainings: there the search will look.

    Of the first trainings' networks alone, so that a run that continues chooses the same.
    """
    if not count:
        return []
    known = [each for each in _trained(run) if each[0] in set(designed)]
    table = _calibrated(run, scores, known).table()
    distance = run.settings.winner_distance(len(table))
    try:
        found = k_best(table, run.plan.costs, run.settings.limits, count, distance, designed)
    except UserError:  # the limits leave no others
        return []
    return [architecture for architecture, _ in found]


def _scored(scores: Scores, chosen: Sequence[Architecture]) -> dict[Architecture, float]:
    """Return architectures with their scores before any training."""
    return dict(zip(chosen, map(float, AdditiveScorer(scores.sums)(chosen)), strict=True))


def _calibrated(
    run: Run, scores: Scores, trained: Sequence[tuple[Architecture, float]]
) -> Calibration:
    """Return what is believed after trainings."""
    plan, settings = run.plan, run.settings
    calibration = Calibration(
        scores.experts, plan.costs, settings.limits, plan.chain, settings.seed
    )
    for architecture, accuracy in trained:
        calibration.observe(architecture, accuracy, settings.short_weight)
    return calibration


def _searched(run: Run) -> dict[Architecture, float]:
    """Return what the search has scored by trials."""
    rows = run.store.rows("architectures")
    return {Architecture.parse(row["architecture"]): row["score"] for row in rows}


def spread(scores: Mapping[Architecture, float], count: int) -> dict[Architecture, float]:
    """Return architectures at even ranks from the lowest score to the highest."""
    ranked = sorted((score, each) for each, score in scores.items() if np.isfinite(score))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    return {ranked[place][1]: ranked[place][0] for place in places}


def _learned(run: Run, scores: Scores) -> Scores:
    """Return scores that have learned from the table ``checks``."""
    plan, trained = run.plan, _trained(run)
    calibration = _calibrated(run, scores, trained)
    if calibration.posterior is None:
        run.stages.print(f"warning: {_taught_nothing(len(calibration.observed))}")
        return scores
    steps = [_calibrated(run, scores, trained[:n]) for n in range(1, len(trained) + 1)]
    run.store.append("calibration", [row for s in steps for row in s.rows()], part="trainings")
    _, accuracies = calibration.left_out()
    found = _agreement(calibration, accuracies)
    if found is not None and not found > 0:
        run.stages.print(
            f"warning: {len(accuracies)} short trainings hardly predict each other (each by the "
            f"others with tau {found:.2f}): what they taught may be chance (more --trainings, or "
            "more --training-epochs)"
        )
    run.store.append("predictions", prediction_rows(calibration, accuracies), part="left_out")
    table = calibration.table()
    step = max(plan.num_steps - 1, 0)  # beside the indicators after the last step of pretraining
    rows = score_rows(plan.chain, table, step, "calibrated")
    run.store.append("indicators", rows, part="calibrated")
    return replace(scores, table=table, calibration=calibration)


def _trained(run: Run) -> list[tuple[Architecture, float]]:
    """Return the networks that were trained to their end and their accuracies, in one order."""
    rows = [row for row in run.store.rows("checks") if row["val_accuracy"] is not None]
    rows.sort(key=lambda row: str(row["architecture"]))
    return [(Architecture.parse(row["architecture"]), row["val_accuracy"]) for row in rows]


def _taught_nothing(count: int) -> str:
    if not count:
        return "no short training ended well; the score stays as it is"
    return (
        f"{count} short trainings tell no networks apart; the score stays as it is (more "
        "--trainings, or more --training-epochs)"
    )


def _agreement(calibration: Calibration, left_out: Array) -> float | None:
    """Return Kendall's tau of what was predicted with what came, or None for too few."""
    accuracies = np.array([accuracy for _, accuracy, _ in calibration.observed])
    predicted = left_out[:, 1]
    if len(accuracies) < _FEWEST or not np.isfinite(predicted).all():
        return None
    return kendall_tau(predicted, accuracies)
