"""The last stage of a run: the winners trained from scratch, as scheduled Tune trials."""

from dataclasses import replace
from typing import cast

from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Winners
from raynas.cluster.tune.ray_train import trainable
from raynas.cluster.tune.retrain_trials import TrialRecorder, retrain_trial, run_trials
from raynas.cluster.tune.schedulers import known_epochs
from raynas.cluster.tune.tune_searcher import TuneSearcher
from raynas.errors import StageError
from raynas.recording.outcomes import Outcomes, TrialEnd
from raynas.recording.repair import rebuild_trials


def retrain(run: Run, winners: Winners) -> None:
    """Train what a searcher suggests, and write the tables ``trials`` and ``outcomes``.

    Args:
        run: The run.
        winners: The Tune searcher over the architectures that are worth training.

    Raises:
        StageError: The trials ended before all winners were trained.
    """
    plan, settings = run.plan, run.settings
    rebuild_trials(run.store)
    if winners.exhausted:
        return
    outcomes = Outcomes(run.store, plan.costs, settings.search.goals, plan.space)
    each = replace(settings.retrain, top_k=settings.num_winners)
    advance = run.stages.stage("retrain", each.top_k * each.epochs, "epochs")

    def take_in(end: TrialEnd) -> None:
        if end.error:
            run.stages.print(end.error)
        outcomes.add(end, winners.score_of)

    recorder = TrialRecorder(run.store, each, advance, take_in, plan.concurrent)
    work = trainable(
        on_fit_nodes(retrain_trial, run.demands),
        plan.trial_size,
        inputs=run.trial_inputs(run.earlier.training if run.earlier else None),
    )
    searcher, callbacks = cast("TuneSearcher", winners), [recorder, *run.trackers]
    known = known_epochs(run.store, "trials", "architecture")
    with run.spending("retrain", plan.concurrent * plan.gpus_per_trial):
        run_trials(work, searcher, callbacks, each, plan.trial_size, plan.concurrent, known)
        if not winners.exhausted:
            raise StageError("retraining ended early; run the same command again to continue")
