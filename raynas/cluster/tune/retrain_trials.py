"""Retraining as Ray Tune trials: each winner from scratch, scheduled, resumable, recorded.

A trial writes its own checkpoint into the run folder now and then and starts from it when it is
tried again, by Tune after a failure or by a person who runs the same command. What it has done
since is done again, with the same results.
Tune's own folder is temporary: raynas resumes from its tables and never restores from pickles.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from ray import tune

from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.epoch_trials import TrialInputs, epochs_of, resume
from raynas.cluster.tune.experiment import Recorder, run_experiment
from raynas.cluster.tune.failure_report import failure_text
from raynas.cluster.tune.ray_train import Report
from raynas.cluster.tune.schedulers import Epochs, make_scheduler, rungs
from raynas.cluster.tune.trial_watchdog import Watch, WatchedSearcher
from raynas.cluster.tune.tune_searcher import TuneSearcher
from raynas.data.whole_training_part import with_whole_training_part
from raynas.recording.answers import Answering, write_answers, write_mistakes
from raynas.recording.outcomes import TrialEnd
from raynas.settings.retrain import RetrainSettings
from raynas.storage.outcome_rows import TrainedOn, is_on_all, rival_file, training_name
from raynas.storage.run_store import RunStore
from raynas.terminal.eta import longest_queue
from raynas.terminal.progress_bars import Advance
from raynas.training.answers import last_look
from raynas.training.checkpoints import checkpoint_path, model_path
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.new_network import chosen_of
from raynas.training.retraining import Retraining

_VALIDATED = ("val_accuracy", "val_balanced_accuracy")
_TESTED = ("test_accuracy", "test_balanced_accuracy", "test_images", "temperature")


@dataclass(frozen=True)
class TrialsOf:
    """What trials train, and where its epochs are written.

    Attributes:
        table: Of the epochs.
        column: That names the network, there and in the config of a trial.
    """

    table: Literal["trials", "rival_epochs", "teacher_epochs"]
    column: Literal["architecture", "rival", "teacher"]

    def training(self, text: str, trained_on: TrainedOn) -> str:
        """Return the name of a training, as part of the names of files."""
        if self.column == "teacher":  # of which there is one
            return self.column
        return training_name(
            text if self.column == "architecture" else rival_file(text), trained_on
        )


ARCHITECTURES = TrialsOf("trials", "architecture")
RIVALS = TrialsOf("rival_epochs", "rival")
TEACHERS = TrialsOf("teacher_epochs", "teacher")


def retrain_trial(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup = ALONE,
    report: Report = tune.report,
) -> None:
    """Train ``config["architecture"]``, a rival or a teacher to its last epoch, with reports.

    All workers of a group report, since Ray Train waits for all of them; rank 0 writes the files.
    What an earlier run has trained with the same settings is where the trial begins: the training
    is the same, so only what that run did not do is left.
    """
    inputs.use_threads()
    trained_on, settings = inputs.trained_on, inputs.settings
    of = next(each for each in (RIVALS, TEACHERS, ARCHITECTURES) if each.column in config)
    dataset = inputs.dataset if trained_on == "train" else with_whole_training_part(inputs.dataset)
    name = of.training(config[of.column], trained_on)
    path = checkpoint_path(name)
    chosen = chosen_of(config.get("chosen") or config["architecture"])
    retraining = Retraining(
        inputs.space,
        chosen,
        dataset,
        settings.retrain,
        settings.seed,
        inputs.device,
        group,
        inputs.beginning(chosen, dataset, continued=inputs.begun(path) is not None),
        teacher=inputs.teacher,
    )
    store, last = inputs.store, settings.retrain.epochs
    resume(retraining, path, inputs, group)
    counted = store.written  # bytes that the driver has heard of
    # the last report waits for the test, too, and for statistics that are averaged anew
    again = settings.retrain.recalibration_batches / retraining.steps_per_epoch
    ahead = 1 + (len(dataset.val) + len(dataset.test)) / len(dataset.train) + again
    seconds = settings.retrain.checkpoint_seconds
    # a trial that is stopped has no time to save what it has: it waits in its report
    promised = rungs(settings.retrain)
    told: dict[str, float] = {}
    for told in epochs_of(retraining, last, path, inputs, group, ahead, seconds, promised):
        if retraining.epoch < last:
            written = store.written  # once: a checkpoint may be done meanwhile
            report(_progress(retraining) | told | {"written_bytes": written - counted})
            counted = written
    # the one time that anyone looks at the test part
    look = last_look(
        retraining.evaluate,
        dataset,
        torch.device(inputs.device),
        group,
        config.get("temperature"),
    )
    if group.rank == 0 and of is not TEACHERS:
        answering = Answering(name, config[of.column], of is RIVALS, trained_on)
        write_answers(store, answering, look.answers)
        write_mistakes(store, answering, look.answers["test"], dataset.test)
    if group.rank == 0:
        store.write_bytes(model_path(name), retraining.weights())
    found = {
        "test_accuracy": look.test.accuracy,
        "test_balanced_accuracy": look.test.balanced_accuracy,
        "test_images": len(dataset.test),
        "temperature": look.temperature,
        "written_bytes": store.written - counted,
    }
    report(_progress(retraining) | told | found)


def _progress(retraining: Retraining) -> dict[str, Any]:
    last = retraining.history[-1]
    found = {name: getattr(last, name) for name in ("epoch", *_VALIDATED)}
    return found | {"history": [asdict(epoch) for epoch in retraining.history]}


class TrialRecorder(Recorder):
    """Writes the epochs of trials as they arrive, and hands on how trials end."""

    def __init__(  # noqa: PLR0913 - what is written, and of what
        self,
        store: RunStore,
        settings: RetrainSettings,
        advance: Advance,
        on_end: Callable[[TrialEnd], None],
        concurrent: int = 1,
        trained_on: TrainedOn = "train",
        of: TrialsOf = ARCHITECTURES,
    ) -> None:
        """Keep where to write and whom to tell.

        Args:
            store: The run folder.
            settings: What a trial is to do.
            advance: Moves the stage's bar on.
            on_end: Told how a trial ended.
            concurrent: Trials at a time.
            trained_on: The images that they train on.
            of: What they train.
        """
        self._of = of
        self._trained_on: TrainedOn = trained_on
        self._store = store
        self._settings = settings
        self._advance = advance
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in sorted(store.rows(of.table), key=lambda row: int(row["epoch"])):
            if is_on_all(row) == (trained_on == "all"):
                self._rows[row[of.column]].append(row)
        self._done = {text: len(rows) for text, rows in self._rows.items()}  # epochs
        self._ended: set[str] = set()
        self._on_end = on_end
        self._concurrent = concurrent

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write the trial's epochs so far; the part is replaced each time.

        Epochs that a trial had done after its last checkpoint keep their rows until it has done
        them again.
        """
        del iteration, trials, info
        text = trial.config[self._of.column]
        rows, history = self._rows[text], result["history"]
        rows[: len(history)] = [
            {
                "trial": trial.trial_id,
                self._of.column: text,
                "trained_on": self._trained_on,
                **epoch,
            }
            for epoch in history
        ]
        part = self._of.training(text, self._trained_on)
        self._store.append(self._of.table, rows, part=part)
        self._store.written += result.get("written_bytes", 0)  # by the trial, elsewhere
        self._done[text] = result["epoch"]
        accuracy = result["val_accuracy"]
        found = "on all images" if accuracy is None else f"{accuracy:.3f}"
        self._advance(sum(self._done.values()), f"{text} {found}", self._left())

    def _left(self) -> float:
        """Return the epochs until the last trial ends; some wait until others have ended."""
        each, begun = self._settings.epochs, self._done.items()
        lengths = [each - done for text, done in begun if text not in self._ended]
        lengths += [each] * (self._settings.top_k - len(self._done))
        return longest_queue(lengths, self._concurrent)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell how the trial ended."""
        del iteration, trials, info
        last = trial.last_result
        epochs = last.get("epoch", 0)
        status = "finished" if epochs == self._settings.epochs else "stopped"
        text = trial.config[self._of.column]
        weights = model_path(self._of.training(text, self._trained_on))
        checkpoint = weights if status == "finished" else None
        found = {name: last.get(name) for name in (*_VALIDATED, *_TESTED)}
        self._tell_end(text, epochs, status=status, checkpoint=checkpoint, **found)

    def _tell_end(self, text: str, epochs: int, **found: Any) -> None:
        self._ended.add(text)
        self._on_end(TrialEnd(text, epochs, trained_on=self._trained_on, **found))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that the trial failed for good, and why."""
        del iteration, trials, info
        last = trial.last_result or {}
        error = failure_text(trial, self._settings)
        text, epochs = trial.config[self._of.column], last.get("epoch", 0)
        found = dict.fromkeys(_TESTED) | {name: last.get(name) for name in _VALIDATED}
        self._tell_end(text, epochs, status="failed", error=error, **found)


