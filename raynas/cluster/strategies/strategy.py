"""What a search strategy is asked to do; ``raynas.settings.strategies`` lists them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from raynas.cluster.planning.forecast import stage
from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.probe import ProbeTask
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.run import Run
from raynas.recording.outcomes import Outcomes
from raynas.recording.rows import architecture_rows
from raynas.search.breeding import Child
from raynas.search.calibration import Calibration
from raynas.search.evolution import Evolution, Scored
from raynas.search.experts import Expert
from raynas.search.formulas import Array
from raynas.settings.settings import Settings
from raynas.settings.strategies import StrategyName
from raynas.spaces.architecture import Architecture
from raynas.storage.usage import StageUsage
from raynas.training.starts.inheriting import moment_count

Table = list[Array]
"""T[l][i], what candidate i of layer l adds to a score."""


@dataclass(frozen=True)
class Scores:
    """What is known of architectures before they are searched.

    Attributes:
        table: What candidates add to a score, where scores are sums over layers.
        experts: The readings of the supernet that the table is mixed of, before any training.
        calibration: What was learned from short trainings, where it is in the table.
        evolution: One that has ended, where trials scored each architecture that it bred.
    """

    table: Table | None = None
    experts: tuple[Expert, ...] = ()
    calibration: Calibration | None = None
    evolution: Evolution | None = None

    @property
    def sums(self) -> Table:
        """The table, for strategies that need one."""
        assert self.table is not None, "settings of such a strategy have scores that are sums"
        return self.table


_SECONDS = 1.0  # of a search whose scores are sums
_FITS = 7.0  # times that an image counts which all candidates of EfficientNet-Lite0 are fitted to


class Winners(Protocol):
    """A Tune searcher over the architectures that are worth training."""

    @property
    def exhausted(self) -> bool:
        """Whether none is left to train."""

    def score_of(self, architecture: Architecture) -> float:
        """Return the score of an architecture that was suggested."""

    def winners(self) -> list[Architecture]:
        """Return those that are worth training and are known so far, best first."""


def forecast_of_sums(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    """Return the forecast of a search that adds up numbers, read off trained weights or not.

    To read them takes as long as it takes to train the largest network on some times the images.
    """
    seconds = _SECONDS
    if settings.search.reads_start:
        median, _ = speeds.epochs
        work = plan.costs.largest.macs / speeds.network_macs
        images = moment_count(plan.facts.resolution, plan.facts.train)
        seconds += _FITS * work * median * images / plan.facts.train
    return stage(seconds, 0)


def no_probe_task(plan: Plan, settings: Settings) -> None:
    """Return None: there is nothing for a probe to measure."""
    del plan, settings


@dataclass(frozen=True)
class SearchStrategy:
    """A way to find the architectures that are worth training.

    Attributes:
        search: Returns the Tune searcher over them, continued where the run folder stands; writes
            the table ``architectures``.
        plan_words: Returns what it will do, for the plan.
        probe_task: Returns what a probe is to measure of it.
        forecast: Returns what it will take.
        gpus: Returns the GPUs that it holds.
    """

    search: Callable[[Run, Scores], Winners]
    plan_words: Callable[[Plan, Settings], str]
    probe_task: Callable[[Plan, Settings], ProbeTask | None] = no_probe_task
    forecast: Callable[[Plan, Settings, Speeds], StageUsage] = forecast_of_sums
    gpus: Callable[[Plan], float] = lambda _: 0.0


def load_strategy(name: StrategyName) -> SearchStrategy:
    """Return the strategy in the module of that name."""
    return cast("SearchStrategy", import_module(f"{__package__}.{name}").STRATEGY)


def settled(run: Run) -> list[Architecture]:
    """Return the architectures of a run that need no training any more."""
    outcomes = Outcomes(run.store, run.plan.costs, run.settings.search.goals)
    return outcomes.settled(run.settings.first_trained_on)


def write_found(run: Run, found: Sequence[tuple[Architecture, float]], origin: str) -> None:
    """Write architectures and scores that no evolution has bred, in their order."""
    scored = [
        Scored(0, Child(architecture, origin, order=order), score)
        for order, (architecture, score) in enumerate(found)
    ]
    run.store.append("architectures", architecture_rows(scored, run.plan.costs), part="000000")


def record_gap(run: Run, optimum: float) -> None:
    """Record the best score that the search found beside the best one that there is."""
    scores = run.store.table("architectures", ["score"])["score"].to_pylist()
    run.update(best_score=max(scores), optimal_score=optimum)
