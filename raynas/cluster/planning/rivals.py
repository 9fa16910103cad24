"""Which networks stand beside the winners: as wide as the limits allow, or drawn from the space."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from raynas.costs.costs import Cost, CostTable, show_amount
from raynas.costs.latency_table import LatencyTable, Task
from raynas.errors import UserError
from raynas.nets.rivals import RANDOM, Rival, cost_of, fitted
from raynas.nets.timing import Setup, latency_of
from raynas.search.constrained_sampling import LegalSampler
from raynas.seeds import Stream, random_numbers
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture

_DRAWS = 1000  # until one keeps the limits


@dataclass(frozen=True)
class PlannedRival:
    """A network beside the winners.

    Attributes:
        name: As a person asked for it.
        chosen: What is built.
        cost: Of an image; a latency as it was timed here.
    """

    name: str
    chosen: Rival | Architecture
    cost: Cost

    @property
    def words(self) -> str:
        """Which network it is and what it takes, for people."""
        is_drawn = isinstance(self.chosen, Architecture)
        name = f"{self.name} ({self.chosen})" if is_drawn else str(self.chosen)
        return f"{name} with {show_amount('macs', self.cost.macs)}"


@dataclass(frozen=True)
class Rivals:
    """The networks beside the winners.

    Attributes:
        planned: Those that are trained.
        left_out: A sentence for each that cannot be, by its name.
    """

    planned: tuple[PlannedRival, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

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
        """A sentence for each that is left out."""
        return tuple(f"rival {name} is left out: {why}" for name, why in self.left_out)


def plan_rivals(  # noqa: PLR0913 - all that decides which networks they are
    settings: Settings,
    task: Task,
    costs: CostTable,
    sampler: LegalSampler,
    latencies: LatencyTable | None,
    recorded: Mapping[str, str],
) -> Rivals:
    """Return the networks beside the winners, each as wide as the limits allow.

    Args:
        settings: Names them, and the limits.
        task: What they classify.
        costs: Of the space, for one that is drawn.
        sampler: Draws it.
        latencies: A table that says how to time networks, where latencies count.
        recorded: What a run that is continued has chosen, ``PlanFacts.rivals``.
    """
    clock = _clock(task, latencies) if latencies and settings.rival_names else None
    planned, left_out = [], []
    for name in settings.rival_names:
        try:
            if name == RANDOM:
                architecture = _drawn(settings, sampler)
                planned.append(PlannedRival(name, architecture, costs.of(architecture)))
            elif name in recorded:
                rival = Rival.parse(recorded[name])
                cost = cost_of(rival, task)
                cost = replace(cost, latency=clock(rival)) if clock else cost
                planned.append(PlannedRival(name, rival, cost))
            else:
                planned.append(PlannedRival(name, *fitted(name, task, settings.limits, clock)))
        except UserError as error:
            left_out.append((name, str(error)))
    return Rivals(tuple(planned), tuple(left_out))


def _drawn(settings: Settings, sampler: LegalSampler) -> Architecture:
    """Return a network of the space within the limits, the same one for the same seed."""
    architecture = sampler.draw(random_numbers(settings.seed, Stream.RIVAL), _DRAWS)
    if architecture is None:
        raise UserError(f"none of {_DRAWS} random networks keeps the limits")
    return architecture


def _clock(task: Task, latencies: LatencyTable) -> Callable[[Rival], int]:
    """Return what times a network on this machine as the table's networks were timed on theirs."""
    facts = latencies.facts
    setup = Setup(
        facts["batch"],
        task.channels,
        task.resolution,
        task.num_classes,
        facts["threads"],
        facts["kind"],
    )
    rounds, quantile = facts["repeats"], facts["quantile"]
    return lambda rival: latency_of(rival.build(task), setup, rounds, quantile)
