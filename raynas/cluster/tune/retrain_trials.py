"""Retraining as Ray Tune trials: each winner from scratch, scheduled, resumable, recorded.

A trial writes its own checkpoint into the run folder now and then and starts from it when it is
tried again, by Tune after a failure or by a person who runs the same command. What it has done
since is done again, with the same results.
Tune's own folder is temporary: raynas resumes from its tables and never restores from pickles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from ray import tune

from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.epoch_trials import TrialInputs, epochs_of, resume
from raynas.cluster.tune.experiment import run_experiment
from raynas.cluster.tune.ray_train import Report
from raynas.cluster.tune.schedulers import Epochs, make_scheduler, rungs
from raynas.cluster.tune.trial_recorder import (
    ARCHITECTURES,
    RIVALS,
    TEACHERS,
    VALIDATED,
    TrialsOf,
)
from raynas.cluster.tune.trial_watchdog import Watch, WatchedSearcher
from raynas.cluster.tune.tune_searcher import TuneSearcher
from raynas.data.dataset import Dataset
from raynas.data.whole_training_part import with_whole_training_part
from raynas.recording.answers import Answering, write_answers, write_mistakes
from raynas.settings.retrain import RetrainSettings
from raynas.training.answers import last_look
from raynas.training.checkpoints import checkpoint_path, model_path
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.new_network import chosen_of
from raynas.training.retraining import Retraining


def retrain_trial(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup = ALONE,
    report: Report = tune.report,
) -> None:
    """Train ``config["architecture"]``, a rival or a teacher to its last epoch, with reports.

    All workers of a group report, since Ray Train waits for all of them; rank 0 writes the files.
    What an earlier run has trained with the same settings is where the trial begins: the training
    is the same, so only what that run did not do is left. Where ``config["anew"]`` is true, that
    run has another network under this name.
    """
    if config.get("anew"):
        inputs = replace(inputs, earlier=None)
    inputs.use_threads()
    settings, store = inputs.settings.retrain, inputs.store
    dataset = _images(inputs)
    path = checkpoint_path(_training(config, inputs))
    retraining = _begun(config, inputs, group, dataset, path)
    counted = store.written  # bytes that the driver has heard of
    ahead, seconds = _ahead(retraining, dataset, settings), settings.checkpoint_seconds
    # a trial that is stopped has no time to save what it has: it waits in its report
    promised = rungs(settings)
    told: dict[str, float] = {}
    for told in epochs_of(
        retraining, settings.epochs, path, inputs, group, ahead, seconds, promised
    ):
        if retraining.epoch < settings.epochs:
            written = store.written  # once: a checkpoint may be done meanwhile
            report(_progress(retraining) | told | {"written_bytes": written - counted})
            counted = written
    found = _tested(config, inputs, group, dataset, retraining)
    found["written_bytes"] = store.written - counted
    report(_progress(retraining) | told | found)


def _images(inputs: TrialInputs) -> Dataset:
    """Return the images of a trial, which may be trained on those for validation, too."""
    if inputs.trained_on == "train":
        return inputs.dataset
    return with_whole_training_part(inputs.dataset)


def _of(config: dict[str, Any]) -> TrialsOf:
    return next(each for each in (RIVALS, TEACHERS, ARCHITECTURES) if each.column in config)


def _training(config: dict[str, Any], inputs: TrialInputs) -> str:
    """Return the name of a training, as part of the names of files."""
    of = _of(config)
    return of.training(config[of.column], inputs.trained_on)


def _begun(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup,
    dataset: Dataset,
    path: str,
) -> Retraining:
    """Return a training as its checkpoint left it, or else at its beginning."""
    chosen = chosen_of(config.get("chosen") or config["architecture"])
    retraining = Retraining(
        inputs.space,
        chosen,
        dataset,
        inputs.settings.retrain,
        inputs.settings.seed,
        inputs.device,
        group,
        inputs.beginning(chosen, dataset, continued=inputs.begun(path) is not None),
        teacher=inputs.teacher,
    )
    resume(retraining, path, inputs, group)
    return retraining


def _ahead(retraining: Retraining, dataset: Dataset, settings: RetrainSettings) -> float:
    """Return how many epochs' time may pass before a report, at most.

    The last one waits for the test, too, and for statistics that are averaged anew.
    """
    again = settings.recalibration_batches / retraining.steps_per_epoch
    return 1 + (len(dataset.val) + len(dataset.test)) / len(dataset.train) + again


def _tested(
    config: dict[str, Any],
    inputs: TrialInputs,
    group: DataParallelGroup,
    dataset: Dataset,
    retraining: Retraining,
) -> dict[str, Any]:
    """Look at the test part, the one time that anyone does; write weights and answers."""
    temperature = config.get("temperature")
    device = torch.device(inputs.device)
    look = last_look(retraining.evaluate, dataset, device, group, temperature)
    store, of, name = inputs.store, _of(config), _training(config, inputs)
    if group.rank == 0 and of is not TEACHERS:
        answering = Answering(name, config[of.column], of is RIVALS, inputs.trained_on)
        write_answers(store, answering, look.answers)
        write_mistakes(store, answering, look.answers["test"], dataset.test)
    if group.rank == 0:
        store.write_bytes(model_path(name), retraining.weights())
    return {
        "test_accuracy": look.test.accuracy,
        "test_balanced_accuracy": look.test.balanced_accuracy,
        "test_images": len(dataset.test),
        "temperature": look.temperature,
    }


def _progress(retraining: Retraining) -> dict[str, Any]:
    last = retraining.history[-1]
    found = {name: getattr(last, name) for name in ("epoch", *VALIDATED)}
    return found | {"history": [asdict(epoch) for epoch in retraining.history]}


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
