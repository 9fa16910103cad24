"""What a node must have for a run, and in a sentence what keeps one from it.

The plan asks the nodes that are there (``survey``). Nodes that join later are asked by the work
itself, where it begins: what an unfit node computes might differ, or lie on its own disk.
"""

import functools
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from raynas.errors import UserError
from raynas.storage.run_store import RunStore

# what a gradient or a file may depend on
_PACKAGES = ("torch", "torchvision", "numpy", "pyarrow", "safetensors")
_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


class UnfitNodeError(UserError):
    """A node that joined the cluster later cannot do the run's work."""


@dataclass(frozen=True)
class Report:
    """What a node says of itself.

    Attributes:
        versions: Of Python and the packages; null: not installed.
        has_raynas: Whether raynas can be imported there.
        unseen: The paths that are not there.
        gpus: That torch finds; None: it was not asked.
    """

    versions: dict[str, str | None]
    has_raynas: bool
    unseen: list[str]
    gpus: int | None


def look(paths: Sequence[str], wants_gpus: bool) -> dict[str, Any]:
    """Return a ``Report``'s fields for this machine."""
    return {
        "versions": versions_here(),
        "has_raynas": importlib.util.find_spec("raynas") is not None,
        "unseen": [path for path in paths if not os.path.exists(path)],  # noqa: PTH110 - any text
        "gpus": _count_gpus() if wants_gpus else None,
    }


def versions_here() -> dict[str, str | None]:
    """Return the versions of Python and of what results depend on; None: not installed."""
    found: dict[str, str | None] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            # +cpu and +cu130 are builds of the same version
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _count_gpus() -> int:
    """Return what torch finds in a process from which Ray hides nothing."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-c", _COUNT_GPUS]
    done = subprocess.run(  # noqa: S603 - a constant
        command, env=environment, capture_output=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 else 0


@dataclass(frozen=True)
class Demands:
    """What a run asks of a node.

    Attributes:
        versions: Of Python and the packages, as the driver has them.
        run_folder: Its path or URI, for messages.
        marker: A path in it that the node must see; None: all can see it, or need not.
        file: One of the images that the node must see; None: they are sent to it.
    """

    versions: dict[str, str | None]
    run_folder: str
    marker: str | None
    file: str | None

    @property
    def paths(self) -> list[str]:
        """What the node must see."""
        return [path for path in (self.marker, self.file) if path]

    def complaint(self, name: str, report: Report, promised: float = 0.0) -> str | None:
        """Return what is wrong with a node, and what to do; None: it is fit.

        Args:
            name: Of the node, for the message.
            report: What it says of itself.
            promised: GPUs that it has promised to Ray.
        """
        here = self.versions
        other = {k: v for k, v in report.versions.items() if v != here[k]}
        if other:
            pairs = ", ".join(f"{k} {v or 'missing'} (here {here[k]})" for k, v in other.items())
            return (
                f"node {name}: it has {pairs}; install the same versions there, or name them in "
                "the runtime environment (ray job submit --runtime-env)"
            )
        if not report.has_raynas:
            return (
                f"node {name}: raynas cannot be imported there; submit the project with it "
                "(ray job submit --working-dir . -- ...), or install it there"
            )
        return self._unseen(name, report) or self._broken_promise(name, report, promised)

    def _unseen(self, name: str, report: Report) -> str | None:
        if self.marker in report.unseen:
            return (
                f"run folder {self.run_folder}: node {name} does not see it; choose a --run that "
                "all nodes share, such as a folder on NFS or s3://bucket/run"
            )
        if report.unseen:
            return (
                f"--data {report.unseen[0]}: node {name} does not see it; put the images where "
                "all nodes share them, or keep them in memory (--images.in-memory yes)"
            )
        return None

    @staticmethod
    def _broken_promise(name: str, report: Report, promised: float) -> str | None:
        if report.gpus is None or report.gpus >= promised:
            return None
        return (
            f"node {name}: Ray was promised {promised:g} GPUs, torch finds {report.gpus}; install "
            "a torch with CUDA and its driver there, or start that node with --num-gpus "
            f"{report.gpus}"
        )


def demands_of(store: RunStore, file: str | None) -> Demands:
    """Return what a run that has begun asks of a node, by what is so on this machine.

    Args:
        store: The run folder.
        file: A local one that workers will read; None: the images are sent to them.
    """
    folder = store.local_folder
    return Demands(versions_here(), store.uri, str(folder / "tables") if folder else None, file)


def on_fit_nodes(work: Callable[_Given, _Found], demands: Demands) -> Callable[_Given, _Found]:
    """Return work that raises UnfitNodeError where its node does not meet the demands."""

    @functools.wraps(work)
    def checked(*args: _Given.args, **named: _Given.kwargs) -> _Found:
        report = Report(**look(demands.paths, wants_gpus=False))
        complaint = demands.complaint(platform.node(), report)
        if complaint:
            raise UnfitNodeError(f"{complaint}, or remove it from the cluster")
        return work(*args, **named)

    return checked
