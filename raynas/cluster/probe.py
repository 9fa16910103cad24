"""How fast this cluster does a run's work: the inner loop of each stage, for a moment.

The loops run where the run will, at as many places at once as the run will use: places of one
machine share its cores, caches and memory, so a single one would promise too much.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import ray
import torch

from raynas.cluster.plan import Plan
from raynas.nets.isometry import measure_candidate
from raynas.nets.supernet import Supernet
from raynas.settings import Settings
from raynas.space import Architecture
from raynas.stages import INDICATOR_SCORES, RetrainSettings
from raynas.trainable import indices_on
from raynas.training.gradients import Gradient, PathGradients, Piece, Vector, build_supernet
from raynas.training.images import Dataset
from raynas.training.pretraining import Pretraining
from raynas.training.retraining import Retraining
from raynas.training.scoring import make_score

_SECONDS = 1.0  # of each loop
_LEAST, _MOST = 2, 50  # repetitions in that time
_DRAWN = 100  # architectures, of which the median and the largest are trained
_ISOMETRIES = 2.2  # as many whole measurements are one and three brief ones
_FORWARD_SHARE = 1 / 3  # of a training step that looking at as many images takes


@dataclass(frozen=True)
class Speeds:
    """Seconds that the parts of a run take.

    Attributes:
        start: Until a new process is at work.
        isometry: The measurements before the pretraining.
        share: A worker's pieces of a pretraining step.
        update: What the driver does in a step.
        score: A score of a single architecture; 0 if scores are sums over layers.
        epochs: An epoch of retraining with its validation, of a median network and of the largest.
        checkpoint_bytes: Of the pretraining.
    """

    start: float
    isometry: float
    share: float
    update: float
    score: float
    epochs: tuple[float, float]
    checkpoint_bytes: int


def probe(plan: Plan, dataset: Dataset, settings: Settings) -> Speeds:
    """Measure a run's speeds on the cluster that was joined."""
    pretrain, size = settings.pretrain, plan.trial_size
    isometry, update, checkpoint_bytes = _probe_driver(plan, dataset, settings)
    run = ray.put((plan, dataset, settings))
    is_single = settings.search.score not in INDICATOR_SCORES
    workers = max(plan.workers if plan.num_steps else 0, plan.scorers if is_single else 0)
    start, before = _everywhere(
        _probe_worker, run, workers, pretrain.cpus_per_worker, plan.gpus_per_worker
    )
    _, after = _everywhere(
        _probe_trial, run, plan.concurrent * size.workers, settings.retrain.cpus_per_trial,
        size.gpus,
    )  # fmt: skip
    share, score = np.mean(before, axis=0) if before else (0.0, 0.0)
    median, largest = np.mean(after, axis=0)
    epochs = float(median), float(largest)
    return Speeds(start, isometry, float(share), update, float(score), epochs, checkpoint_bytes)


def _everywhere(
    work: Callable[..., tuple[float, float]], run: Any, places: int, cpus: int, gpus: float
) -> tuple[float, list[tuple[float, float]]]:
    """Do the same at all places at once; return the seconds until it began, and the results."""
    started = time.monotonic()
    task = ray.remote(_timed).options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy="SPREAD")
    found = ray.get([task.remote(work, run, cpus, gpus) for _ in range(places)])
    busy = max((seconds for seconds, _ in found), default=0.0)
    return time.monotonic() - started - busy, [result for _, result in found]


def _timed(
    work: Callable[..., tuple[float, float]],
    run: tuple[Plan, Dataset, Settings],
    cpus: int,
    gpus: float,
) -> tuple[float, tuple[float, float]]:
    started = time.monotonic()
    torch.set_num_threads(cpus)
    result = work(*run, "cuda" if gpus else "cpu")
    return time.monotonic() - started, result


