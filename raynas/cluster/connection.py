"""Joining or starting a Ray cluster, quietly, and what it has to offer."""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raynas.cluster.ray_internals import (
    QUIET,
    is_job_copy,
    is_other_version,
    is_slow_start,
    live_nodes,
    show_notices,
)
from raynas.errors import StageError, UserError
from raynas.ranges import GPU_PARTS


@dataclass(frozen=True)
class Resources:
    """What a cluster has.

    Attributes:
        nodes: Machines that are alive.
        cpus: Of all of them together.
        gpus: Likewise.
        each: CPUs and GPUs of every machine; empty: all is on one.
        taken: CPUs and GPUs that others hold now.
    """

    nodes: int
    cpus: float
    gpus: float
    each: tuple[tuple[float, float], ...] = ()
    taken: tuple[float, float] = (0.0, 0.0)

    def room(self, cpus: int, gpus: float) -> int:
        """Return how many workers of that size the machines hold; a GPU's fractions share it."""
        return sum(_room(machine, cpus, gpus) for machine in self.each or [(self.cpus, self.gpus)])


def _room(machine: tuple[float, float], cpus: int, gpus: float) -> int:
    by_cpus = machine[0] // cpus
    if not gpus:
        return int(by_cpus)
    sharing = GPU_PARTS // round(gpus * GPU_PARTS)  # in whole numbers: 1 // 0.2 is 4
    by_gpus = machine[1] // gpus if gpus >= 1 else machine[1] * sharing
    return int(min(by_cpus, by_gpus))


@contextmanager
def connected(num_cpus: int | None = None, verbose: bool = False) -> Iterator[Resources]:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine; leave it at the end.

    Whoever has joined one already, or works for it, stays in that one.

    Args:
        num_cpus: CPUs of a cluster started here; unset: all of the machine.
        verbose: Let Ray show its own messages and what workers print.

    Raises:
        UserError: No cluster answers, or it runs another version of Ray or Python.
        StageError: Ray does not start here in time.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if _has_joined():
        yield find_resources()
        return
    address = os.environ.get("RAY_ADDRESS", "")
    started_here = address in {"", "local"}
    if started_here:
        _guard_with_token()
    else:
        _refuse_silent(address)
    import ray  # noqa: PLC0415 - after the environment is set

    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    show_notices(verbose)
    try:
        with _own_signals():
            ray.init(
                "local" if started_here else None,
                num_cpus=num_cpus if started_here else None,
                include_dashboard=False if started_here else None,
                log_to_driver=verbose,
                # quiet: else Tune logs a traceback whenever a trial is tried again
                logging_level=logging.INFO if verbose else logging.CRITICAL,
            )
    except ConnectionError as error:
        raise _no_answer(address) from error
    except RuntimeError as error:
        if not is_other_version(error):
            raise
        words = " ".join(str(error).split())
        raise UserError(f"RAY_ADDRESS {address}: {words} Install the same versions.") from error
    except Exception as error:
        if not is_slow_start(error):
            raise
        raise StageError(
            "Ray: it did not start on this machine within 30 seconds, perhaps because the machine "
            "is very busy; run the same command again"
        ) from error
    try:
        yield find_resources()
    finally:
        ray.shutdown()
        show_notices(True)


def _guard_with_token() -> None:
    """Let nobody else join the cluster that is started here: Ray listens on all interfaces.

    Unless RAY_AUTH_MODE forbids it, Ray asks for a token. This one lives in this process and those
    that it starts; left to itself, Ray would write one to the home directory, where it breaks a
    later ``ray start`` (RAY.md, section 7).
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM, which Ray would replace by leaving at once."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    yield
    if is_main:
        signal.signal(signal.SIGTERM, before)


def lasting(folder: str) -> str:
    """Return where results last: a job's working directory is a copy that Ray deletes.

    Args:
        folder: A path or URI; in such a copy a relative path is taken from the home directory.
    """
    is_moved = is_job_copy(Path.cwd()) and "://" not in folder
    return str(Path.home() / folder) if is_moved else folder


def _has_joined() -> bool:
    import ray  # noqa: PLC0415 - after the environment is set

    return bool(ray.is_initialized())


def find_resources() -> Resources:
    """Return what the cluster that was joined has now."""
    import ray  # noqa: PLC0415 - after the environment is set

    machines = [node.resources for node in live_nodes()]
    each = tuple((machine.get("CPU", 0.0), machine.get("GPU", 0.0)) for machine in machines)
    cpus, gpus = (sum(sizes) for sizes in zip(*each, strict=True))
    free = ray.available_resources()
    taken = cpus - free.get("CPU", 0.0), gpus - free.get("GPU", 0.0)
    return Resources(len(each), cpus, gpus, each, taken)


def _refuse_silent(address: str) -> None:
    """Refuse an address where nothing listens at once; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(
            f"RAY_ADDRESS {address}: wanted HOST:PORT of the cluster's head, such as "
            "10.0.0.1:6379, or auto; unset RAY_ADDRESS to run on this machine alone"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(address) from error


def _no_answer(address: str) -> UserError:
    return UserError(
        f"RAY_ADDRESS {address}: no Ray cluster answers there; start one, or unset RAY_ADDRESS to "
        "run on this machine alone"
    )


def ship_by_value(module_name: str) -> None:
    """Let workers receive the classes of a module that only the driver can import."""
    from ray import cloudpickle  # noqa: PLC0415 - after the environment is set

    cloudpickle.register_pickle_by_value(sys.modules[module_name])


def gpus_each(asked: float | None, resources: Resources, setting: str) -> float:
    """Return the GPUs of a worker or trial: what was asked for, or 1 where there are any.

    Raises:
        UserError: More were asked for than the cluster has.
    """
    if asked is None:
        return 1.0 if resources.gpus >= 1 else 0.0
    if asked > resources.gpus:
        raise UserError(
            f"--{setting} {asked:g}: the cluster has {resources.gpus:g} GPUs; set it to "
            f"{resources.gpus:g} or leave it out to use what is there"
        )
    return asked


def places(resources: Resources, cpus: int, gpus: float, setting: str) -> int:
    """Return how many workers or trials of that size fit the cluster at a time.

    Raises:
        UserError: Not even one fits.
    """
    fitting = resources.room(cpus, gpus)
    if fitting < 1:
        size = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise UserError(
            f"--{setting} {cpus}: no machine of the cluster has {size} (together they have "
            f"{resources.cpus:g} CPUs and {resources.gpus:g} GPUs); lower it"
        )
    return fitting
