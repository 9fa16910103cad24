"""Trials whose workers train one network together, by Ray Train inside of Ray Tune.

The trial that Tune sees takes next to nothing: it starts a worker group, hands the reports of its
workers on, and waits. Ray Train is given no checkpoints, since rank 0 writes raynas' own into the
run folder. Its storage is then a marker file that only the trial's machine reads, in the trial's
folder of Ray's session, so it need not be visible elsewhere and goes with the session.
"""

import os
from collections.abc import Callable
from typing import Any

import ray
from ray import train, tune
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util import get_current_placement_group

from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.ray_internals import POLL_SECONDS
from raynas.cluster.tune.experiment import PLACEMENT_GROUP
from raynas.training.data_parallel_group import DataParallelGroup

Report = Callable[[dict[str, Any]], None]
Work = Callable[..., None]
"""What a trial does, called as ``work(config, **needs)``; if it has several workers, each of them
calls it as ``work(config, **needs, group=..., report=...)``."""

_POLL_SECONDS = "0.5"  # between looks for reports, and for lost workers


def trainable(work: Work, size: TrialSize, backend: str | None = None, **needs: Any) -> Any:
    """Return what Tune runs as a trial: the work itself, or the lead of workers who share it.

    Args:
        work: What a trial does; importable where the workers are.
        size: The workers, and what each takes.
        backend: How they talk; unset: nccl on GPUs, gloo on CPUs.
        needs: What the work needs beside its config; in Ray's object store once for all trials.
    """
    if size.workers == 1:
        return tune.with_parameters(work, **needs)
    backend = backend or ("nccl" if size.gpus else "gloo")
    # in a list, or Ray would hand the lead all images, and the lead would store them again
    return tune.with_parameters(
        _lead, work=work, size=size, backend=backend, needs=[ray.put(needs)]
    )


def _lead(
    config: dict[str, Any], work: Work, size: TrialSize, backend: str, needs: list[Any]
) -> None:
    """Start the workers and wait for their end; Tune hears of their reports meanwhile."""
    os.environ.setdefault(POLL_SECONDS, _POLL_SECONDS)
    each = {"CPU": size.cpus, "GPU": size.gpus}
    TorchTrainer(
        _join,
        train_loop_config={"config": config, "work": work, "needs": needs},
        torch_config=TorchConfig(backend=backend),
        scaling_config=train.ScalingConfig(
            num_workers=size.workers, use_gpu=size.gpus > 0, resources_per_worker=each
        ),
        run_config=train.RunConfig(
            name=tune.get_context().get_trial_id(),
            storage_path=tune.get_context().get_trial_dir(),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # of Train before V2
            # Tune tries the trial again, whatever was lost: counted twice, failures would multiply
            failure_config=train.FailureConfig(max_failures=0),
        ),
    ).fit()


def _join(given: dict[str, Any]) -> None:
    """Do a worker's part of a trial."""
    context = train.get_context()
    group = DataParallelGroup(context.get_world_rank(), context.get_world_size())
    needs = ray.get(given["needs"][0])
    given["work"](given["config"], **needs, group=group, report=_report)


def _report(found: dict[str, Any]) -> None:
    """Report what was found, and which placement group ends with the trial."""
    own = get_current_placement_group()
    train.report(found if own is None else found | {PLACEMENT_GROUP: own.id.hex()})
