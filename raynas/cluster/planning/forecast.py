"""What a run will take, stage by stage: seconds, GPU-hours and bytes, each with a range.

A forecast is made of a probe's speeds before anything is trained, is recorded with the run, and
is held against what the run took when it has ended (table ``runs``).
"""

import math
from typing import Any

from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.speeds import Speeds
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.settings import Settings

Stage = dict[str, float]
"""seconds, with low_seconds and high_seconds; gpu_hours; written_bytes."""

_SPREAD = (0.8, 1.3)  # of the likely time: neighbours, and the moment of the probe
_SCORING_SECONDS = 0.07  # that Tune takes to start and end a trial on an actor that is there
_TUNE_SECONDS = 3.0  # that it takes to begin and to end an experiment
_SEARCH_SECONDS = 1.0  # of an evolution whose scores are sums
_ROW_BYTES = {"step": 40, "architecture": 60, "epoch": 8000, "run": 200_000}
_COPIES = 3  # of a network's weights in a trial's checkpoint: itself, its average, its momentum
_EXPORTED = 2  # copies in an export: safetensors and ONNX


def forecast(plan: Plan, settings: Settings, speeds: Speeds) -> dict[str, Any]:
    """Return the stages by name, and ``disk_bytes`` at the end of the run."""
    stages = {
        "pretrain": _pretrain(plan, settings, speeds),
        "search": _search(plan, settings, speeds),
        "check": _check(plan, settings, speeds),
        "retrain": _retrain(plan, settings, speeds),
    }
    networks = settings.num_winners * (_COPIES + 1 + _EXPORTED) * speeds.network_bytes
    searched = settings.differentiable.seeds * speeds.gates_bytes
    kept = speeds.checkpoint_bytes + searched + networks
    rows = (
        plan.num_steps * _ROW_BYTES["step"]
        + _scored(plan, settings) * _ROW_BYTES["architecture"]
        + settings.num_winners * _ROW_BYTES["epoch"]
        + _ROW_BYTES["run"]
    )
    used = {name: stage for name, stage in stages.items() if stage["seconds"]}
    return used | {"disk_bytes": kept + rows}


def _pretrain(plan: Plan, settings: Settings, speeds: Speeds) -> Stage:
    if not plan.num_steps:
        return _stage(0, 0)
    seconds = plan.num_steps * speeds.step + speeds.isometry + speeds.start
    saves = seconds / max(settings.pretrain.checkpoint_seconds, speeds.step)
    gpus = plan.workers * plan.gpus_per_worker
    return _stage(seconds, gpus, min(saves, plan.num_steps) * speeds.checkpoint_bytes)


def _search(plan: Plan, settings: Settings, speeds: Speeds) -> Stage:
    if settings.search.by_gates:
        return _gates(plan, settings.differentiable, speeds)
    if not speeds.score:
        return _stage(_SEARCH_SECONDS, 0)
    waves = math.ceil(_scored(plan, settings) / plan.scorers)
    seconds = speeds.start + _TUNE_SECONDS + waves * (speeds.score + _SCORING_SECONDS)
    return _stage(seconds, plan.scorers * plan.gpus_per_worker)


def _gates(plan: Plan, settings: DifferentiableSettings, speeds: Speeds) -> Stage:
    waves = math.ceil(settings.seeds / plan.searches)
    seconds = waves * settings.epochs * speeds.gate_epoch + _starting(plan, waves, speeds)
    saved = settings.seeds * settings.epochs * speeds.gates_bytes
    return _stage(seconds, plan.searches * plan.gpus_per_trial, saved)


def _check(plan: Plan, settings: Settings, speeds: Speeds) -> Stage:
    if not settings.check:
        return _stage(0, 0)
    waves = math.ceil(settings.check / plan.checkers)
    median, _ = speeds.epochs  # networks from the lowest score to the highest
    seconds = waves * settings.check_epochs * median + _starting(plan, waves, speeds)
    return _stage(seconds, min(plan.checkers, settings.check) * plan.gpus_per_trial)


def _retrain(plan: Plan, settings: Settings, speeds: Speeds) -> Stage:
    retrain = settings.retrain
    waves = math.ceil(settings.num_winners / plan.concurrent)
    starting = _starting(plan, waves, speeds)
    low, high = sorted(
        waves * (retrain.epochs * epoch + test) + starting
        for epoch, test in zip(speeds.epochs, speeds.tests, strict=True)
    )
    saved = settings.num_winners * (_COPIES * retrain.epochs + 1) * speeds.network_bytes
    gpus = min(plan.concurrent, settings.num_winners) * plan.gpus_per_trial
    return _stage((low + 3 * high) / 4, gpus, saved, low, high)


def _starting(plan: Plan, waves: int, speeds: Speeds) -> float:
    """Return the seconds that processes and Tune take; a trial alone takes over a process."""
    return _TUNE_SECONDS + speeds.start * (waves if plan.trial_size.workers > 1 else 1)


def _stage(
    seconds: float,
    gpus: float,
    written_bytes: float = 0,
    low: float | None = None,
    high: float | None = None,
) -> Stage:
    """Return a stage: its likely time, and the range that it may be in."""
    below, above = _SPREAD
    return {
        "seconds": seconds,
        "low_seconds": below * (seconds if low is None else low),
        "high_seconds": above * (seconds if high is None else high),
        "gpu_hours": gpus * seconds / 3600,
        "written_bytes": written_bytes,
    }


def _scored(plan: Plan, settings: Settings) -> int:
    search = settings.search
    return min(search.generations * search.population, plan.space.size)
