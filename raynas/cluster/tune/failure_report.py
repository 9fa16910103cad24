"""What a person needs to know of what failed: what, where, why, and what to do."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from raynas.cluster.ray_internals import last_failure, process_of
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.retrain import RetrainSettings

_LINES = 40  # of a traceback; its end tells most
_LOST = (
    ray.exceptions.ActorDiedError,
    ray.exceptions.ActorUnavailableError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OwnerDiedError,
)
# the first one found in the traceback counts
_REMEDIES = {
    r"out of memory|OutOfMemory|MemoryError": "it needs more memory: lower the stage's batch "
    "or what runs at a time (--retrain.concurrent, --pretrain.workers), or set --max-macs",
    r"No space left|Disk quota": "free some space, then run the same command again",
    r"the loss is (nan|inf|-inf)": "lower --retrain.learning-rate",
    r"; lower --differentiable.learning-rate": "lower --differentiable.learning-rate",
    "|".join(error.__name__ for error in _LOST): "its process or its machine "
    "was lost, perhaps for want of memory: run the same command again; if it is lost again, lower "
    "--retrain.concurrent or --retrain.batch",
    r"search_spaces|build\(": "look at the operation of the space that the traceback names",
}
_OTHERWISE = (
    "run the same command again to continue; if it fails in the same way, the traceback tells where"
)


def failure_text(trial: Any, settings: RetrainSettings | DifferentiableSettings) -> str:
    """Return what failed, its place, a remedy, its settings and the traceback, in that order.

    Args:
        trial: Of Ray Tune.
        settings: What it was to do.
    """
    trace = traceback_of(trial)
    epochs = (trial.last_result or {}).get("epoch", 0)
    done = f"{epochs} of {settings.epochs} epochs"
    where = f"trial {trial.trial_id} on {_place(trial, trace)}"
    lines = [
        f"{subject(trial.config)} failed after {done} in {where}",
        f"what to do: {remedy(trace)}",
        f"settings: {_listed(settings)}",
        trace,
    ]
    return "\n".join(lines)


def subject(config: Mapping[str, Any]) -> str:
    """Return what a trial with that config trains, for people."""
    if "seed" in config:
        return f"differentiable search with seed {config['seed']}"
    if "rival" in config:
        return f"rival {config['rival']}"
    if "teacher" in config:
        return f"teacher {config['teacher']}"
    on_all = ", trained on all images," if config.get("trained_on") == "all" else ""
    return f"architecture {config['architecture']}{on_all}"


def remedy(trace: str) -> str:
    """Return what a person can do about a failure."""
    found = (text for pattern, text in _REMEDIES.items() if re.search(pattern, trace))
    return next(found, _OTHERWISE)


def traceback_of(trial: Any) -> str:
    """Return the end of a traceback; Tune has it in a local file before it is in its storage."""
    path = trial.error_file
    if path and Path(path).is_file():  # in the encoding of this process
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    else:
        text = str(trial.get_error())
    lines = last_failure(text).splitlines()
    return "\n".join(lines if len(lines) <= _LINES else [lines[0], "...", *lines[-_LINES:]])


def _place(trial: Any, trace: str) -> str:
    """Return the node and the process of a trial, as far as they are known."""
    last, told = trial.last_result or {}, process_of(trace)
    if told:
        pid, address = told
    elif last:
        pid, address = last["pid"], last["node_ip"]
    else:
        return "a node that is not known"
    host = last.get("hostname")
    return f"node {f'{host} ({address})' if host else address}, process {pid}"


def _listed(settings: RetrainSettings | DifferentiableSettings) -> str:
    return ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(settings).items())
