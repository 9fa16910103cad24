"""The plan of a run: what data, space and cluster make of the settings.

Everything that cannot work is refused here, before anything trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.division import divided, paths_of_a_step
from raynas.cluster.planning.image_facts import image_facts
from raynas.cluster.planning.plan_refusals import refuse_costly, refuse_misfit_head
from raynas.cluster.planning.plan_warnings import plan_warnings
from raynas.cluster.planning.rival_choices import RivalChoices
from raynas.cluster.planning.rivals import Rivals, plan_rivals
from raynas.cluster.planning.task_costs import priced, task_of
from raynas.cluster.planning.teachers import PlannedTeacher
from raynas.cluster.planning.trial_resources import TrialSize, trial_size
from raynas.cluster.workers.path_workers import Crew
from raynas.costs.costs import CostTable
from raynas.costs.latency_table import LatencyTable
from raynas.data.crops import crop_words
from raynas.data.dataset import Dataset
from raynas.data.sizes import refuse_tiny_images, size_words
from raynas.search.constrained_sampling import LegalSampler
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
from raynas.training.starts.library_weights import LibraryWeights
from raynas.training.starts.start import Start
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
        start: Trained weights that it begins from, in words.
        named: Architectures that are trained instead of a search's.
        rivals: Networks that are trained beside the winners.
        warnings: Sentences on what a person may want to change.
        latencies: The table of latencies, if there is one.
        teacher: The network whose answers are learned, if there is one.
        weights: Of libraries, from which their networks begin.
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
    start: str = ""
    named: tuple[Architecture, ...] = ()
    rivals: Rivals = field(default_factory=Rivals)
    warnings: tuple[str, ...] = ()
    latencies: LatencyTable | None = None
    teacher: PlannedTeacher | None = None
    weights: tuple[LibraryWeights, ...] = ()

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
    start: Start | None = None,
    weights: Mapping[str, LibraryWeights] | None = None,
) -> Plan:
    """Work out a run, or work out again the run that a folder has recorded.

    Args:
        space: The space, as its file has it.
        dataset: The images, normalised as they will be.
        settings: What was asked for.
        resources: The cluster's.
        recorded: What a run that is continued has recorded.
        teacher: Whose answers trainings learn beside the labels.
        start: Trained weights that it begins from.
        weights: Of libraries, from which their networks begin, by name.

    Raises:
        UserError: Limits, resources or data that do not fit.
    """
    pretrain, retrain = settings.pretrain, settings.retrain
    digest = _digest(space, recorded)
    space = searched_space(space, pretrain.layer_indicator)
    costs, latencies = priced(space, dataset, settings)
    _refuse_small_images(space, dataset, settings, start)
    sampler = LegalSampler(costs, settings.limits)
    choices = RivalChoices(settings, space, task_of(dataset), costs, sampler, latencies)
    rivals = _rivals(choices, dataset, recorded, start, weights)
    num_paths, cycle = paths_of_a_step(space, pretrain, costs)
    facts = image_facts(dataset, latencies, digest, recorded)
    trial = trial_size(retrain, resources, recorded.workers_per_trial if recorded else None)
    pretraining = divided(settings, resources, num_paths, recorded, trial)
    trials = trial.room(resources)
    plan = Plan(
        space=space,
        costs=costs,
        sampler=sampler,
        num_steps=num_steps(len(dataset.train), pretrain, cycle),
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
        facts=facts,
        named=_named(space, costs, settings),
        rivals=rivals,
        latencies=latencies,
    )
    plan = _with_trained(plan, teacher, start, weights)
    return warned(_with_facts(plan, settings), dataset, settings)


def _refuse_small_images(
    space: Space, dataset: Dataset, settings: Settings, start: Start | None
) -> None:
    """Refuse images too small for a second head, or for the kernels of trained weights."""
    refuse_misfit_head(space, dataset, settings.retrain)
    if start:
        refuse_tiny_images(space, dataset, start.source)


def _rivals(
    choices: RivalChoices,
    dataset: Dataset,
    recorded: PlanFacts | None,
    start: Start | None,
    weights: Mapping[str, LibraryWeights] | None,
) -> Rivals:
    """Return the networks beside the winners, by trained weights and what a run chose before."""
    choices = replace(
        choices,
        member=start.architecture if start else None,
        weights=weights or {},
        recorded=recorded.rivals if recorded else {},
    )
    return plan_rivals(choices, dataset, recorded)


def _with_trained(
    plan: Plan,
    teacher: PlannedTeacher | None,
    start: Start | None,
    weights: Mapping[str, LibraryWeights] | None,
) -> Plan:
    """Return a plan with the trained networks that it learns of or begins from."""
    return replace(
        plan,
        start=start.words if start else "",
        facts=replace(plan.facts, start=start.digest if start else None),
        teacher=teacher,
        weights=tuple(each for each in (weights or {}).values() if each.content),
    )


def _with_facts(plan: Plan, settings: Settings) -> Plan:
    """Return a plan with what it has worked out among its facts, which are recorded."""
    facts = plan.facts
    numbers = count_trained(plan.space, settings.pretrain, facts.channels, len(facts.classes))
    facts = replace(
        facts,
        shards=plan.num_shards,
        steps=plan.num_steps,
        workers_per_trial=plan.trial_size.workers,
        rivals=plan.rivals.recorded,
        auto_rivals=plan.rivals.auto,
        teacher=plan.teacher.recorded if plan.teacher else None,
        trained_numbers=numbers,
    )
    return replace(plan, facts=facts)


def with_lengths(plan: Plan, settings: Settings) -> Plan:
    """Return the plan of the same run with other numbers of epochs, trainings and networks.

    Its warnings are those of before (``warned``), which take longer than the rest.

    Args:
        plan: Of settings that differ in these numbers alone.
        settings: Those with the other numbers.
    """
    _, cycle = paths_of_a_step(plan.space, settings.pretrain, plan.costs)
    steps = num_steps(plan.facts.train, settings.pretrain, cycle)
    concurrent = settings.retrain.concurrent or min(plan.checkers, settings.num_winners)
    facts = replace(plan.facts, steps=steps)
    return replace(plan, num_steps=steps, concurrent=concurrent, facts=facts)


def warned(plan: Plan, dataset: Dataset, settings: Settings) -> Plan:
    """Return a plan with what it says of its images and settings.

    Args:
        plan: Of these settings.
        dataset: Its images.
        settings: What it does.
    """
    warnings = plan_warnings(plan.space, dataset, settings, plan.facts, plan.num_steps)
    return replace(
        plan,
        sizes=size_words(dataset),
        crops=crop_words(dataset.crops, dataset.evaluation_ratio),
        warnings=(
            *warnings,
            *plan.rivals.warnings,
            *(plan.teacher.warnings if plan.teacher else ()),
        ),
    )


def _digest(space: Space, recorded: PlanFacts | None) -> str:
    """Return the digest of a space, which must be the one that a run folder has recorded."""
    if recorded:
        refuse_other_space(recorded.space_digest, space, "run folder")
    return space_digest(space)


def _named(space: Space, costs: CostTable, settings: Settings) -> tuple[Architecture, ...]:
    named = named_architectures(space, settings)
    refuse_costly(named, costs, settings)
    return named
