"""What a run is going to do: its settings as images and a budget make them, its plan, its forecast.

A run that is continued has recorded its settings; a new one works them out here.
"""

from dataclasses import dataclass, replace
from typing import Any

from raynas.cluster.planning.budget import budget_words, fitting, shorter
from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.forecast import forecast
from raynas.cluster.planning.plan import Plan, make_plan, warned, with_lengths
from raynas.cluster.planning.plan_text import plan_lines
from raynas.cluster.planning.rivals import weights_of_libraries
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.planning.task_costs import task_of
from raynas.cluster.planning.teachers import plan_teacher
from raynas.cluster.strategies.strategy import SearchStrategy, load_strategy
from raynas.costs.budget import parse_budget
from raynas.costs.latency_table import LatencyTable
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.recording.warm_start import Earlier, latency_table_of
from raynas.settings.following import by_images, what_follows
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.usage import Usage
from raynas.training.starts.start import Start

_CLOSING_SECONDS = 15.0  # of tables, page and summary at the end
_EXPORT_SECONDS = 8.0  # of a network, with its checks


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a run of certain settings does.

    Attributes:
        settings: Its settings.
        plan: What that comes to.
        earlier: A run that it may take from, or None.
        pretrained: Run folder whose supernet it takes over, or None.
        taken: The most that it takes of its budget, where that was chosen by now.
    """

    settings: Settings
    plan: Plan
    earlier: Earlier | None = None
    pretrained: RunStore | None = None
    taken: float | None = None

    @property
    def strategy(self) -> SearchStrategy:
        """How it searches."""
        return load_strategy(self.settings.search.strategy)

    def lines(self, asked: Settings, resources: Resources) -> list[str]:
        """Return the plan as lines for a person, and what is taken over.

        Args:
            asked: The settings that were asked for.
            resources: The cluster's.
        """
        settings = self.settings
        asked = by_images(asked, self.plan.facts.train)
        search = self.strategy.plan_words(self.plan, settings)
        limit = settings.budget
        budget = budget_words(parse_budget(limit), asked, settings, self.taken) if limit else ""
        told = plan_lines(self.plan, settings, resources, search, budget)
        return [*told, *(self.earlier.lines() if self.earlier else ())]

    def forecast(self, speeds: Speeds) -> Usage:
        """Return what it is going to use; a supernet that is taken over takes no time.

        Args:
            speeds: What a probe measured.
        """
        plan, settings = self.plan, self.settings
        usage = forecast(plan, settings, speeds, self.strategy.forecast(plan, settings, speeds))
        return usage.without("pretrain") if self.pretrained else usage


@dataclass(frozen=True)
class Request:
    """What a run begins with, whatever its settings come to.

    Attributes:
        asked: The settings that were asked for.
        store: The run folder.
        space: The space.
        dataset: The images.
        resources: The cluster's.
        recorded: The run's row, if it is continued.
        start: Trained weights that it begins from, or None.
        supernet: Run folder whose supernet was asked for, or None.
        warm_start: Run folder to take from, or None.
    """

    asked: Settings
    store: RunStore
    space: Space
    dataset: Dataset
    resources: Resources
    recorded: dict[str, Any] | None
    start: Start | None = None
    supernet: RunStore | None = None
    warm_start: str | None = None

    def outlook(self, settings: Settings) -> Outlook:
        """Return what a run of settings does, which differ from those asked for by what follows.

        Raises:
            UserError: It cannot work, or is not the run that the folder holds.
        """
        facts = PlanFacts.from_json(self.recorded["plan"]) if self.recorded else None
        own = _with_own_table(settings, self.store) if self.recorded else settings
        space, dataset = self.space, self.dataset
        weights = weights_of_libraries(settings, self.store, facts, task_of(dataset))
        begins = self.start, settings.pretrain.layer_indicator, weights
        teacher = plan_teacher(settings.retrain, dataset, space, self.store, facts, *begins)
        start = self.start
        plan = make_plan(space, dataset, own, self.resources, facts, teacher, start, weights)
        return self._of(settings, plan)

    def _of(self, settings: Settings, plan: Plan) -> Outlook:
        """Return what a run of settings with that plan does."""
        follows = what_follows(self.asked, settings)
        plan = replace(plan, facts=replace(plan.facts, asked=follows))
        earlier = self._earlier(settings, plan)
        taken_over = self.supernet or (earlier.pretraining if earlier else None)
        return Outlook(settings=settings, plan=plan, earlier=earlier, pretrained=taken_over)

    def _earlier(self, settings: Settings, plan: Plan) -> Earlier | None:
        """Return the run to take from; a continued run does without if that is gone."""
        folder = self.warm_start
        if folder is None or (self.recorded and not RunStore(folder).rows("runs")):
            return None
        return Earlier(RunStore(folder), settings, plan.costs, plan.facts)

    def within_budget(self, outlook: Outlook, speeds: Speeds, spent_seconds: float) -> Outlook:
        """Return what the budget allows of a run, in the order that its setting states.

        Args:
            outlook: Of the settings that were asked for.
            speeds: What a probe measured.
            spent_seconds: Of the budget's time, until now.

        Raises:
            UserError: Not even the least of it fits.
        """
        settings = outlook.settings
        assert settings.budget, "a run without a budget has nothing to choose"
        budget = parse_budget(settings.budget)
        if budget.is_gpu_hours and not self.resources.gpus:
            raise UserError(
                f"--budget {budget.text}: the cluster has no GPUs; give a time, such as 2h"
            )

        def usage(shortened: Settings) -> Usage:
            plan = with_lengths(outlook.plan, shortened)
            return replace(outlook, settings=shortened, plan=plan).forecast(speeds)

        def beside(shortened: Settings) -> float:
            networks = shortened.num_winners + len(outlook.plan.rivals.planned)
            return spent_seconds + _CLOSING_SECONDS + networks * _EXPORT_SECONDS

        candidates = shorter(settings, outlook.pretrained is not None)
        found, taken = fitting(budget, candidates, usage, beside)
        plan = warned(with_lengths(outlook.plan, found), self.dataset, found)
        return replace(self._of(found, plan), taken=taken)


def _with_own_table(settings: Settings, store: RunStore) -> Settings:
    """Return the settings with the run's own copy of its table of latencies, if that is whole."""
    copy = latency_table_of(store.address) if settings.latency_table else None
    if copy is None:
        return settings
    try:
        LatencyTable.read(copy)
    except UserError:
        return settings  # the original, of which a new copy is made
    return replace(settings, latency_table=copy)
