"""Which teacher a run has: one that is opened at once, or a network of a library, trained first."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from raynas.cluster.planning.task_costs import task_of
from raynas.costs.costs import show_amount
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.rivals import Rival, cost_of, refuse_unknown
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import NEW_WEIGHTS, START, shown_rival
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown
from raynas.training.checkpoints import is_whole
from raynas.training.new_network import new_network
from raynas.training.starts.library_weights import LibraryWeights
from raynas.training.starts.start import Start
from raynas.training.teacher import Teacher, TorchNetwork
from raynas.training.teacher_file import TEACHER, TeacherFacts, digest_of
from raynas.training.teachers import is_trained_first, open_teacher
from raynas.training.trained_networks import searched_space


@dataclass(frozen=True)
class PlannedTeacher:
    """A network whose answers are learned.

    Attributes:
        name: As a person asked for it, without keys.
        opened: It is there already; None: the run trains it first.
        chosen: What the run trains; None: it is there.
        macs: Multiply-adds of an image of what the run trains.
        why_new: Why that does not begin from trained weights in a run that does.
    """

    name: str
    opened: Teacher | None = None
    chosen: Rival | Architecture | None = None
    macs: int = 0
    why_new: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence if it begins from less than it could."""
        if not self.why_new:
            return ()
        return (f"teacher {self.name} begins from new weights: {self.why_new}",)

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
            name = shown_rival(self.name, str(self.chosen))
            begun = f" from {NEW_WEIGHTS}" if self.why_new else ""
            what = f"{name} with {amount}, trained first{begun} for {settings.epochs} epochs"
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
            network = new_network(space, self.chosen, task_of(dataset), 0.0)
        facts = self.facts(dataset, space)
        return facts.teacher(TorchNetwork(network), b"")


def plan_teacher(  # noqa: PLR0913 - all that names a network, or that one begins from
    settings: RetrainSettings,
    dataset: Dataset,
    space: Space,
    store: RunStore,
    recorded: PlanFacts | None,
    start: Start | None = None,
    layer_indicator: str = "none",
    weights: Mapping[str, LibraryWeights] | None = None,
) -> PlannedTeacher | None:
    """Return the teacher that settings name; None: they name none.

    Args:
        settings: Name it.
        dataset: The images, which it must know.
        space: Before identity is added.
        store: The run folder; in that of a run that is continued lies a copy, which serves where
            the original is gone.
        recorded: What a run that is continued has recorded.
        start: Trained weights that the run begins from; its network may be the teacher.
        layer_indicator: With which the space is searched.
        weights: Of libraries, from which their networks begin, by name.

    Raises:
        UserError: It cannot be read, it does not know these classes, there is none of that name, or
            the run has recorded another one.
    """
    if settings.teacher is None:
        return None
    if settings.teacher == START:
        found = _of_start(start, dataset, searched_space(space, layer_indicator))
    elif is_trained_first(settings.teacher):
        found = _of_library(settings.teacher, dataset, (weights or {}).get(settings.teacher))
    else:
        kept = store if recorded else None
        found = PlannedTeacher(
            shown(settings.teacher), _opened(settings.teacher, dataset, space, kept)
        )
    if recorded and recorded.teacher != found.recorded:
        raise UserError(
            f"--retrain.teacher {found.name}: the run folder has recorded another network "
            f"(digest {recorded.teacher}, now {found.recorded}); choose another --run, or bring "
            "the old file back"
        )
    return found


def _of_library(source: str, dataset: Dataset, weights: LibraryWeights | None) -> PlannedTeacher:
    """Return a library's network, which the run trains first, from its weights where it has any."""
    refuse_unknown(source, "--retrain.teacher")
    try:
        macs = cost_of(Rival(source), task_of(dataset)).macs
    except UserError as error:
        raise UserError(f"--retrain.teacher {source}: {error}") from error
    is_pretrained = weights is not None and bool(weights.content)
    why_new = weights.words if weights and not is_pretrained else ""
    chosen = Rival(source, pretrained=is_pretrained)
    return PlannedTeacher(source, chosen=chosen, macs=macs, why_new=why_new)


def _of_start(start: Start | None, dataset: Dataset, space: Space) -> PlannedTeacher:
    """Return the network that the run begins from, which it trains on its own classes first."""
    if start is None:
        raise UserError(
            "--retrain.teacher start: the run begins from no trained network; add --start SOURCE, "
            "or name the teacher"
        )
    task = dataset.resolution, dataset.channels, dataset.num_classes
    macs = cost_table(space, *task).of(start.architecture).macs
    return PlannedTeacher(START, chosen=start.architecture, macs=macs)


def _opened(source: str, dataset: Dataset, space: Space, kept: RunStore | None) -> Teacher:
    """Return a teacher that is there, or the run's own copy of one that was."""
    if kept is not None and is_whole(kept, TEACHER):
        with contextlib.suppress(UserError):
            return open_teacher(source, dataset, space)
        source = kept.locate(TEACHER)
    return open_teacher(source, dataset, space)
