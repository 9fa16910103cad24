"""Retraining as Ray Tune trials: each winner from scratch, scheduled, resumable, recorded.

A trial writes its own checkpoint into the run folder after each epoch and starts from
it when it is tried again, by Tune after a failure or by a person who runs the same command.
Tune's own folder is temporary: raynas resumes from its tables and never restores from pickles.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from ray import tune
from ray.tune.search import Searcher

from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.failure_report import failure_text
from raynas.cluster.tune.ray_train import Report
from raynas.cluster.tune.schedulers import Epochs, make_scheduler
from raynas.cluster.tune.trial_silence import WorkTime
from raynas.cluster.tune.trial_watchdog import Watch, WatchedSearcher
from raynas.data.dataset import Dataset
from raynas.recording.outcomes import TrialEnd
from raynas.settings.settings import Settings
from raynas.settings.stages import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.run_store import RunStore
from raynas.terminal.eta import longest_queue
from raynas.terminal.progress_bars import Advance
from raynas.training.checkpoints import checkpoint_path, is_whole, model_path
from raynas.training.data_parallel_group import ALONE, Team
from raynas.training.retraining import Retraining

_VALIDATED = ("val_accuracy", "val_balanced_accuracy")
_TESTED = ("test_accuracy", "test_balanced_accuracy", "test_images")


def retrain_trial(  # noqa: PLR0913 - what a trial is made of
    config: dict[str, Any],
    space: Space,
    dataset: Dataset,
    settings: Settings,
    store: RunStore,
    gpus: float,
    team: Team = ALONE,
    report: Report = tune.report,
    earlier: RunStore | None = None,
) -> None:
    """Train ``config["architecture"]`` to its last epoch, reporting after each.

    All workers of a team report, since Ray Train waits for all of them; rank 0 writes the files.
    What an earlier run has trained with the same settings is where the trial begins: the training
    is the same, so only what that run did not do is left.
    """
    torch.set_num_threads(settings.retrain.cpus_per_trial)
    text = config["architecture"]
    retraining = Retraining(
        space,
        Architecture.parse(text),
        dataset,
        settings.retrain,
        settings.images.augment,
        settings.seed,
        "cuda" if gpus else "cpu",
        team,
    )
    begun = next(
        (of for of in (store, earlier) if of and is_whole(of, checkpoint_path(text))), None
    )
    if begun:
        retraining.restore(begun.read_bytes(checkpoint_path(text)))
        if team.rank == 0 and begun is earlier:  # it may have been trained to its end
            store.write_bytes(checkpoint_path(text), retraining.to_bytes())
    counted = store.written  # bytes that the driver has heard of
    # the last report waits for the test, too, of which every worker looks at all images
    work, told = WorkTime(1 + team.size * len(dataset.test) / len(dataset.train)), {}
    while retraining.epoch < settings.retrain.epochs:
        work.begin()
        retraining.run_epoch()
        if team.rank == 0:
            store.write_bytes(checkpoint_path(text), retraining.to_bytes())
        told = work.told()
        if retraining.epoch < settings.retrain.epochs:
            report(_progress(retraining) | told | {"written_bytes": store.written - counted})
            counted = store.written
    test = retraining.evaluate("test")  # the one time that anyone looks at the test part
    if team.rank == 0:
        store.write_bytes(model_path(text), retraining.weights())
    found = {
        "test_accuracy": test.accuracy,
        "test_balanced_accuracy": test.balanced_accuracy,
        "test_images": len(dataset.test),
        "written_bytes": store.written - counted,
    }
    report(_progress(retraining) | told | found)


def _progress(retraining: Retraining) -> dict[str, Any]:
    last = retraining.history[-1]
    found = {name: getattr(last, name) for name in ("epoch", *_VALIDATED)}
    return found | {"history": [asdict(epoch) for epoch in retraining.history]}


class TrialRecorder(tune.Callback):
    """Writes the table ``trials`` as epochs arrive and hands on how trials end."""

    def __init__(
        self,
        store: RunStore,
        settings: RetrainSettings,
        advance: Advance,
        on_end: Callable[[TrialEnd], None],
        concurrent: int = 1,
    ) -> None:
        """Keep where to write and whom to tell.

        Args:
            store: The run folder.
            settings: What a trial is to do.
            advance: Moves the stage's bar on.
            on_end: Told how a trial ended.
            concurrent: Trials at a time.
        """
        self._store = store
        self._settings = settings
        self._advance = advance
        rows = store.table("trials", ["architecture"])["architecture"]
        self._done = Counter(rows.to_pylist())  # epochs
        self._ended: set[str] = set()
        self._on_end = on_end
        self._concurrent = concurrent

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks, but nothing is ever restored from there."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write the trial's epochs so far; the part is replaced each time."""
        del iteration, trials, info
        text = trial.config["architecture"]
        rows = [
            {"trial": trial.trial_id, "architecture": text, **epoch} for epoch in result["history"]
        ]
        self._store.append("trials", rows, part=text)
        self._store.written += result.get("written_bytes", 0)  # by the trial, elsewhere
        self._done[text] = result["epoch"]
        accuracy = f"{text} {result['val_accuracy']:.3f}"
        self._advance(sum(self._done.values()), accuracy, self._left())

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
        text = trial.config["architecture"]
        checkpoint = model_path(text) if status == "finished" else None
        self._ended.add(text)
        found = {name: last.get(name) for name in (*_VALIDATED, *_TESTED)}
        self._on_end(TrialEnd(text, epochs, status=status, checkpoint=checkpoint, **found))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that the trial failed for good, and why."""
        del iteration, trials, info
        last = trial.last_result or {}
        error = failure_text(trial, self._settings)
        text, epochs = trial.config["architecture"], last.get("epoch", 0)
        self._ended.add(text)
        found = dict.fromkeys(_TESTED) | {name: last.get(name) for name in _VALIDATED}
        self._on_end(TrialEnd(text, epochs, status="failed", error=error, **found))


class Silence(tune.ProgressReporter):
    """Prints nothing; the launch script draws its own progress."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        del trials, done
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Print nothing."""
        del trials, done, sys_info


def run_trials(  # noqa: PLR0913 - what an experiment is made of
    trainable: Any,
    searcher: Searcher,
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
    with tempfile.TemporaryDirectory(prefix="raynas-tune-") as folder:
        tune.Tuner(
            tune.with_resources(trainable, size.own),
            tune_config=tune.TuneConfig(
                metric="val_accuracy",
                mode="max",
                search_alg=WatchedSearcher(searcher, watch),
                scheduler=make_scheduler(settings, earlier or {}),
                num_samples=-1,
                max_concurrent_trials=concurrent,
                # A process costs seconds. Tune ends those of failed and killed trials, and the
                # thread of a trial that asha stops waits in its report, so it ends at once. The
                # lead of several workers does not, and Tune would fail the next trial for good.
                reuse_actors=size.workers == 1,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                progress_reporter=Silence(),
                callbacks=[watch, *others],
                failure_config=tune.FailureConfig(max_failures=settings.max_failures),
            ),
        ).fit()
