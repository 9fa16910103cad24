"""What a run will take, stage by stage: seconds, GPU-hours and bytes, each with a range.

A forecast is made of a probe's speeds before anything is trained, is recorded with the run, and
is held against what the run took when it has ended (table ``runs``).
"""

import math
from dataclasses import replace

from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.speeds import Speeds
from raynas.settings.settings import Settings
from raynas.storage.outcome_rows import TrainedOn
from raynas.storage.usage import StageUsage, Usage

_SPREAD = (0.8, 1.3)  # of the likely time: neighbours, and the moment of the probe
TUNE_SECONDS = 3.0  # that it takes to begin and to end an experiment
_ROW_BYTES = {"step": 40, "architecture": 60, "epoch": 8000, "run": 200_000}
_COPIES = 3  # of a network's weights in a trial's checkpoint: itself, its average, its momentum
_EXPORTED = 2  # copies in an export: safetensors and ONNX


def forecast(plan: Plan, settings: Settings, speeds: Speeds, search: StageUsage) -> Usage:
    """Return what a run is going to use.

    Args:
        plan: The plan.
        settings: What was asked for.
        speeds: What the probe measured.
        search: The forecast of the strategy.
    """
    first = settings.first_trained_on
    stages = {
        "pretrain": _pretrain(plan, settings, speeds),
        "teacher": _teacher(plan, settings, speeds),
        "learn": _learn(plan, settings, speeds),
        "search": search,
        "retrain": _retrain(plan, settings, speeds, settings.num_winners, first),
        "final": _retrain(plan, settings, speeds, settings.num_finals, "all"),
        "rivals": _rivals(plan, settings, speeds),
    }
    trainings = settings.num_winners + settings.num_finals + len(plan.rivals.planned)
    networks = trainings * (_COPIES + 1 + _EXPORTED) * speeds.network_bytes
    searched = settings.differentiable.seeds * speeds.search_bytes
    kept = speeds.checkpoint_bytes + searched + networks
    rows = (
        plan.num_steps * _ROW_BYTES["step"]
        + num_scored(plan, settings) * _ROW_BYTES["architecture"]
        + trainings * _ROW_BYTES["epoch"]
        + _ROW_BYTES["run"]
    )
    used = {name: each for name, each in stages.items() if each.seconds}
    return Usage(used, kept + rows)


def _pretrain(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    if not plan.num_steps:
        return stage(0, 0)
    seconds = plan.num_steps * speeds.step + speeds.isometry + speeds.start
    saves = seconds / max(settings.pretrain.checkpoint_seconds, speeds.step)
    gpus = plan.workers * plan.gpus_per_worker
    return stage(seconds, gpus, min(saves, plan.num_steps) * speeds.checkpoint_bytes)


def _learn(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    count = settings.num_trainings
    if not count:
        return stage(0, 0)
    median, _ = speeds.epochs  # networks of all sizes
    seconds = 0.0
    for trained in settings.training_rounds:
        waves = math.ceil(trained / plan.checkers)
        seconds += waves * settings.training_epochs * median
        seconds += starting_seconds(plan, waves, speeds)
    return stage(seconds, min(plan.checkers, count) * plan.gpus_per_trial)


def _rivals(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    """Return what the rivals take, whose epochs last as their MACs tell beside those measured."""
    rivals = plan.rivals.planned
    if not rivals:
        return stage(0, 0)
    macs = sum(each.cost.macs for each in rivals) / len(rivals)
    slower = _speeds_of(macs, speeds)
    return _retrain(plan, settings, slower, len(rivals), settings.retrain.on)


def _teacher(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    """Return what it takes to train a teacher that is not there yet."""
    if plan.teacher is None or plan.teacher.chosen is None:
        return stage(0, 0)
    slower = _speeds_of(plan.teacher.macs, speeds)
    return _retrain(plan, settings, slower, 1, "train")


def _speeds_of(macs: float, speeds: Speeds) -> Speeds:
    """Return how fast a network of another size is trained: as its MACs tell."""
    work = macs / speeds.network_macs
    return replace(
        speeds,
        epochs=(work * speeds.epochs[0], work * speeds.epochs[1]),
        tests=(work * speeds.tests[0], work * speeds.tests[1]),
    )


def _retrain(
    plan: Plan, settings: Settings, speeds: Speeds, networks: int, trained_on: TrainedOn
) -> StageUsage:
    """Return what the trainings of some networks take; an epoch lasts as its images are many."""
    if not networks:
        return stage(0, 0)
    retrain, facts = settings.retrain, plan.facts
    longer = 1 + facts.val / facts.train if trained_on == "all" else 1.0
    epochs = [longer * seconds for seconds in speeds.epochs]
    at_a_time = min(plan.checkers, networks)
    waves = math.ceil(networks / at_a_time)
    starting = starting_seconds(plan, waves, speeds)
    low, high = sorted(
        waves * (retrain.epochs * epoch + test) + starting
        for epoch, test in zip(epochs, speeds.tests, strict=True)
    )
    median, _ = epochs
    saves = max(retrain.epochs * median / max(retrain.checkpoint_seconds, median), 1)
    saved = networks * (_COPIES * saves + 1) * speeds.network_bytes
    gpus = at_a_time * plan.gpus_per_trial
    return stage((low + 3 * high) / 4, gpus, saved, low, high)


def starting_seconds(plan: Plan, waves: int, speeds: Speeds) -> float:
    """Return the seconds that processes and Tune take; a trial alone takes over a process."""
    return TUNE_SECONDS + speeds.start * (waves if plan.trial_size.workers > 1 else 1)


def stage(
    seconds: float,
    gpus: float,
    written_bytes: float = 0,
    low: float | None = None,
    high: float | None = None,
) -> StageUsage:
    """Return a stage: its likely time, and the range that it may be in."""
    below, above = _SPREAD
    return StageUsage(
        seconds=seconds,
        gpu_hours=gpus * seconds / 3600,
        written_bytes=written_bytes,
        low_seconds=below * (seconds if low is None else low),
        high_seconds=above * (seconds if high is None else high),
    )


def num_scored(plan: Plan, settings: Settings) -> int:
    """Return the architectures that an evolution scores at most."""
    search = settings.search
    return min(search.generations * search.population, plan.space.size)