def run_trials(  # noqa: PLR0913 - what an experiment is made of
    trainable: Any,
    searcher: TuneSearcher,
    callbacks: Sequence[tune.Callback],
    settings: RetrainSettings,
    size: TrialSize,
    concurrent: int,
    earlier: Mapping[str, Epochs] | None = None,
) -> None:
    """Run the searcher's trials to their ends.

    Args:
        trainable: What a trial does.
        searcher: Suggests their configs.
        callbacks: The first writes the tables; others may show the trials elsewhere.
        settings: Epochs, scheduler and failures of a trial.
        size: The workers of a trial, and what they take.
        concurrent: Trials at a time.
        earlier: What trials have done before, also those that have ended, for the scheduler.
    """
    recorder, *others = callbacks
    watch = Watch(recorder)
    run_experiment(
        trainable,
        size.own,
        [watch, *others],
        settings.max_failures,
        metric="val_accuracy",
        mode="max",
        search_alg=WatchedSearcher(searcher, watch),
        scheduler=make_scheduler(settings, earlier or {}),
        num_samples=-1,
        max_concurrent_trials=concurrent,
        # A process costs seconds. Tune ends those of failed and killed trials, and the thread of
        # a trial that asha stops waits in its report, so it ends at once. The lead of several
        # workers does not, and Tune would fail the next trial for good.
        reuse_actors=size.workers == 1,
    )
