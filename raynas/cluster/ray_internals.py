"""What raynas takes from Ray that Ray promises nobody: private names, texts, undocumented settings.

Everything of the kind is here and nowhere else. Any version of Ray may change it, so
``tests/cluster/test_ray_internals.py`` holds each against the Ray that is installed and names the
one that is gone. Interfaces that Ray documents are used where they are needed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRIED_WITH = ("2.59.0", "2.60.0")
"""Versions of Ray with which all of this works; the first is the oldest that raynas accepts."""

QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches the launch script
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is ever restored from Tune's own folder
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Variables that Ray reads when it starts; a person's own values win."""

POLL_SECONDS = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"
"""Variable with the seconds between Ray Train's looks for reports and for lost workers."""

_PLACE = re.compile(r"\(pid=(\d+), ip=([\w.:]+)")  # in the first line of a task's traceback
_FAILURE = "Failure # "  # before each try of a trial in its error file
_JOB_COPIES = "working_dir_files"  # a folder of every node; each job has its copy in it


def show_notices(is_shown: bool) -> None:
    """Show or hide the long notices that Ray prints whenever a worker or a node dies.

    Faults are expected here and mended, but the thread that prints them heeds neither
    ``log_to_driver`` nor any level; RAY_DEDUP_LOGS_SKIP_REGEX is read when Ray is imported, before
    it is known what a person wants. This is the switch of Ray's own debugger: in a version without
    it the notices come back, and nothing else happens.
    """
    from ray._private import worker  # noqa: PLC0415 - after the environment is set

    worker._worker_logs_enabled = is_shown  # noqa: SLF001 - see above


def is_other_version(error: Exception) -> bool:
    """Return whether ``ray.init`` failed because the cluster runs another Ray or Python."""
    return "Version mismatch" in str(error)


def is_slow_start(error: Exception) -> bool:
    """Return whether ``ray.init`` gave up on a Ray that takes too long to start."""
    return "timed out" in str(error).lower()


def is_long_socket(error: OSError) -> bool:
    """Return whether ``ray.init`` failed because its folder makes a socket's address too long."""
    return "AF_UNIX" in str(error)


def start_in(folder: Path, **wanted: Any) -> None:
    """Start Ray on this machine with its sockets and logs in a folder, whatever TMPDIR says."""
    import ray  # noqa: PLC0415 - after the environment is set

    ray.init("local", **wanted, _temp_dir=str(folder))


def is_job_copy(folder: Path) -> bool:
    """Return whether a folder is in a job's working directory, a copy that Ray deletes."""
    return _JOB_COPIES in folder.parts


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's name for it.
        host: Its own name.
        address: Its IP address.
        resources: What it has promised to Ray: CPU, GPU and custom ones.
    """

    id: str
    host: str
    address: str
    resources: Mapping[str, float]


def live_nodes() -> list[Node]:
    """Return the machines that Ray believes to be alive."""
    import ray  # noqa: PLC0415 - after the environment is set

    names = "NodeID", "NodeManagerHostname", "NodeManagerAddress", "Resources"
    return [Node(*(each[name] for name in names)) for each in ray.nodes() if each["Alive"]]


def kill_process(trial: Any) -> None:
    """Kill the process of a trial of Tune, which then tries it again."""
    import ray  # noqa: PLC0415 - after the environment is set

    ray.kill(trial.temporary_state.ray_actor)


def last_failure(text: str) -> str:
    """Return what a trial's error file tells of the last try, which Tune has appended."""
    _, mark, last = text.strip().rpartition(_FAILURE)
    return f"try {last}" if mark else last


def process_of(trace: str) -> tuple[str, str] | None:
    """Return the process id and the IP address that a task's traceback names."""
    told = _PLACE.search(trace)
    return (told[1], told[2]) if told else None
