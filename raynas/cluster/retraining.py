"""The last stage of a run: the winners trained from scratch, as scheduled Tune trials."""

from dataclasses import replace

from raynas.cluster.final_training import Trainings, train, train_on_all
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Winners
from raynas.recording.outcomes import Outcomes
from raynas.recording.repair import rebuild_trials


def retrain(run: Run, winners: Winners) -> None:
    """Train what a searcher suggests, and write the tables ``trials`` and ``outcomes``.

    If that was asked for, the first-ranked networks are then trained once more on all images, or
    were so at once where there was nothing to choose.

    Args:
        run: The run.
        winners: The Tune searcher over the architectures that are worth training.

    Raises:
        StageError: The trials ended before all winners were trained.
    """
    plan, settings = run.plan, run.settings
    rebuild_trials(run.store)
    if not winners.exhausted:
        outcomes = Outcomes(run.store, plan.costs, settings.search.goals, plan.space)
        each = replace(settings.retrain, top_k=settings.num_winners)
        train(
            run,
            winners,
            Trainings("retrain", each, settings.first_trained_on),
            lambda end: outcomes.add(end, winners.score_of),
        )
    if settings.num_finals:
        train_on_all(run)
