"""Trainings of networks that are chosen already: as Tune trials, written as they end.

The stage ``retrain`` uses them for the winners of a search, and at the end for the first-ranked
network once more, on the validation images as well: those have served their purpose then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.run import Run
from raynas.cluster.tune.ray_train import trainable
from raynas.cluster.tune.retrain_trials import retrain_trial, run_trials
from raynas.cluster.tune.schedulers import known_epochs
from raynas.cluster.tune.trial_recorder import ARCHITECTURES, TrialRecorder, TrialsOf
from raynas.cluster.tune.tune_searcher import ConfigSearcher, TuneSearcher
from raynas.errors import StageError
from raynas.recording.outcomes import Outcomes, TrialEnd
from raynas.settings.retrain import RetrainSettings
from raynas.storage.outcome_rows import TrainedOn


@dataclass(frozen=True)
class Trainings:
    """Trainings of a stage.

    Attributes:
        stage: Its name in forecasts and on bars.
        settings: Of each training; ``top_k`` is how many there are.
        trained_on: The images that networks are trained on.
        of: What they are of.
        is_taught: Whether they learn a teacher's answers, where the run has one.
    """

    stage: str
    settings: RetrainSettings
    trained_on: TrainedOn = "train"
    of: TrialsOf = ARCHITECTURES
    is_taught: bool = True


class Suggestions(Protocol):
    """A Tune searcher over networks to train."""

    @property
    def exhausted(self) -> bool:
        """Whether none is left to train."""


def train(
    run: Run, searcher: Suggestions, trainings: Trainings, on_end: Callable[[TrialEnd], None]
) -> None:
    """Train from scratch what a searcher suggests, and write the table of their epochs.

    Args:
        run: The run.
        searcher: Says which networks.
        trainings: What they are.
        on_end: Told how each training ended.

    Raises:
        StageError: The trials ended before all of them were trained.
    """
    plan, each = run.plan, trainings.settings
    trained_on, of = trainings.trained_on, trainings.of
    concurrent = min(plan.checkers, each.top_k)
    advance = run.stages.stage(trainings.stage, each.top_k * each.epochs, "epochs", concurrent)

    def take_in(end: TrialEnd) -> None:
        if end.error:
            run.stages.print(end.error)
        on_end(end)

    recorder = TrialRecorder(run.store, each, advance, take_in, concurrent, trained_on, of)
    earlier = run.earlier.training if run.earlier else None
    work = trainable(
        on_fit_nodes(retrain_trial, run.demands),
        plan.trial_size,
        inputs=run.trial_inputs(earlier, trained_on, trainings.is_taught),
    )
    callbacks = [recorder, *run.trackers]
    known = known_epochs(run.store, of.table, of.column)
    with run.spending(trainings.stage, concurrent * plan.gpus_per_trial):
        run_trials(
            work,
            cast("TuneSearcher", searcher),
            callbacks,
            each,
            plan.trial_size,
            concurrent,
            known,
        )
        if not searcher.exhausted:
            raise StageError("retraining ended early; run the same command again to continue")


def train_on_all(run: Run) -> None:
    """Train the first-ranked networks once more from their start, on all images but the test's.

    Args:
        run: One whose winners were trained.

    Raises:
        StageError: The trials ended early.
    """
    retrain = run.settings.retrain
    outcomes = Outcomes(run.store, run.plan.costs, run.settings.search.goals, run.plan.space)
    best = outcomes.best(retrain.final_k)
    settled = outcomes.settled("all")
    left = [architecture for architecture in best if architecture not in settled]
    if not left:
        return
    searcher = ConfigSearcher(
        [
            # no image is left to fit one to: the temperature of the first training, by one recipe
            {
                "architecture": str(architecture),
                "trained_on": "all",
                "temperature": outcomes.temperature(architecture),
            }
            for architecture in left
        ]
    )
    # nothing is known by which one of them could be stopped
    each = replace(retrain, top_k=len(best), scheduler="fifo")
    train(
        run,
        searcher,
        Trainings("final", each, "all"),
        lambda end: outcomes.add(end, best.__getitem__),
    )