def _probe_driver(plan: Plan, dataset: Dataset, settings: Settings) -> tuple[float, float, int]:
    """Return the seconds of the isometry and of an update, and the checkpoint's size."""
    if not plan.num_steps:
        return 0.0, 0.0, 0
    supernet, state = _begin(plan, dataset, settings)
    steps = state.run(partial(_still, state))
    update = seconds_of(lambda: next(steps), most=min(_MOST, plan.num_steps - 1))
    started, candidates = time.monotonic(), list(supernet.candidates())
    layer, _, module = candidates[len(candidates) // 2]
    measure_candidate(supernet, layer, module, settings.seed)
    isometry = (time.monotonic() - started) * len(candidates) * _ISOMETRIES
    return isometry, update, len(state.to_bytes())


def _begin(plan: Plan, dataset: Dataset, settings: Settings) -> tuple[Supernet, Pretraining]:
    frozen = build_supernet(plan.space, settings.pretrain, dataset, settings.seed)
    state = Pretraining(
        plan.space, frozen.segments, frozen.vector, settings.pretrain, settings.seed,
        plan.num_steps, plan.num_shards,
    )  # fmt: skip
    return frozen.supernet, state


def _still(
    state: Pretraining, vector: Vector, step: int, pieces: Sequence[Piece]
) -> list[Gradient]:
    """Return gradients of zero."""
    del vector, step
    sizes = [len(indices_on(state.segments, piece.path)) for piece in pieces]
    return [Gradient(np.zeros(size, dtype=np.float32), 1.0) for size in sizes]


def _probe_worker(
    plan: Plan, dataset: Dataset, settings: Settings, device: str
) -> tuple[float, float]:
    """Return the seconds of a worker's pieces of a step, and of a score; 0: there is none."""
    supernet = build_supernet(plan.space, settings.pretrain, dataset, settings.seed)
    vector = supernet.vector.numpy()
    share = score = 0.0
    if plan.num_steps:
        compute = PathGradients(
            plan.space, dataset, settings.pretrain, settings.images.augment, settings.seed,
            plan.num_shards, device,
        )  # fmt: skip
        pieces = shares(plan, _begin(plan, dataset, settings)[1])
        steps = itertools.count()
        share = seconds_of(lambda: compute(vector, next(steps), pieces))
    if settings.search.score not in INDICATOR_SCORES:
        single = make_score(plan.space, dataset, settings, vector, device)
        path = _by_size(plan, settings.seed)[0]
        score = seconds_of(lambda: single(path))
    return share, score


def shares(plan: Plan, state: Pretraining) -> list[Piece]:
    """Return as many pieces of the first step as the busiest worker computes of each."""
    pieces = [Piece(path, shard) for path in state.paths(0) for shard in range(plan.num_shards)]
    return pieces[: math.ceil(len(pieces) / plan.workers)]


def _probe_trial(
    plan: Plan, dataset: Dataset, settings: Settings, device: str
) -> tuple[float, float]:
    """Return the seconds of an epoch of a median network, and of the largest of some."""
    batch = math.ceil(settings.retrain.batch / plan.trial_size.workers)
    own = replace(settings.retrain, batch=batch)
    # looking at the validation images takes a share of what training on them would
    images = len(dataset.train) + _FORWARD_SHARE * len(dataset.val) * plan.trial_size.workers
    steps = images / settings.retrain.batch
    median, largest = (
        seconds_of(partial(_train, _training(plan, architecture, dataset, settings, own, device)))
        for architecture in _by_size(plan, settings.seed)
    )
    return median * steps, largest * steps


def _training(  # noqa: PLR0913 - what a trial is made of
    plan: Plan,
    architecture: Architecture,
    dataset: Dataset,
    settings: Settings,
    retrain: RetrainSettings,
    device: str,
) -> Iterator[torch.Tensor]:
    """Yield the losses of a training, step by step, for ever."""
    augment, seed = settings.images.augment, settings.seed
    training = Retraining(plan.space, architecture, dataset, retrain, augment, seed, device)
    return map(training.train_step, itertools.count())


def _train(training: Iterator[torch.Tensor]) -> float:
    return next(training).item()  # waits for the device


def _by_size(plan: Plan, seed: int) -> tuple[Architecture, Architecture]:
    """Return the median and the largest of some architectures within the limits, by MACs."""
    rng = np.random.default_rng(seed)
    drawn = [plan.sampler.draw(rng) for _ in range(_DRAWN)]
    found = [each for each in drawn if each is not None]
    if not found:  # limits that hardly anything keeps
        found = [Architecture([0] * plan.space.num_layers)]
    ranked = sorted(found, key=lambda each: plan.costs.of(each).macs)
    return ranked[len(ranked) // 2], ranked[-1]


def seconds_of(work: Callable[[], object], most: int = _MOST) -> float:
    """Return the mean time of calls that follow on one that warms up."""
    work()
    started, calls = time.perf_counter(), 0
    while calls < min(_LEAST, most) or (calls < most and time.perf_counter() < started + _SECONDS):
        work()
        calls += 1
    return (time.perf_counter() - started) / max(calls, 1)
