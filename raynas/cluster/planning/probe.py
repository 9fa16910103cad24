"""How fast this cluster does a run's work: the inner loop of each stage, for a moment.

The loops run where the run will, at as many places at once as the run will use: places of one
machine share its cores, caches and memory, so a single one would promise too much.
"""

import itertools
import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import ray
import torch

from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.tune.failure_report import remedy
from raynas.cluster.workers.path_workers import PathWorkers
from raynas.cluster.workers.ray_transport import is_lost
from raynas.cluster.workers.worker import supernet_recipe
from raynas.data.dataset import Dataset
from raynas.errors import StageError, UserError
from raynas.nets.isometry import measure_candidate
from raynas.seeds import Stream, random_numbers
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.training.gradients import build_supernet
from raynas.training.pretraining import Pretraining
from raynas.training.retraining import Retraining

_SECONDS = 1.5  # of each loop
_LEAST, _MOST = 3, 50  # repetitions in that time
_DRAWN = 100  # architectures, of which two are trained for a moment
_ISOMETRIES = 3.0  # as many whole measurements are one and three brief ones
_FORWARD_SHARE = 1 / 3  # of a training step that looking at as many images takes
_ENDLESS = 10**6  # steps
_PATIENCE = 60.0  # seconds, for workers that may be on nodes that still start

Work = Callable[[Plan, Dataset, Settings, str], Any]


class ProbeError(StageError):
    """What was measured failed in a way that need not happen in the run: others may do."""


@dataclass(frozen=True)
class ProbeTask:
    """What a search repeats, to be measured.

    Attributes:
        work: Returns the seconds that it takes once, and the bytes of a checkpoint of the search.
        places: At how many places at a time the search does it.
        cpus: Of a place.
        gpus: Of a place.
    """

    work: Work
    places: int
    cpus: int
    gpus: float


def probe(plan: Plan, dataset: Dataset, settings: Settings, search: ProbeTask | None) -> Speeds:
    """Measure a run's speeds on the cluster that was joined.

    Args:
        plan: The plan.
        dataset: The images.
        settings: What was asked for.
        search: What the search repeats; None: it takes no time to speak of.

    Raises:
        ProbeError: What was measured failed, perhaps for one network alone.
        UserError, StageError: It failed as the run would.
    """
    size = plan.trial_size
    run = ray.put((plan, dataset, settings))
    start = isometry = step = searching = 0.0
    checkpoint_bytes = search_bytes = 0
    if plan.num_steps:
        start, isometry, step, checkpoint_bytes = _probe_pretraining(plan, dataset, settings)
    if search:
        found = _everywhere(search.work, run, search.places, search.cpus, search.gpus)
        searching = float(np.mean([seconds for _, (seconds, _) in found]))
        search_bytes = found[0][1][1]
    started, trials = time.monotonic(), plan.concurrent * size.workers
    after = _everywhere(_probe_trial, run, trials, settings.retrain.cpus_per_trial, size.gpus)
    start = start or time.monotonic() - started - max(busy for busy, _ in after)
    (a, b), (c, d) = np.mean([seconds for _, seconds in after], axis=0).tolist()
    median = plan.costs.of(by_size(plan, settings.seed)[0])
    return Speeds(
        start=start,
        isometry=isometry,
        step=step,
        epochs=(a, b),
        tests=(c, d),
        checkpoint_bytes=checkpoint_bytes,
        network_bytes=4 * median.params,
        network_macs=median.macs,
        search=searching,
        search_bytes=search_bytes,
    )


def _everywhere(
    work: Work, run: Any, places: int, cpus: int, gpus: float
) -> list[tuple[float, Any]]:
    """Do the same at all places at once; return the seconds and the result of each.

    Raises:
        ProbeError: One of them failed, or was lost.
        UserError, StageError: One of them raised it, or none of them can be started.
    """
    task = ray.remote(_timed).options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy="SPREAD")
    asked = [task.remote(work, run, cpus, gpus) for _ in range(places)]
    try:
        found: list[tuple[float, Any]] = ray.get(asked)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, UserError | StageError):
            raise cause from error
        may_do = is_lost(error) or isinstance(error, ray.exceptions.RayTaskError)
        kind = ProbeError if may_do else StageError
        raise kind(f"{remedy(str(error))}\n{error}") from error
    return found


def _timed(
    work: Work, run: tuple[Plan, Dataset, Settings], cpus: int, gpus: float
) -> tuple[float, Any]:
    started = time.monotonic()
    torch.set_num_threads(cpus)
    found = work(*run, "cuda" if gpus else "cpu")
    return time.monotonic() - started, found


