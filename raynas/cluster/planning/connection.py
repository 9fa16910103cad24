"""Joining or starting a Ray cluster, quietly, and what it has to offer."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from raynas.cluster.planning.ray_join import joined
from raynas.cluster.planning.ray_start import started
from raynas.cluster.ray_internals import QUIET, is_job_copy, live_nodes, show_notices
from raynas.errors import UserError
from raynas.settings.ranges import GPU_PARTS


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


class _Presence:
    """This process in a cluster: the first that needs it enters, the last one leaves."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._count = 0
        self._way_out = ExitStack()

    @contextmanager
    def shared(self, way: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Be in the cluster to which the way of the first one led."""
        with self._turn:
            if not self._count:
                self._way_out.enter_context(way())
            self._count += 1
        try:
            yield
        finally:
            with self._turn:
                self._count -= 1
                if not self._count:
                    self._way_out.close()


_PRESENCE = _Presence()


@contextmanager
def connected(num_cpus: int | None = None, verbose: bool = False) -> Iterator[Resources]:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine; leave it at the end.

    Whoever has joined one already, or works for it, stays in that one. Threads that are in it at
    the same time share it.

    Args:
        num_cpus: CPUs of a cluster started here; unset: all of the machine.
        verbose: Let Ray show its own messages and what workers print.

    Raises:
        UserError: No cluster answers, or it does not let this process in.
        StageError: Ray does not start here.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with _PRESENCE.shared(lambda: _entered(num_cpus, verbose)):
        yield find_resources()


@contextmanager
def _entered(num_cpus: int | None, verbose: bool) -> Iterator[None]:
    if _has_joined():
        yield
        return
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    show_notices(verbose)
    # quiet: else Tune logs a traceback whenever a trial is tried again
    level = logging.INFO if verbose else logging.CRITICAL
    messages = {"log_to_driver": verbose, "logging_level": level}
    address = os.environ.get("RAY_ADDRESS", "")
    is_here = address in {"", "local"}
    try:
        with ExitStack() as way_out:
            with _own_signals():
                way_out.enter_context(
                    started(num_cpus, **messages) if is_here else joined(address, **messages)
                )
            yield
    finally:
        show_notices(True)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM, which Ray would replace by leaving at once."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and before is not None:  # None: not Python's own
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
