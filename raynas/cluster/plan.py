"""The plan of a run: what data, space and cluster make of the settings, and what it will cost.

Everything that cannot work is refused here, before anything trains. The forecast comes from a
probe: a few real steps on this machine, scaled to the steps and workers of the run.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from raynas.cluster.connection import Resources, gpus_each, places
from raynas.cluster.shards import Crew
from raynas.costs import CostTable, show_quantity
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.search.legal import LegalSampler
from raynas.search.sampling import fairness_cycle
from raynas.settings import Settings
from raynas.space import Architecture, SearchSpace
from raynas.stages import PretrainSettings
from raynas.training.gradients import PathGradients, Piece
from raynas.training.images import Dataset
from raynas.training.pretraining import num_steps
from raynas.training.retraining import Retraining

_PROBES = 3


@dataclass(frozen=True)
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
        gpus_per_trial: GPUs of each retraining trial.
        trial_places: Trials of that size for which the cluster has room.
        concurrent: Retraining trials at a time.
        facts: What was read from the data and must be the same on resume.
    """

    space: SearchSpace
    costs: CostTable
    sampler: LegalSampler
    num_steps: int
    num_paths: int
    num_shards: int
    workers: int
    most_workers: int
    gpus_per_worker: float
    scorers: int
    gpus_per_trial: float
    trial_places: int
    concurrent: int
    facts: dict[str, Any]

    def crew(self, settings: PretrainSettings) -> Crew:
        """Return the workers of the pretraining."""
        return Crew(
            self.workers,
            self.most_workers,
            settings.cpus_per_worker,
            self.gpus_per_worker,
            settings.transport,
        )


@dataclass(frozen=True)
class Forecast:
    """What the stages will take.

    Attributes:
        pretrain_seconds: Wall time of the pretraining.
        retrain_seconds: Wall time of the retraining of all winners.
        disk_bytes: Size of the run folder at the end.
    """

    pretrain_seconds: float
    retrain_seconds: float
    disk_bytes: int


def searched_space(space: SearchSpace, settings: Settings) -> SearchSpace:
    """Return the space that the method searches: with identity paths where it has them."""
    if settings.pretrain.layer_indicator == "path":
        return space.with_identity(Identity())
    return space


