"""A look at every node before a run: what would fail there hours later is refused now.

A node must be able to import raynas, run the versions that the driver runs, see the run folder
if that lies on a local path, and find the GPUs that it has promised to Ray.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raynas.cluster.planning.node_requirements import Demands, Report, demands_of, look
from raynas.cluster.ray_internals import Node, live_nodes
from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from raynas.storage.write_test import passing_file

_ANSWER_SECONDS = 120.0  # a node may have to install a runtime environment first
_GONE = (
    ray.exceptions.TaskUnschedulableError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
)


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
        demands = replace(demands_of(store, file), marker=marker)
        answers = [_ask(node, demands.paths) for node in nodes]
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=_ANSWER_SECONDS)
        for node, answer in zip(nodes, answers, strict=True):
            if answer not in ready:
                raise UserError(
                    f"node {_name(node)}: no answer for {_ANSWER_SECONDS:.0f} s; remove it from "
                    "the cluster, or repair it"
                )
            report = _report(node, answer)
            if report is not None:
                _refuse_unfit(node, report, demands)


def _is_asked(node: Node, own: str) -> bool:
    """The driver's own node is fit for it, but for GPUs that it may have promised."""
    has = node.resources
    return bool(has.get("GPU")) or bool(has.get("CPU") and node.id != own)


def _ask(node: Node, paths: Sequence[str]) -> Any:
    from ray import cloudpickle  # noqa: PLC0415 - where it is used

    # by value: a node without raynas is to say so itself
    cloudpickle.register_pickle_by_value(sys.modules[look.__module__])
    try:
        task = ray.remote(look).options(
            num_cpus=0,
            max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        return task.remote(list(paths), bool(node.resources.get("GPU")))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[look.__module__])


def _report(node: Node, answer: Any) -> Report | None:
    """Return what a node said, or None if it is no more: Ray lists it for some seconds yet."""
    try:
        return Report(**ray.get(answer))
    except _GONE:
        return None
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"node {_name(node)}: it cannot run a task ({first}); repair it") from error


def _refuse_unfit(node: Node, report: Report, demands: Demands) -> None:
    complaint = demands.complaint(_name(node), report, node.resources.get("GPU", 0.0))
    if complaint:
        raise UserError(complaint)


def _name(node: Node) -> str:
    return node.host if node.host == node.address else f"{node.host} ({node.address})"


@contextmanager
def _marked(store: RunStore) -> Iterator[str | None]:
    """Yield a new file's path in a local run folder; leave nothing; None where all can look."""
    folder = store.local_folder
    if folder is None:
        yield None
        return
    with passing_file(folder) as marker:
        yield str(marker)
