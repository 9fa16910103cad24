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
from raynas.cluster.trial_size import TrialSize, trial_size
from raynas.costs import CostTable
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.search.legal import LegalSampler
from raynas.search.sampling import fairness_cycle
from raynas.settings import Settings
from raynas.space import Architecture, SearchSpace
from raynas.stages import INDICATOR_SCORES, PretrainSettings
from raynas.training.gradients import PathGradients, Piece, build_supernet
from raynas.training.images import Dataset
from raynas.training.pretraining import num_steps
from raynas.training.retraining import Retraining
from raynas.training.scoring import make_score

PROBES = 3
_TRIAL_SECONDS = 0.05  # that Tune takes to start and end a trial


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
        trial_size: Workers of each retraining trial; their number is kept on resume.
        checkers: Trials of the self-check at a time.
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
    trial_size: TrialSize
    checkers: int
    concurrent: int
    facts: dict[str, Any]

    @property
    def gpus_per_trial(self) -> float:
        """GPUs of a retraining trial."""
        return self.trial_size.all_gpus

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
        scoring_seconds: Wall time of the scoring trials; 0 if scores are sums over layers.
        check_seconds: Wall time of the self-check.
        retrain_seconds: Wall time of the retraining of all winners.
        disk_bytes: Size of the run folder at the end.
    """

    pretrain_seconds: float
    scoring_seconds: float
    check_seconds: float
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
    fitting = places(resources, pretrain.cpus_per_worker, worker_gpus, "pretrain.cpus-per-worker")
    facts = _facts(dataset)
    if recorded:
        _refuse_other_data(recorded, facts)
        num_shards = recorded["shards"]
        trial = trial_size(retrain, resources, recorded.get("workers_per_trial", 1))
    else:
        trial = trial_size(retrain, resources)
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
    trials = trial.room(resources)
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
        trial,
        retrain.concurrent or trials,
        retrain.concurrent or min(trials, retrain.top_k),
        facts | {"shards": num_shards, "workers_per_trial": trial.workers},
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
    pretrain, search, retrain = settings.pretrain, settings.search, settings.retrain
    rng = np.random.default_rng(settings.seed)
    path = plan.sampler.draw(rng) or Architecture([0] * plan.space.num_layers)
    threads = torch.get_num_threads()
    torch.set_num_threads(pretrain.cpus_per_worker)
    piece_seconds = _probe_pretraining(plan, dataset, settings, path) if plan.num_steps else 0.0
    is_single = search.score not in INDICATOR_SCORES
    score_seconds = _probe_scoring(plan, dataset, settings, path) if is_single else 0.0
    torch.set_num_threads(retrain.cpus_per_trial)
    epoch_seconds = _probe_retraining(plan, dataset, settings, path)
    torch.set_num_threads(threads)
    rounds = math.ceil(plan.num_paths * plan.num_shards / plan.workers)
    scored = min(search.generations * search.population, plan.space.size)
    check_waves = math.ceil(settings.check / plan.checkers)
    waves = math.ceil(retrain.top_k / plan.concurrent)
    weights = 4 * plan.costs.of(path).params
    return Forecast(
        plan.num_steps * rounds * piece_seconds,
        math.ceil(scored / plan.scorers) * score_seconds,
        check_waves * settings.check_epochs * epoch_seconds,
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


def _probe_scoring(plan: Plan, dataset: Dataset, settings: Settings, path: Architecture) -> float:
    """Return the seconds of a scoring trial; the supernet's numbers do not matter to them."""
    device = "cuda" if plan.gpus_per_worker and torch.cuda.is_available() else "cpu"
    start = build_supernet(plan.space, settings.pretrain, dataset, settings.seed).vector.numpy()
    score = make_score(plan.space, dataset, settings, start, device)
    return _median_seconds(lambda: score(path)) + _TRIAL_SECONDS


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
    for _ in range(PROBES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
