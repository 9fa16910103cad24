"""How a pretraining is divided: the paths of a step, the parts of its batch, and its workers."""

from typing import NamedTuple

from raynas.cluster.planning.connection import Resources, gpus_each, places
from raynas.cluster.planning.plan_refusals import refuse_misfit_workers
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.costs.costs import CostTable
from raynas.search.sampling import fairness_cycle
from raynas.search.step_paths import macs_bins
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts


class Division(NamedTuple):
    """How the pretraining is divided: the parts of a batch, and the workers that train them.

    Attributes:
        shards: Parts of each step's batch.
        workers: Ray actors.
        most_workers: To how many they may grow when nodes join.
        gpus_each: GPUs of each.
        places: At how many places at a time the cluster holds a worker.
    """

    shards: int
    workers: int
    most_workers: int
    gpus_each: float
    places: int


def divided(
    settings: Settings,
    resources: Resources,
    num_paths: int,
    recorded: PlanFacts | None,
    trial: TrialSize,
) -> Division:
    """Divide the pretraining over the workers that the cluster has places for.

    Args:
        settings: What was asked for.
        resources: The cluster's.
        num_paths: Of a step.
        recorded: What a run that is continued has recorded: its parts of a batch stay.
        trial: Workers of a retraining trial, among which a differentiable search is shared.

    Raises:
        UserError: More workers than places, or more than there are pieces of work.
    """
    pretrain = settings.pretrain
    gpus = gpus_each(pretrain.gpus_per_worker, resources, "pretrain.gpus-per-worker")
    fitting = places(resources, pretrain.cpus_per_worker, gpus, "pretrain.cpus-per-worker")
    usual = pretrain.shards or _usual_shards(pretrain.batch, num_paths)
    shards = recorded.shards if recorded else usual
    refuse_misfit_workers(settings, trial.workers, shards, fitting, gpus)
    most_workers = pretrain.workers or num_paths * shards
    workers = pretrain.workers or min(fitting, most_workers)
    return Division(shards, workers, most_workers, gpus, fitting)


def _usual_shards(batch: int, num_paths: int) -> int:
    """Return the parts of a batch where nobody set them, which the settings alone decide.

    Each part has batch norms of its own, so their number is part of the result and must not follow
    the machine. A step has two pieces of work at least, if each leaves two images.
    """
    return max(min(-(-2 // num_paths), batch // 2), 1)


def paths_of_a_step(space: Space, settings: PretrainSettings, costs: CostTable) -> tuple[int, int]:
    """Return the paths of a step, and the steps after which all candidates were trained alike.

    Args:
        space: The space, with identity where the layer indicator is a path.
        settings: How paths are drawn.
        costs: Of the space.

    Raises:
        UserError: Bins of MACs in which no architecture lies.
    """
    if bins := macs_bins(settings):
        bins.refuse_beyond(costs)
    if settings.trains_one_path:
        return 1, 1
    sizes = [block.size for block in space.blocks]
    return max(sizes), fairness_cycle(sizes, settings.extra)
