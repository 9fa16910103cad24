"""Timing networks on a node of the cluster that has a custom resource, such as a phone's board."""

from collections.abc import Sequence
from typing import Any

import ray

from raynas.cluster.ray_internals import live_nodes
from raynas.errors import StageError, UserError
from raynas.nets.timing import Setup, Timings, measure
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

_SHARE = 1e-4  # of the resource: it names the node, and others may hold the rest
_COMMON = frozenset({"CPU", "GPU", "memory", "object_store_memory"})


def measured_on(
    resource: str,
    space: SearchSpace,
    architectures: Sequence[Architecture],
    setup: Setup,
    rounds: int,
) -> Timings:
    """Return what ``measure`` finds on the node with that resource, run there as a Ray task.

    The task holds as many CPUs as it has threads, if the node has promised any, and a GPU if the
    node has one and is not asked for its CPU.

    Raises:
        UserError: No node has the resource, or too few CPUs.
        StageError: The node could not do it.
    """
    nodes = [node.resources for node in live_nodes()]
    having = [each for each in nodes if each.get(resource)]
    if not having:
        known = sorted({name for each in nodes for name in each if ":" not in name} - _COMMON)
        raise UserError(
            f"--resource {resource}: no node of the cluster has it (custom resources there: "
            f"{', '.join(known) or 'none'}); start the node with ray start --resources "
            f"'{{\"{resource}\": 1}}', and set RAY_ADDRESS to its cluster"
        )
    cpus = max(each.get("CPU", 0.0) for each in having)
    if 0 < cpus < setup.threads:
        raise UserError(
            f"--threads {setup.threads}: the node with resource {resource} has {cpus:g} CPUs; "
            "lower it"
        )
    has_gpu = any(each.get("GPU", 0.0) >= 1 for each in having) and setup.device != "cpu"
    task = ray.remote(measure).options(
        num_cpus=min(cpus, setup.threads),
        num_gpus=1.0 if has_gpu else 0.0,
        resources={resource: _SHARE},
    )
    try:
        found: Timings = ray.get(task.remote(space, list(architectures), setup, rounds))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from error
        raise StageError(f"--resource {resource}: {_cause(error)}") from error
    except ray.exceptions.RayError as error:
        raise StageError(f"--resource {resource}: {_cause(error)}") from error
    return found


def _cause(error: Any) -> str:
    """Return the last line of what went wrong there."""
    lines = str(error).strip().splitlines()
    return f"the node could not measure ({lines[-1] if lines else type(error).__name__})"
