"""A look at every node before a run: what would fail there hours later is refused now.

A node must be able to import raynas, run the versions that the driver runs, see the run folder
if that lies on a local path, and find the GPUs that it has promised to Ray.
"""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raynas.cluster.ray_internals import Node, live_nodes
from raynas.errors import UserError
from raynas.store import RunStore

# what a gradient or a file may depend on
_PACKAGES = ("torch", "torchvision", "numpy", "pyarrow", "safetensors")
_ANSWER_SECONDS = 120.0  # a node may have to install a runtime environment first
_GONE = (
    ray.exceptions.TaskUnschedulableError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
)
_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


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
        "versions": _versions(),
        "has_raynas": importlib.util.find_spec("raynas") is not None,
        "unseen": [path for path in paths if not os.path.exists(path)],  # noqa: PTH110 - any text
        "gpus": _count_gpus() if wants_gpus else None,
    }


def _versions() -> dict[str, str | None]:
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


def refuse_unfit_nodes(store: RunStore, file: str | None = None) -> None:
    """Ask every node that could take work, and refuse the cluster if one could not do it.

    Args:
        store: The run folder.
        file: A local one that workers will read; None: the images are sent to them.

    Raises:
        UserError: Names the node, what is wrong with it, and what to do.
    """
    own = ray.get_runtime_context().get_node_id()
    nodes = [node for node in live_nodes() if _is_asked(node, own)]
    if not nodes:
        return
    with _marked(store) as marker:
        paths = [path for path in (marker, file) if path]
        answers = [_ask(node, paths) for node in nodes]
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=_ANSWER_SECONDS)
        for node, answer in zip(nodes, answers, strict=True):
            if answer not in ready:
                raise UserError(
                    f"node {_name(node)}: no answer for {_ANSWER_SECONDS:.0f} s; remove it from "
                    "the cluster, or repair it"
                )
            report = _report(node, answer)
            if report is not None:
                _refuse_unfit(node, report, store, marker)


def _is_asked(node: Node, own: str) -> bool:
    """The driver's own node is fit for it, but for GPUs that it may have promised."""
    has = node.resources
    return bool(has.get("GPU")) or bool(has.get("CPU") and node.id != own)


def _ask(node: Node, paths: Sequence[str]) -> Any:
    from ray import cloudpickle  # noqa: PLC0415 - where it is used

    # by value: a node without raynas is to say so itself
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        task = ray.remote(look).options(
            num_cpus=0, max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )  # fmt: skip
        return task.remote(list(paths), bool(node.resources.get("GPU")))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def _report(node: Node, answer: Any) -> Report | None:
    """Return what a node said, or None if it is no more: Ray lists it for some seconds yet."""
    try:
        return Report(**ray.get(answer))
    except _GONE:
        return None
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"node {_name(node)}: it cannot run a task ({first}); repair it") from error


def _refuse_unfit(node: Node, report: Report, store: RunStore, marker: str | None) -> None:
    here = _versions()
    other = {k: v for k, v in report.versions.items() if v != here[k]}
    name = _name(node)
    if other:
        pairs = ", ".join(f"{k} {v or 'missing'} (here {here[k]})" for k, v in other.items())
        raise UserError(
            f"node {name}: it has {pairs}; install the same versions there, or name them in the "
            "runtime environment (ray job submit --runtime-env)"
        )
    if not report.has_raynas:
        raise UserError(
            f"node {name}: raynas cannot be imported there; submit the project with it "
            "(ray job submit --working-dir . -- ...), or install it there"
        )
    if marker in report.unseen:
        raise UserError(
            f"run folder {store.uri}: node {name} does not see it; choose a --run that all nodes "
            "share, such as a folder on NFS or s3://bucket/run"
        )
    if report.unseen:
        raise UserError(
            f"--data {report.unseen[0]}: node {name} does not see it; put the images where all "
            "nodes share them, or keep them in memory (--images.in-memory yes)"
        )
    promised = node.resources.get("GPU", 0.0)
    if report.gpus is not None and report.gpus < promised:
        raise UserError(
            f"node {name}: Ray was promised {promised:g} GPUs, torch finds {report.gpus}; install "
            "a torch with CUDA and its driver there, or start that node with --num-gpus "
            f"{report.gpus}"
        )


def _name(node: Node) -> str:
    return node.host if node.host == node.address else f"{node.host} ({node.address})"


@contextmanager
def _marked(store: RunStore) -> Iterator[str | None]:
    """Yield a new file's path in a local run folder; leave nothing; None where all can look."""
    folder = store.local_folder
    if folder is None:
        yield None
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f".seen-{uuid.uuid4().hex}"
    marker.touch()
    try:
        yield str(marker)
    finally:
        marker.unlink()
        for path in missing:
            if not any(Path(path).iterdir()):
                path.rmdir()