def make_plan(
    space: SearchSpace,
    dataset: Dataset,
    settings: Settings,
    resources: Resources,
    recorded: dict[str, Any] | None,
) -> Plan:
    """Work out a run, or work out again the run that a folder has recorded.

    Raises:
        UserError: Limits that no architecture keeps, resources that the cluster does not have, or
            data that differs from what the folder recorded.
    """
    pretrain, retrain = settings.pretrain, settings.retrain
    space = searched_space(space, settings)
    costs = cost_table(space, dataset.resolution, dataset.channels, dataset.num_classes)
    sampler = LegalSampler(costs, settings.limits)
    sizes = [block.size for block in space.blocks]
    num_paths = 1 if pretrain.sampling == "uniform" else max(sizes)
    cycle = 1 if pretrain.sampling == "uniform" else fairness_cycle(sizes, pretrain.extra)
    worker_gpus = gpus_each(pretrain.gpus_per_worker, resources, "pretrain.gpus-per-worker")
    trial_gpus = gpus_each(retrain.gpus_per_trial, resources, "retrain.gpus-per-trial")
    fitting = places(resources, pretrain.cpus_per_worker, worker_gpus, "pretrain.cpus-per-worker")
    facts = _facts(dataset)
    if recorded:
        _refuse_other_data(recorded, facts)
        num_shards = recorded["shards"]
    else:
        num_shards = pretrain.shards or max(fitting // num_paths, 1)
    most_workers = pretrain.workers or num_paths * num_shards
    workers = pretrain.workers or min(fitting, most_workers)
    if workers > fitting:
        raise UserError(
            f"--pretrain.workers {workers}: the cluster holds {fitting} workers of "
            f"{pretrain.cpus_per_worker} CPUs and {worker_gpus:g} GPUs; ask for fewer"
        )
    if pretrain.batch // num_shards < 2:
        raise UserError(
            f"--pretrain.shards {num_shards}: a batch of {pretrain.batch} leaves fewer than 2 "
            "images to a shard, too few for batch norms; raise --pretrain.batch"
        )
    trials = places(resources, retrain.cpus_per_trial, trial_gpus, "retrain.cpus-per-trial")
    return Plan(
        space,
        costs,
        sampler,
        num_steps(len(dataset.train), pretrain, cycle),
        num_paths,
        num_shards,
        workers,
        most_workers,
        worker_gpus,
        settings.search.concurrent or fitting,
        trial_gpus,
        trials,
        retrain.concurrent or min(trials, retrain.top_k),
        facts | {"shards": num_shards},
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "classes": list(dataset.class_names),
        "channels": dataset.channels,
        "resolution": dataset.resolution,
        "train": len(dataset.train),
        "val": len(dataset.val),
        "test": len(dataset.test),
        "skipped": list(dataset.skipped),
    }


def _refuse_other_data(recorded: dict[str, Any], facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if recorded.get(name) != value:
            raise UserError(
                f"run folder: its data had {name} {recorded.get(name)}, now it has {value}; "
                "choose another --run, or bring the old data back"
            )


def forecast(plan: Plan, dataset: Dataset, settings: Settings) -> Forecast:
    """Probe a few steps on this machine and scale them to the whole run."""
    pretrain, retrain = settings.pretrain, settings.retrain
    rng = np.random.default_rng(settings.seed)
    path = plan.sampler.draw(rng) or Architecture([0] * plan.space.num_layers)
    threads = torch.get_num_threads()
    torch.set_num_threads(pretrain.cpus_per_worker)
    piece_seconds = _probe_pretraining(plan, dataset, settings, path)
    torch.set_num_threads(retrain.cpus_per_trial)
    epoch_seconds = _probe_retraining(plan, dataset, settings, path)
    torch.set_num_threads(threads)
    rounds = math.ceil(plan.num_paths * plan.num_shards / plan.workers)
    waves = math.ceil(retrain.top_k / plan.concurrent)
    weights = 4 * plan.costs.of(path).params
    return Forecast(
        plan.num_steps * rounds * piece_seconds,
        waves * retrain.epochs * epoch_seconds,
        retrain.top_k * 4 * weights + 2**20,  # network, average, momentum; exported weights
    )


def _probe_pretraining(
    plan: Plan, dataset: Dataset, settings: Settings, path: Architecture
) -> float:
    device = "cuda" if plan.gpus_per_worker and torch.cuda.is_available() else "cpu"
    compute = PathGradients(
        plan.space,
        dataset,
        settings.pretrain,
        settings.images.augment,
        settings.seed,
        plan.num_shards,
        device,
    )
    vector = compute.vector
    return _median_seconds(lambda: compute(vector, 0, [Piece(path, 0)]))


def _probe_retraining(
    plan: Plan, dataset: Dataset, settings: Settings, path: Architecture
) -> float:
    device = "cuda" if plan.gpus_per_trial and torch.cuda.is_available() else "cpu"
    retraining = Retraining(
        plan.space, path, dataset, settings.retrain, settings.images.augment, settings.seed, device
    )
    return _median_seconds(lambda: retraining.train_step(0)) * retraining.steps_per_epoch


def _median_seconds(work: Callable[[], object]) -> float:
    """Return the median time of a few calls after one that warms up."""
    work()
    seconds = []
    for _ in range(_PROBES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def plan_lines(plan: Plan, settings: Settings, resources: Resources) -> list[str]:
    """Return the plan as lines for a person."""
    facts, low, high = plan.facts, plan.costs.smallest, plan.costs.largest
    shape = f"{facts['channels']} x {facts['resolution']} x {facts['resolution']}"
    images = f"{facts['train']} training, {facts['val']} validation, {facts['test']} test images"
    macs = f"{show_quantity(low.macs)} to {show_quantity(high.macs)} MACs"
    params = f"{show_quantity(low.params)} to {show_quantity(high.params)} parameters"
    steps = f"{plan.num_steps} steps of {plan.num_paths} paths x {plan.num_shards} shards"
    search, retrain = settings.search, settings.retrain
    sections = {
        "data": f"{settings.data}: {images}, {len(facts['classes'])} classes, {shape}",
        "skipped": _skipped_words(facts["skipped"]),
        "space": f"{plan.space.name}: {plan.space.num_layers} layers, {plan.space.size:,} networks",
        "costs": f"{macs}, {params}",
        "method": f"{settings.method}, seed {settings.seed}",
        "cluster": f"{resources.nodes} nodes, {resources.cpus:g} CPUs, {resources.gpus:g} GPUs",
        "pretrain": f"{steps}, {plan.workers} workers",
        "search": f"{search.generations} generations of {search.population}"
        + _limits_words(settings),
        "retrain": f"{retrain.top_k} networks for {retrain.epochs} epochs, "
        f"{plan.concurrent} at a time, {retrain.scheduler}",
    }
    return [f"{name:<9} {text}" for name, text in sections.items() if text]


def _skipped_words(skipped: list[str]) -> str:
    if not skipped:
        return ""
    names = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    return f"{len(skipped)} images that cannot be read: {names}"


def _limits_words(settings: Settings) -> str:
    limits = settings.limits
    words = [
        f"at most {show_quantity(limit)} {unit}"
        for limit, unit in ((limits.max_macs, "MACs"), (limits.max_params, "parameters"))
        if limit is not None
    ]
    return ", " + " and ".join(words) if words else ""


def forecast_lines(forecast: Forecast) -> list[str]:
    """Return the forecast as lines for a person."""
    pretrain = _show_seconds(forecast.pretrain_seconds)
    retrain = _show_seconds(forecast.retrain_seconds)
    disk = f"{forecast.disk_bytes / 2**20:.1f} MiB on disk"
    text = f"pretrain {pretrain}, search seconds, retrain {retrain}, {disk}"
    return [f"{'forecast':<9} {text} (from a probe of {_PROBES} steps)"]


def _show_seconds(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
