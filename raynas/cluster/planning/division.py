"""How the pretraining is divided: parts of a batch, which the result depends on, and workers."""

from typing import NamedTuple

from raynas.cluster.planning.connection import Resources, gpus_each, places
from raynas.cluster.planning.plan_refusals import refuse_misfit_workers
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.settings.settings import Settings


class Division(NamedTuple):
    """How the pretraining is divided: the parts of a batch, and the workers that train them."""

    shards: int
    workers: int
    most_workers: int
    gpus_each: float
    places: int


def division(
    settings: Settings,
    resources: Resources,
    num_paths: int,
    recorded_shards: int | None,
    trial: TrialSize,
) -> Division:
    """Divide the pretraining over the workers that the cluster has places for.

    Args:
        settings: What was asked for.
        resources: The cluster's.
        num_paths: Of a step.
        recorded_shards: Parts of a batch of a run that is continued, or None.
        trial: Workers of a retraining trial.

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
    return Division(shards, workers, most_workers, gpus, fitting)


def _usual_shards(batch: int, num_paths: int) -> int:
    """Return the parts of a batch where nobody set them, which the settings alone decide.

    Each part has batch norms of its own, so their number is part of the result and must not follow
    the machine. A step has two pieces of work at least, if each leaves two images.
    """
    return max(min(-(-2 // num_paths), batch // 2), 1)
