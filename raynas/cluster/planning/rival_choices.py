"""Which network each name of a rival comes to, and what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import nn

from raynas.costs.costs import Cost, CostTable, Limits, show_amount
from raynas.costs.latency_table import LatencyTable, Task
from raynas.costs.within_limits import excess, largest_within, times_the_limit
from raynas.errors import UserError
from raynas.nets.narrow_networks import NarrowNetwork, can_be_narrow, narrow_networks
from raynas.nets.rivals import Rival, cost_of, fitted
from raynas.nets.smaller_images import LEAST_PIXELS, ScaledNetwork, scaled_networks
from raynas.nets.timing import Setup, latency_of
from raynas.search.constrained_sampling import LegalSampler
from raynas.seeds import Stream, random_numbers
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space
from raynas.storage.rival_names import (
    NEW_WEIGHTS,
    OF_START,
    RANDOM,
    SCALED,
    START,
    shown_rival,
)
from raynas.training.new_network import Chosen, chosen_of, new_network
from raynas.training.starts.library_weights import LibraryWeights

_DRAWS = 1000  # until one keeps the limits


@dataclass(frozen=True)
class PlannedRival:
    """A network beside the winners.

    Attributes:
        name: As a person asked for it.
        chosen: What is built.
        cost: Of an image; a latency as it was timed here, of one of the space by the table.
        begun_from: Which weights it begins from, for people.
        beyond: By how much it exceeds the limits, for people; empty: it keeps them.
        why_new: Why a library's network does not begin from trained weights in a run that does.
    """

    name: str
    chosen: Chosen
    cost: Cost
    begun_from: str = NEW_WEIGHTS
    beyond: str = ""
    why_new: str = ""

    @property
    def words(self) -> str:
        """Which network it is and what it takes, for people."""
        shown = shown_rival(self.name, str(self.chosen))
        name = f"{RANDOM} ({shown})" if self.name == RANDOM else shown
        beyond = f" ({self.beyond})" if self.beyond else ""
        told = self.why_new or self.begun_from not in {NEW_WEIGHTS, START}
        begun = f", from {self.begun_from}" if told else ""
        return f"{name} with {show_amount('macs', self.cost.macs)}{beyond}{begun}"


@dataclass(frozen=True)
class RivalChoices:
    """All that decides which networks they are.

    Attributes:
        settings: The limits, and whether trained weights are the start.
        space: The searched space, with identity where the run has it.
        task: What they classify.
        costs: Of the space.
        sampler: Draws networks of it.
        latencies: A table that says how to time networks, where latencies count.
        member: The network of the space that the start's weights belong to, if there is a start.
        weights: Of libraries, by the names of their networks.
        recorded: What a run that is continued has chosen, ``PlanFacts.rivals``.
    """

    settings: Settings
    space: Space
    task: Task
    costs: CostTable
    sampler: LegalSampler
    latencies: LatencyTable | None = None
    member: Architecture | None = None
    weights: Mapping[str, LibraryWeights] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """What networks may cost."""
        return self.settings.limits

    @cached_property
    def excess_of_start(self) -> str | None:
        """By what the network of the start exceeds the limits; None: it keeps them."""
        assert self.member is not None, "there is a start"
        return excess(self.costs.of(self.member), self.limits)

    def choose(self, name: str) -> PlannedRival:
        """Return the network that a name comes to.

        Raises:
            UserError: There is none within the limits; the end of a sentence.
        """
        if name == RANDOM:
            return self._of_space(name, self._drawn())
        if name not in OF_START:
            return self._of_library(name)
        assert self.member is not None, "settings without a start are refused"
        if name == START:
            return self._of_space(name, self.member)
        chosen, cost = self._shrunk(name, self.member)
        return PlannedRival(name, chosen, cost, START)

    def _of_space(self, name: str, architecture: Architecture) -> PlannedRival:
        """Return a network of the space as a rival; that of the start may exceed the limits."""
        cost = self.costs.of(architecture)
        begun = NEW_WEIGHTS if self.member is None else START
        return PlannedRival(name, architecture, cost, begun, times_the_limit(cost, self.limits))

    def _drawn(self) -> Architecture:
        """Return a network of the space within the limits, the same one for the same seed."""
        rng = random_numbers(self.settings.seed, Stream.RIVAL)
        architecture = self.sampler.draw(rng, _DRAWS)
        if architecture is None:
            raise UserError(f"none of {_DRAWS} random networks keeps the limits")
        return architecture

    def _shrunk(self, name: str, member: Architecture) -> tuple[Chosen, Cost]:
        """Return the start's network on smaller images, or with narrower layers."""
        space = chain_of(self.space, f"--rivals {name}")
        if name in self.recorded:
            chosen = chosen_of(self.recorded[name])
            assert isinstance(chosen, ScaledNetwork | NarrowNetwork)
            return chosen, self._timed(chosen, chosen.cost(space, self.task))
        if self.excess_of_start is None:
            raise UserError("the network of the start keeps the limits as it is")
        networks: list[ScaledNetwork] | list[NarrowNetwork]
        if name == SCALED:
            networks = scaled_networks(member, self.task.resolution)
            if not networks:
                raise UserError(f"images of fewer than {LEAST_PIXELS} pixels say too little")
        else:
            networks = narrow_networks(member)
            if not can_be_narrow(space, member):
                raise UserError("no layer of the start's network is wider inside than outside")
        return self._largest(space, networks)

    def _largest(
        self, space: SearchSpace, networks: list[ScaledNetwork] | list[NarrowNetwork]
    ) -> tuple[Chosen, Cost]:
        every: list[ScaledNetwork | NarrowNetwork] = [*networks]
        return largest_within(
            every,
            lambda each: each.cost(space, self.task),
            self.limits,
            self._clock,
            lambda each: shown_rival(each.name, str(each)),
        )

    def _of_library(self, name: str) -> PlannedRival:
        """Return a library's network, from its trained weights where it can have them."""
        found = self.weights.get(name)
        if name in self.recorded:
            return self._as_recorded(name, Rival.parse(self.recorded[name]), found)
        if found and found.content:
            rival = Rival(name, pretrained=True)
            cost = self._timed(rival, cost_of(Rival(name), self.task))
            if excess(cost, self.limits) is None:
                return PlannedRival(name, rival, cost, found.words)
        why = found.words if found else ""
        if found and found.content:
            why = "at its published width, of which trained weights are, it exceeds the limits"
        rival, cost = fitted(name, self.task, self.limits, self._clock)
        return PlannedRival(name, rival, cost, why_new=why)

    def _as_recorded(self, name: str, rival: Rival, found: LibraryWeights | None) -> PlannedRival:
        cost = self._timed(rival, cost_of(replace(rival, pretrained=False), self.task))
        if not rival.pretrained:
            return PlannedRival(name, rival, cost)
        if found is None or not found.content:
            raise UserError(f"its weights in the run folder are lost, and {found and found.words}")
        return PlannedRival(name, rival, cost, found.words)

    def _timed(self, chosen: Chosen, cost: Cost) -> Cost:
        """Return a cost with the latency that a network has here, where latencies count."""
        return replace(cost, latency=self._clock(chosen)) if self._clock else cost

    @cached_property
    def _clock(self) -> Callable[[Chosen], int] | None:
        """What times a network on this machine as the table's networks were timed on theirs."""
        if self.latencies is None:
            return None
        facts, task = self.latencies.facts, self.task
        shape = task.channels, task.resolution, task.num_classes
        setup = Setup(facts["batch"], *shape, facts["threads"], facts["kind"])

        def timed(chosen: Chosen) -> int:
            network: nn.Module = new_network(self.space, chosen, task, 0.0)
            return latency_of(network, setup, facts["repeats"], facts["quantile"])

        return timed