def _probe_pretraining(
    plan: Plan, dataset: Dataset, settings: Settings
) -> tuple[float, float, float, int]:
    """Take some steps with the run's own workers, and leave nothing of them.

    The first step is the run's own; the run may have fewer of those that follow.

    Returns:
        Seconds until all workers are there, of the isometry, of a step; a checkpoint's bytes.
    """
    frozen = build_supernet(plan.chain, settings.pretrain, dataset, settings.seed)
    state = Pretraining(
        plan.chain,
        frozen.segments,
        frozen.vector,
        settings.pretrain,
        settings.seed,
        _ENDLESS,
        plan.num_shards,
        plan.costs,
    )
    recipe = supernet_recipe(plan.chain, settings, plan.num_shards, plan.gpus_per_worker)
    started = time.monotonic()
    with PathWorkers(recipe, dataset, plan.crew(settings.pretrain)) as workers:
        steps = state.run(workers)
        next(steps)
        try:
            while len(workers.healthy) < plan.workers and time.monotonic() < started + _PATIENCE:
                next(steps)
            start = time.monotonic() - started
            step = seconds_of(lambda: next(steps))
        except StageError as error:
            raise ProbeError(str(error)) from error
    candidates = list(frozen.supernet.candidates())
    layer, _, module = candidates[len(candidates) // 2]
    one = seconds_of(lambda: measure_candidate(frozen.supernet, layer, module, settings.seed))
    return start, one * len(candidates) * _ISOMETRIES, step, len(state.to_bytes())


def _probe_trial(
    plan: Plan, dataset: Dataset, settings: Settings, device: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the seconds of an epoch and of the test, of a median network and of a slow one."""
    batch, workers = settings.retrain.batch, plan.trial_size.workers
    own = replace(settings.retrain, batch=math.ceil(batch / workers))

    def measure(path: Architecture, most: int = _MOST) -> float:
        training = _training(plan, path, dataset, settings, own, device)
        return seconds_of(partial(_train, training), most)

    median, slow = by_size(plan, settings.seed)
    with certain_if_fails(lambda: measure(slow, 0)):
        steps = [measure(median)]
    steps.append(measure(slow))
    # looking at images takes a share of what training on them would; every worker looks at all
    looks = _FORWARD_SHARE * workers / batch
    epoch = len(dataset.train) / batch + len(dataset.val) * looks
    again = _FORWARD_SHARE * settings.retrain.recalibration_batches  # after the last epoch
    test = len(dataset.test) * looks + again
    return tuple(step * epoch for step in steps), tuple(step * test for step in steps)


def _training(  # noqa: PLR0913 - what a trial is made of
    plan: Plan,
    architecture: Architecture,
    dataset: Dataset,
    settings: Settings,
    retrain: RetrainSettings,
    device: str,
) -> Iterator[torch.Tensor]:
    """Yield the losses of a training, step by step, for ever."""
    teacher = plan.teacher.stand_in(dataset, plan.space) if plan.teacher else None
    task = dataset, retrain, settings.seed, device
    training = Retraining(plan.space, architecture, *task, teacher=teacher)
    return map(training.train_step, itertools.count())


def _train(training: Iterator[torch.Tensor]) -> float:
    return next(training).item()  # waits for the device


@contextmanager
def certain_if_fails(other: Callable[[], object]) -> Iterator[None]:
    """Let a failure of one network be its own, unless another one fails as well.

    Raises:
        StageError: Both failed, as those of the run would.
    """
    try:
        yield
    except Exception as error:
        try:
            other()
        except Exception:  # noqa: BLE001 - whatever it is, the first one is told
            trace = "".join(traceback.format_exception(error))
            raise StageError(f"{remedy(trace)}\n{trace}") from error
        raise


def by_size(plan: Plan, seed: int) -> tuple[Architecture, Architecture]:
    """Return the median of some architectures within the limits by MACs, and a slow one.

    Of the upper half that is the one with the fewest parameters: it works where feature maps are
    large, which takes longer than its MACs tell, and scores tend to prefer it.
    """
    rng = random_numbers(seed, Stream.PROBE)
    drawn = plan.named or [plan.sampler.draw(rng) for _ in range(_DRAWN)]
    found = [each for each in drawn if each is not None]
    if not found:  # limits that hardly anything keeps
        found = [Architecture([0] * plan.space.num_layers)]
    ranked = sorted(found, key=lambda each: plan.costs.of(each).macs)
    upper = ranked[len(ranked) // 2 :]
    return upper[0], min(upper, key=lambda each: plan.costs.of(each).params)


def seconds_of(work: Callable[[], object], most: int = _MOST) -> float:
    """Return the mean time of calls that follow on one that warms up."""
    work()
    started, calls = time.perf_counter(), 0
    while calls < min(_LEAST, most) or (calls < most and time.perf_counter() < started + _SECONDS):
        work()
        calls += 1
    return (time.perf_counter() - started) / max(calls, 1)
