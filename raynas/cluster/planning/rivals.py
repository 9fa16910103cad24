"""Which networks stand beside the winners: those that are named, or that the run's facts ask for.

The default, ``auto``, is a rule of settings and images, not of the machine: whoever begins from
trained weights would otherwise take these as they are, on smaller images or narrower, and whoever
has a few photographs would take a family that everyone knows.
"""

from dataclasses import dataclass

from raynas.cluster.planning.rival_choices import PlannedRival, RivalChoices
from raynas.costs.latency_table import Task
from raynas.data.dataset import Dataset
from raynas.data.sizes import are_photographs
from raynas.errors import UserError
from raynas.nets.rivals import PRETRAINED, Rival
from raynas.settings.settings import Settings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import NARROW, RANDOM, SCALED, START, is_of_library
from raynas.storage.run_store import RunStore
from raynas.training.starts.library_weights import LibraryWeights, library_weights
from raynas.training.teachers import is_trained_first

_STRONGEST = ("mobilenet_v3_large", "efficientnet_b0")
"""Families that people take for photographs on small devices."""


@dataclass(frozen=True)
class Rivals:
    """The networks beside the winners.

    Attributes:
        planned: Those that are trained.
        left_out: A sentence for each that cannot be, by its name.
        auto: The names that ``--rivals auto`` came to; None: nobody asked for it.
    """

    planned: tuple[PlannedRival, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    auto: tuple[str, ...] | None = None

    @property
    def recorded(self) -> dict[str, str]:
        """What a run records of them: which network each name has come to."""
        return {each.name: str(each.chosen) for each in self.planned}

    @property
    def words(self) -> str:
        """All of them, for people."""
        return ", ".join(each.words for each in self.planned)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each that is left out, or begins from less than it could."""
        new = [each for each in self.planned if each.why_new]
        return (
            *(f"rival {name} is left out: {why}" for name, why in self.left_out),
            *(f"rival {each.name} begins from new weights: {each.why_new}" for each in new),
        )


def plan_rivals(choices: RivalChoices, dataset: Dataset, recorded: PlanFacts | None) -> Rivals:
    """Return the networks beside the winners, each as wide as the limits allow.

    Args:
        choices: Say what a name comes to.
        dataset: The images.
        recorded: What a run that is continued has recorded: it keeps what ``auto`` came to.
    """
    settings, auto = choices.settings, None
    if settings.has_auto_rivals:
        auto = tuple(recorded.auto_rivals or ()) if recorded else auto_names(choices, dataset)
    planned, left_out = [], []
    for name in dict.fromkeys((*(auto or ()), *settings.rival_names)):
        try:
            planned.append(choices.choose(name))
        except UserError as error:
            left_out.append((name, str(error)))
    return Rivals(tuple(planned), tuple(left_out), auto)


def auto_names(choices: RivalChoices, dataset: Dataset) -> tuple[str, ...]:
    """Return the names that ``--rivals auto`` comes to.

    Args:
        choices: Know whether trained weights are the start, and whether they keep the limits.
        dataset: The images.
    """
    if choices.member is not None:
        shrunk = () if choices.excess_of_start is None else (SCALED, NARROW)
        return (START, *shrunk, RANDOM)
    return (*_STRONGEST, RANDOM) if are_photographs(dataset) else ()


def weights_of_libraries(
    settings: Settings, store: RunStore, recorded: PlanFacts | None, task: Task
) -> dict[str, LibraryWeights]:
    """Return trained weights of the libraries' networks that a run names, by their names.

    Only a run that begins from trained weights itself asks for them: elsewhere all begin untrained.

    Args:
        settings: Name rivals and a teacher.
        store: The run folder.
        recorded: What a run that is continued has recorded: only those that it began from then.
        task: What they are to classify.
    """
    if settings.start is None:
        return {}
    teacher = settings.retrain.teacher
    names = {name for name in settings.rival_names if is_of_library(name)}
    names |= {teacher} if teacher and is_trained_first(teacher) else set()
    if recorded:
        begun = (*recorded.rivals.values(), recorded.teacher or "")
        names &= {Rival.parse(text).name for text in begun if text.endswith(PRETRAINED)}
    kept = store if recorded else None
    return {name: library_weights(name, task, kept) for name in sorted(names)}
