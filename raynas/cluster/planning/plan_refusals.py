"""What a plan refuses, in a sentence each, before anything trains."""

from raynas.cluster.planning.trial_resources import refuse_small_parts
from raynas.costs.costs import CostTable, show_amount
from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.auxiliary import refuse_small_maps
from raynas.recording.matching_facts import changed_roles, other_facts
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.protocol import Space
from raynas.storage.plan_facts import PlanFacts


def refuse_costly(named: tuple[Architecture, ...], costs: CostTable, settings: Settings) -> None:
    """Refuse a named architecture that the limits do not allow."""
    for architecture, text in zip(named, settings.architecture, strict=True):
        cost = costs.of(architecture)
        if not settings.limits.allow(cost):
            found = [show_amount(kind, cost.of(kind)) for kind in settings.limits.kinds]
            raise UserError(
                f"--architecture {text}: it has {' and '.join(found)}, wanted "
                f"{' and '.join(settings.limits.words)}; change the limits or leave it out"
            )


def refuse_misfit_workers(
    settings: Settings, sharing: int, num_shards: int, fitting: int, worker_gpus: float
) -> None:
    """Refuse more workers than the cluster holds, and parts of a batch of less than two images."""
    pretrain, batch = settings.pretrain, settings.differentiable.batch
    if settings.search.traits.is_differentiable:
        refuse_small_parts("differentiable search", batch, sharing, "differentiable.batch")
    if pretrain.workers is not None and pretrain.workers > fitting:
        raise UserError(
            f"--pretrain.workers {pretrain.workers}: the cluster holds {fitting} workers of "
            f"{pretrain.cpus_per_worker} CPUs and {worker_gpus:g} GPUs; ask for fewer"
        )
    if pretrain.batch // num_shards < 2:
        raise UserError(
            f"--pretrain.shards {num_shards}: a batch of {pretrain.batch} leaves fewer than 2 "
            "images to a shard, too few for batch norms; raise --pretrain.batch"
        )


def refuse_misfit_head(space: Space, dataset: Dataset, retrain: RetrainSettings) -> None:
    """Refuse a second head where the maps that it sees are too small."""
    if retrain.auxiliary and isinstance(space, CellSpace):
        refuse_small_maps(space, dataset.resolution, dataset.channels)


def refuse_other_data(recorded: PlanFacts, facts: PlanFacts) -> None:
    """Refuse to continue a run on images, latencies or random numbers that are others."""
    if recorded.random_numbers != facts.random_numbers:
        raise UserError(
            "run folder: the raynas that began it drew other random numbers from the same seed, so "
            "weights, batches and splits would not fit; choose another --run, or continue it with "
            "that version (runs.versions, runs.git_commit)"
        )
    if changed := changed_roles(recorded, facts):
        raise UserError(f"run folder: {changed}; choose another --run")
    for name, before, now in other_facts(recorded, facts):
        if name == "start":
            raise UserError(
                f"run folder: the weights that it begins from were others (digest {before}, now "
                f"{now}); bring them back, or choose another --run"
            )
        raise UserError(
            f"run folder: its data had {name} {before}, now it has {now}; choose another --run, or "
            "bring the old data back"
        )
    before, now = recorded.latency_table, facts.latency_table
    if before != now:
        raise UserError(
            f"run folder: its table of latencies had other content (digest {before}, now {now}); "
            "choose another --run, or bring the old table back"
        )
