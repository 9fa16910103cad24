"""Which teacher a run has: one that is opened at once, or a network of a library, trained first."""

import contextlib
from dataclasses import dataclass

import torch

from raynas.costs.costs import show_amount
from raynas.costs.latency_table import Task
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.rivals import Rival, cost_of, refuse_unknown
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown
from raynas.training.checkpoints import is_whole
from raynas.training.new_network import new_network
from raynas.training.teacher import Teacher, TorchNetwork
from raynas.training.teacher_file import TEACHER, TeacherFacts, digest_of
from raynas.training.teachers import is_trained_first, open_teacher

_START = "start"


@dataclass(frozen=True)
class PlannedTeacher:
    """A network whose answers are learned.

    Attributes:
        name: As a person asked for it, without keys.
        opened: It is there already; None: the run trains it first.
        chosen: What the run trains; None: it is there.
        macs: Multiply-adds of an image of what the run trains.
    """

    name: str
    opened: Teacher | None = None
    chosen: Rival | Architecture | None = None
    macs: int = 0

    @property
    def recorded(self) -> str:
        """What a run records of it: a digest of what it is, or which network is trained."""
        return digest_of(self.opened.content) if self.opened else str(self.chosen)

    def words(self, settings: RetrainSettings) -> str:
        """Return what a plan says of it.

        Args:
            settings: How much it counts.
        """
        if self.opened:
            seen = f"images of {self.opened.resolution} pixels"
            what = f"{self.name}: {self.opened.name}, {seen}"
        else:
            amount = show_amount("macs", self.macs)
            what = f"{self.chosen} with {amount}, trained first for {settings.epochs} epochs"
        share = f"{settings.teacher_weight:g} of the loss at temperature {settings.temperature:g}"
        return f"{what}; {share}"

    def facts(self, dataset: Dataset, space: Space) -> TeacherFacts:
        """Return what is known of the network that the run trains.

        Args:
            dataset: The images that it is trained on.
            space: The searched space.
        """
        is_rival = isinstance(self.chosen, Rival)
        return TeacherFacts(
            name=f"{self.chosen}, trained here",
            classes=dataset.class_names,
            channels=dataset.channels,
            resolution=dataset.resolution,
            mean=tuple(dataset.mean.tolist()),
            std=tuple(dataset.std.tolist()),
            rival=str(self.chosen) if is_rival else None,
            architecture=None if is_rival else str(self.chosen),
            space=space.name,
        )

    def stand_in(self, dataset: Dataset, space: Space) -> Teacher:
        """Return what takes as long as the teacher, which may have no weights yet.

        Args:
            dataset: The images.
            space: The searched space.
        """
        if self.opened:
            return self.opened
        assert self.chosen is not None
        with torch.random.fork_rng(devices=[]):
            network = new_network(space, self.chosen, _task(dataset), 0.0)
        facts = self.facts(dataset, space)
        return facts.teacher(TorchNetwork(network), b"")


def plan_teacher(
    settings: RetrainSettings,
    dataset: Dataset,
    space: Space,
    store: RunStore,
    recorded: PlanFacts | None,
) -> PlannedTeacher | None:
    """Return the teacher that settings name; None: they name none.

    Args:
        settings: Name it.
        dataset: The images, which it must know.
        space: Before identity is added.
        store: The run folder; in that of a run that is continued lies a copy, which serves where
            the original is gone.
        recorded: What a run that is continued has recorded.

    Raises:
        UserError: It cannot be read, it does not know these classes, there is none of that name, or
            the run has recorded another one.
    """
    if settings.teacher is None:
        return None
    found = _found(settings.teacher, dataset, space, store if recorded else None)
    if recorded and recorded.teacher != found.recorded:
        raise UserError(
            f"--retrain.teacher {found.name}: the run folder has recorded another network "
            f"(digest {recorded.teacher}, now {found.recorded}); choose another --run, or bring "
            "the old file back"
        )
    return found


def _found(source: str, dataset: Dataset, space: Space, kept: RunStore | None) -> PlannedTeacher:
    if source == _START:
        raise UserError(
            "--retrain.teacher start: the run begins from no trained network; name the teacher"
        )
    if not is_trained_first(source):
        return PlannedTeacher(shown(source), _opened(source, dataset, space, kept))
    refuse_unknown(source, "--retrain.teacher")
    rival = Rival(source)
    try:
        macs = cost_of(rival, _task(dataset)).macs
    except UserError as error:
        raise UserError(f"--retrain.teacher {source}: {error}") from error
    return PlannedTeacher(source, chosen=rival, macs=macs)


def _opened(source: str, dataset: Dataset, space: Space, kept: RunStore | None) -> Teacher:
    """Return a teacher that is there, or the run's own copy of one that was."""
    if kept is not None and is_whole(kept, TEACHER):
        with contextlib.suppress(UserError):
            return open_teacher(source, dataset, space)
        source = kept.locate(TEACHER)
    return open_teacher(source, dataset, space)


def _task(dataset: Dataset) -> Task:
    return Task(dataset.channels, dataset.resolution, dataset.num_classes)
