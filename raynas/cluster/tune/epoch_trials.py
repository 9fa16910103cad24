"""Trials that train epoch by epoch: begun where a run folder left them, saved now and then."""

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch

from raynas.cluster.tune.trial_silence import WorkTime
from raynas.data.dataset import Dataset
from raynas.nets.rivals import Rival
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space
from raynas.storage.outcome_rows import TrainedOn
from raynas.storage.run_store import RunStore
from raynas.training.checkpoint_writer import CheckpointWriter, EpochTraining
from raynas.training.checkpoints import is_whole
from raynas.training.data_parallel_group import DataParallelGroup
from raynas.training.new_network import Chosen
from raynas.training.retraining import Begin
from raynas.training.starts.inheriting import begin_from_, begin_library_
from raynas.training.starts.library_weights import weights_path
from raynas.training.starts.start import read_start
from raynas.training.teacher import Teacher


@dataclass(frozen=True)
class TrialInputs:
    """What all trials of a stage are given, beside their configs."""

    space: Space
    dataset: Dataset
    settings: Settings
    store: RunStore
    """The run folder, for checkpoints."""
    gpus: float
    """Of a worker; 0: it computes on CPUs."""
    earlier: RunStore | None = None
    """An earlier run whose trainings are the same; a trial begins where that one stopped."""
    trained_on: TrainedOn = "train"
    """The images that networks are trained on."""
    teacher: Teacher | None = None
    """Whose answers they learn."""

    @property
    def device(self) -> str:
        """What a worker computes on."""
        return "cuda" if self.gpus else "cpu"

    def beginning(self, chosen: Chosen, dataset: Dataset, continued: bool = False) -> Begin | None:
        """Return what gives a network trained weights to begin with; None: it begins at random.

        Args:
            chosen: The network; a library's inherits its own library's weights, if it says so.
            dataset: The images that it is trained on.
            continued: Whether a checkpoint takes the place of these weights.
        """
        seed = self.settings.seed
        if isinstance(chosen, Rival):
            if not chosen.pretrained:
                return None
            content = self.store.read_bytes(weights_path(chosen.name))
            return lambda network: begin_library_(network, content, dataset, seed, continued)
        if self.settings.start is None:
            return None
        start = read_start(self.store)
        return lambda network: begin_from_(network, start, self.space, dataset, seed, continued)

    def begun(self, path: str) -> RunStore | None:
        """Return the run folder that has a checkpoint of a training, or None.

        Args:
            path: Of the checkpoint, in this run's folder and in an earlier one's.
        """
        folders = (each for each in (self.store, self.earlier) if each)
        return next((each for each in folders if is_whole(each, path)), None)

    def use_threads(self) -> None:
        """Give torch the CPUs of a trial."""
        torch.set_num_threads(self.settings.retrain.cpus_per_trial)


def resume(
    training: EpochTraining, path: str, inputs: TrialInputs, group: DataParallelGroup
) -> None:
    """Restore a training from the checkpoint of this run, or of the earlier one.

    Args:
        training: Fresh.
        path: Of the checkpoint, in both run folders.
        inputs: The run folders.
        group: Its rank 0 copies an earlier run's checkpoint, which may be of the last epoch.
    """
    begun = inputs.begun(path)
    if begun is None:
        return
    training.restore(begun.read_bytes(path))
    if group.rank == 0 and begun is inputs.earlier:
        inputs.store.write_bytes(path, training.to_bytes())


def epochs_of(  # noqa: PLR0913 - a loop and what it saves
    training: EpochTraining,
    last: int,
    path: str,
    inputs: TrialInputs,
    group: DataParallelGroup,
    ahead: float = 1.0,
    seconds: float = 0.0,
    promised: Collection[int] = (),
) -> Iterator[dict[str, float]]:
    """Train to the last epoch; after each, save, and yield how long the next may stay silent.

    Args:
        training: Fresh or resumed.
        last: The number of epochs, which is also the last one that is saved.
        path: Of the checkpoint, which rank 0 of the group writes.
        inputs: The run folder.
        group: The workers that train together.
        ahead: Times the longest epoch so far that passes before the next report, at most.
        seconds: From one checkpoint to the next, at least; 0: each epoch has one when it is told.
        promised: Epochs that have one when they are told, beside the last one.
    """
    work = WorkTime(ahead)
    write = partial(inputs.store.write_bytes, path)
    writer = CheckpointWriter(write, seconds, {*promised, last}) if group.rank == 0 else None
    with writer or nullcontext():
        while training.epoch < last:
            work.begin()
            training.run_epoch()
            if writer is not None:
                writer.add_epoch(training)
            yield work.told()
