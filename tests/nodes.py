"""A cluster of several nodes on this machine that knows everything but raynas.

Every node is a ``ray start --block`` of its own, so jobs can be submitted to it and its nodes can
lose power. The nodes' Python has what the tests' Python has, but for raynas: whatever of it a job
needs must have come with the job.
"""

import contextlib
import json
import os
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

from ray.util.state import list_nodes
from ray.util.state.exception import RayStateApiException, ServerUnavailable

HOST = "127.0.0.1"
RAY = ("-m", "ray.scripts.scripts")
# mounts a disk that no other process sees; what follows is its folder and the command
OWN_DISK = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')
_START_SECONDS = 90.0
_END_SECONDS = 30.0
_PRIVATE = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else a busy node ends after 30 s
    "RAY_enable_metrics_collection": "0",
    "OMP_NUM_THREADS": "1",
}


class Nodes:
    """A head without CPUs, where drivers run, and nodes of one CPU each."""

    def __init__(self, folder: Path) -> None:
        """Start the head.

        Args:
            folder: Empty, with a short name: sockets lie in it.
        """
        self.folder = folder
        self.python = make_python(folder / "python")
        self.address = f"{HOST}:{free_port()}"
        self.dashboard = f"http://{HOST}:{free_port()}"
        self._nodes: list[subprocess.Popen[bytes]] = []
        (folder / "home").mkdir()
        self._head = self._start(
            "--head",
            "--num-cpus=0",
            f"--port={self.address.rpartition(':')[2]}",
            f"--dashboard-port={self.dashboard.rpartition(':')[2]}",
            f"--ray-client-server-port={free_port()}",
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of nodes; raynas is not to be found in it."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "PYTHON"))
        }
        path = f"{self.python.parent}{os.pathsep}{inherited['PATH']}"
        return inherited | _PRIVATE | {"HOME": str(self.folder / "home"), "PATH": path}

    def add_node(self, apart: Path | None = None, resource: str | None = None) -> None:
        """Start another node of one CPU.

        Args:
            apart: A folder in whose place the node sees an empty disk of its own.
            resource: A custom one that it alone has.
        """
        wrapper = () if apart is None else (*OWN_DISK, str(apart))
        flags = [f"--address={self.address}", "--num-cpus=1"]
        if resource is not None:
            flags.append("--resources=" + json.dumps({resource: 1}))
        self._nodes.append(self._start(*flags, wrapper=wrapper))

    def kill_node(self) -> None:
        """Kill the newest node with all its processes, as when its machine loses power."""
        self._kill(self._nodes.pop())

    def alive(self) -> set[str]:
        """Return the nodes that the head believes to be alive, itself among them."""
        # once a node is dead, Ray takes the list for a truncated one and would raise
        nodes = list_nodes(self.dashboard, raise_on_missing_output=False)
        return {node.node_id for node in nodes if node.state == "ALIVE"}

    def stop(self) -> None:
        """End all nodes, the head at last; kill what does not end."""
        for node in (*self._nodes, self._head):
            node.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(_END_SECONDS)
                continue
            self._kill(node)

    def _start(self, *flags: str, wrapper: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a node and wait until it is listed."""
        before = set() if "--head" in flags else self.alive()
        # a folder of its own, as on a machine: a node that unpacks a job deletes what lies there
        own = Path(tempfile.mkdtemp(prefix="n", dir=self.folder))
        with (own / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *wrapper,
                    self.python,
                    *RAY,
                    "start",
                    "--block",
                    f"--node-ip-address={HOST}",
                    f"--dashboard-agent-listen-port={free_port()}",
                    "--min-worker-port=0",
                    "--max-worker-port=0",  # whatever is free
                    "--object-store-memory=100000000",
                    f"--temp-dir={own}",
                    *flags,
                ],
                cwd=self.folder / "home",
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(ServerUnavailable, RayStateApiException):  # it starts
                if self.alive() - before:
                    return process
            if process.poll() is not None or time.monotonic() > deadline:
                self._kill(process)
                raise AssertionError(f"a node did not start: {Path(log.name).read_text()}")
            time.sleep(0.2)

    @staticmethod
    def _kill(node: subprocess.Popen[bytes]) -> None:
        """Kill a node from the top down, so that nobody below is started anew."""
        family = descendants(node.pid)
        for process in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        node.wait()
        deadline = time.monotonic() + _END_SECONDS
        while any(is_running(process) for process in family):
            assert time.monotonic() < deadline, "processes of a killed node are left"
            time.sleep(0.05)


@contextmanager
def started(workers: int, resource: str | None = None) -> Iterator[Nodes]:
    """Start a head and some nodes, one after another; end them and all they have started.

    Args:
        workers: Nodes beside the head.
        resource: A custom one of the first of them.
    """
    # not a folder of pytest: sockets need short names
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        nodes = Nodes(Path(name))
        try:
            for number in range(workers):
                nodes.add_node(resource=None if number else resource)
            assert len(nodes.alive()) == 1 + workers
            yield nodes
        finally:
            nodes.stop()


def make_python(folder: Path) -> Path:
    """Make a virtual environment with all that is installed here but raynas; return its Python.

    A folder of links, not of a path file: raynas may be installed as files beside the others.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    ours = {file.parts[0] for file in distribution("raynas").files or ()}
    for installed in map(Path, reversed(site.getsitepackages())):
        for entry in installed.iterdir() if installed.is_dir() else ():
            link = packages / entry.name
            if entry.name not in ours and entry.suffix != ".pth":
                link.unlink(missing_ok=True)
                link.symlink_to(entry)
    return folder / "bin" / "python"


def may_mount(folder: Path) -> bool:
    """Return whether this user may mount a disk for one process."""
    words = [*OWN_DISK, str(folder), "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def descendants(process: int) -> list[int]:
    """Return a process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    family = [process]
    for member in family:
        family += children.get(member, [])
    return family


def is_running(process: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
