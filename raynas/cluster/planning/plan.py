"""The plan of a run: what data, space and cluster make of the settings.

Everything that cannot work is refused here, before anything trains.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from raynas.cluster.planning.connection import Resources, gpus_each, places
from raynas.cluster.planning.plan_refusals import (
    refuse_costly,
    refuse_misfit_head,
    refuse_misfit_workers,
    refuse_other_data,
)
from raynas.cluster.planning.plan_warnings import plan_warnings
from raynas.cluster.planning.rivals import Rivals, plan_rivals
from raynas.cluster.planning.teachers import PlannedTeacher
from raynas.cluster.planning.trial_resources import TrialSize, trial_size
from raynas.cluster.workers.path_workers import Crew
from raynas.costs.costs import CostTable
from raynas.costs.latency_table import LatencyTable, Task
from raynas.data.crops import crop_words
from raynas.data.dataset import Dataset
from raynas.data.sizes import size_words
from raynas.nets.cost import cost_table
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.sampling import fairness_cycle
from raynas.search.step_paths import macs_bins
from raynas.seeds import VERSION
from raynas.settings.given import named_architectures
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.digest import refuse_other_space, space_digest
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts
from raynas.training.gradients import count_trained
from raynas.training.pretraining import num_steps
from raynas.training.trained_networks import searched_space

_MOST_DECODERS = 16  # which are enough for a GPU; each takes some hundred MB


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        space: The space, with identity where the layer indicator is a path.
        costs: What its candidates cost on this data.
        sampler: Draws architectures within the limits.
        num_steps: Pretraining steps.
        num_paths: Paths of each of them.
        num_shards: Parts of each step's batch; kept on resume.
        workers: Ray actors of the pretraining.
        most_workers: To how many they may grow when nodes join.
        gpus_per_worker: GPUs of each.
        scorers: Scoring trials at a time, of a worker's size.
        searches: Differentiable searches at a time, of a retraining trial's size.
        trial_size: Workers of each retraining trial; their number is kept on resume.
        checkers: Trials at a time that there is room for, such as short trainings.
        concurrent: Retraining trials at a time, no more than winners.
        facts: What was read from the data and must be the same on resume.
        sizes: What the images were resized from, in words.
        crops: How training images are cut, in words.
        named: Architectures that are trained instead of a search's.
        rivals: Networks that are trained beside the winners.
        warnings: Sentences on what a person may want to change.
        latencies: The table of latencies, if there is one.
        teacher: The network whose answers are learned, if there is one.
    """

    space: Space
    costs: CostTable
    sampler: LegalSampler
    num_steps: int
    num_paths: int
    num_shards: int
    workers: int
    most_workers: int
    gpus_per_worker: float
    scorers: int
    searches: int
    trial_size: TrialSize
    checkers: int
    concurrent: int
    facts: PlanFacts
    sizes: str = ""
    crops: str = ""
    named: tuple[Architecture, ...] = ()
    rivals: Rivals = field(default_factory=Rivals)
    warnings: tuple[str, ...] = ()
    latencies: LatencyTable | None = None
    teacher: PlannedTeacher | None = None

    @property
    def chain(self) -> SearchSpace:
        """The space as one of layers in a chain, which pretraining needs."""
        return chain_of(self.space, "pretraining")

    @property
    def gpus_per_trial(self) -> float:
        """GPUs of a retraining trial."""
        return self.trial_size.all_gpus

    def decoders(self, resources: Resources) -> int:
        """Return the processes that decode for each trainer: a node's cores over its trainers.

        Args:
            resources: The cluster's.
        """
        trainers = max(self.workers, self.concurrent * self.facts.workers_per_trial, 1)
        nodes = max(resources.nodes, 1)
        of_a_node = -(-trainers // nodes)
        return min(max(int(resources.cpus / nodes / of_a_node), 1), _MOST_DECODERS)

    def crew(self, settings: PretrainSettings) -> Crew:
        """Return the workers of the pretraining."""
        return Crew(
            self.workers,
            self.most_workers,
            settings.cpus_per_worker,
            self.gpus_per_worker,
            settings.transport,
        )


def make_plan(  # noqa: PLR0913 - all that a plan follows from
    space: Space,
    dataset: Dataset,
    settings: Settings,
    resources: Resources,
    recorded: PlanFacts | None,
    teacher: PlannedTeacher | None = None,
) -> Plan:
    """Work out a run, or work out again the run that a folder has recorded.

    Raises:
        UserError: Limits that no architecture keeps, resources that the cluster does not have, or
            data that differs from what the folder recorded.
    """
    pretrain, retrain = settings.pretrain, settings.retrain
    digest = _digest(space, recorded)
    space = searched_space(space, pretrain.layer_indicator)
    costs, latencies = _costs(space, dataset, settings)
    refuse_misfit_head(space, dataset, retrain)
    sampler = LegalSampler(costs, settings.limits)
    named = named_architectures(space, settings)
    refuse_costly(named, costs, settings)
    before = recorded.rivals if recorded else {}
    rivals = plan_rivals(settings, _task(dataset), costs, sampler, latencies, before)
    num_paths, cycle = _paths(space, pretrain, costs)
    facts = _facts(dataset, latencies, digest, recorded)
    trial = trial_size(retrain, resources, recorded.workers_per_trial if recorded else None)
    shards = recorded.shards if recorded else None
    pretraining = _division(settings, resources, num_paths, shards, trial)
    trials = trial.room(resources)
    steps = num_steps(len(dataset.train), pretrain, cycle)
    return Plan(
        space=space,
        costs=costs,
        sampler=sampler,
        num_steps=steps,
        num_paths=num_paths,
        num_shards=pretraining.shards,
        workers=pretraining.workers,
        most_workers=pretraining.most_workers,
        gpus_per_worker=pretraining.gpus_each,
        scorers=settings.search.concurrent or pretraining.places,
        searches=min(settings.search.concurrent or trials, settings.differentiable.seeds),
        trial_size=trial,
        checkers=retrain.concurrent or trials,
        concurrent=retrain.concurrent or min(trials, settings.num_winners),
        facts=replace(
            facts,
            shards=pretraining.shards,
            steps=steps,
            workers_per_trial=trial.workers,
            rivals=rivals.recorded,
            teacher=teacher.recorded if teacher else None,
            trained_numbers=count_trained(space, pretrain, facts.channels, len(facts.classes)),
        ),
        sizes=size_words(dataset),
        crops=crop_words(dataset.crops, dataset.evaluation_ratio),
        named=named,
        rivals=rivals,
        warnings=(*plan_warnings(space, dataset, settings, facts, steps), *rivals.warnings),
        latencies=latencies,
        teacher=teacher,
    )


class _Division(NamedTuple):
    """How the pretraining is divided: the parts of a batch, and the workers that train them."""

    shards: int
    workers: int
    most_workers: int
    gpus_each: float
    places: int


def _division(
    settings: Settings,
    resources: Resources,
    num_paths: int,
    recorded_shards: int | None,
    trial: TrialSize,
) -> _Division:
    """Divide the pretraining over the workers that the cluster has places for.

    Raises:
        UserError: More workers than places, or more than there are pieces of work.
    """
    pretrain = settings.pretrain
    gpus = gpus_each(pretrain.gpus_per_worker, resources, "pretrain.gpus-per-worker")
    fitting = places(resources, pretrain.cpus_per_worker, gpus, "pretrain.cpus-per-worker")
    usual = pretrain.shards or _usual_shards(pretrain.batch, num_paths)
    shards = usual if recorded_shards is None else recorded_shards
    refuse_misfit_workers(settings, trial.workers, shards, fitting, gpus)
    most_workers = pretrain.workers or num_paths * shards
    workers = pretrain.workers or min(fitting, most_workers)
    return _Division(shards, workers, most_workers, gpus, fitting)


def _task(dataset: Dataset) -> Task:
    return Task(dataset.channels, dataset.resolution, dataset.num_classes)


def _paths(space: Space, settings: PretrainSettings, costs: CostTable) -> tuple[int, int]:
    """Return the paths of a step, and the steps after which all candidates were trained alike."""
    if bins := macs_bins(settings):
        bins.refuse_beyond(costs)
    if settings.trains_one_path:
        return 1, 1
    sizes = [block.size for block in space.blocks]
    return max(sizes), fairness_cycle(sizes, settings.extra)


def _usual_shards(batch: int, num_paths: int) -> int:
    """Return the parts of a batch where nobody set them, which the settings alone decide.

    Each part has batch norms of its own, so their number is part of the result and must not follow
    the machine. A step has two pieces of work at least, if each leaves two images.
    """
    return max(min(-(-2 // num_paths), batch // 2), 1)


def _costs(
    space: Space, dataset: Dataset, settings: Settings
) -> tuple[CostTable, LatencyTable | None]:
    """Return what candidates cost, with latencies where a table of them is given."""
    task = _task(dataset)
    costs = cost_table(space, task.resolution, task.channels, task.num_classes)
    if settings.latency_table is None:
        return costs, None
    latencies = LatencyTable.read(settings.latency_table)
    return latencies.added_to(costs, space, task), latencies


def _digest(space: Space, recorded: PlanFacts | None) -> str:
    """Return the digest of a space, which must be the one that a run folder has recorded."""
    if recorded:
        refuse_other_space(recorded.space_digest, space, "run folder")
    return space_digest(space)


def _facts(
    dataset: Dataset, latencies: LatencyTable | None, space: str, recorded: PlanFacts | None
) -> PlanFacts:
    """Return what was read from the data, which must be what a run folder has recorded."""
    facts = PlanFacts(
        classes=dataset.class_names,
        channels=dataset.channels,
        resolution=dataset.resolution,
        train=len(dataset.train),
        val=len(dataset.val),
        test=len(dataset.test),
        keeps_val=dataset.keeps_val,
        skipped=dataset.skipped,
        ignored=dataset.ignored,
        passed_over=dataset.passed_over,
        parts=dataset.parts,
        class_counts=dataset.class_counts,
        mean=dataset.mean.tolist(),
        std=dataset.std.tolist(),
        evaluation_ratio=dataset.evaluation_ratio,
        latency_table=latencies.digest if latencies else None,
        space_digest=space,
        random_numbers=VERSION,
    )
    if recorded:
        refuse_other_data(recorded, facts)
    return facts
