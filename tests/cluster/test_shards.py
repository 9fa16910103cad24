"""Pretraining on Ray actors: the same bits for any number of workers, and for lost ones."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import torch

from raynas.cluster import shards
from raynas.cluster.connection import Resources
from raynas.cluster.shards import PathWorkers
from raynas.errors import StageError
from raynas.settings import ImageSettings, Settings
from raynas.training.gradients import Piece
from raynas.training.pretraining import Pretraining, StepReport
from tests.training.samples import (
    InProcess,
    begin_pretraining,
    build_dataset,
    small_pretraining,
    tiny_space,
)

pytestmark = pytest.mark.cluster

SHARDS, STEPS = 2, 4
SETTINGS = Settings(images=ImageSettings(augment="none"), pretrain=small_pretraining())


def begin() -> Pretraining:
    """Return a pretraining at step 0."""
    return begin_pretraining(SETTINGS.pretrain, num_steps=STEPS, num_shards=SHARDS)


def open_workers(count: int) -> PathWorkers:
    """Start workers."""
    return PathWorkers(tiny_space(), build_dataset(), SETTINGS, count, SHARDS, gpus=0.0)


def kill(worker: Any) -> int:
    """Kill a worker's process as a machine that loses its power does; return its id."""
    pid: int = ray.get(worker.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.fixture(scope="module")
def expected() -> tuple[list[StepReport], bytes]:
    """Return what a pretraining without Ray does."""
    assert torch.get_num_threads() == SETTINGS.pretrain.cpus_per_worker
    state = begin()
    compute = InProcess(tiny_space(), build_dataset(), SETTINGS.pretrain, SHARDS)
    return list(state.run(compute)), state.to_bytes()


@pytest.fixture(scope="module")
def three(cluster: Resources) -> Iterator[PathWorkers]:
    """Return three workers."""
    del cluster
    with open_workers(3) as workers:
        yield workers


def test_three_workers_compute_the_same_bits_as_this_process(
    three: PathWorkers, expected: tuple[list[StepReport], bytes]
) -> None:
    state = begin()
    reports = list(state.run(three))

    assert (reports, state.to_bytes()) == expected
    assert len(three.healthy) == 3


def test_killed_workers_are_replaced_and_no_bit_of_the_result_changes(
    three: PathWorkers, expected: tuple[list[StepReport], bytes]
) -> None:
    state, reports, killed = begin(), [], set()
    for report in state.run(three):
        reports.append(report)
        if report.step == 1:
            killed = {kill(worker) for worker in three.healthy[:2]}

    assert len(killed) == 2
    assert (reports, state.to_bytes()) == expected
    deadline = time.monotonic() + 120
    while len(three.healthy) < 3 and time.monotonic() < deadline:
        three(state.vector.numpy(), 0, [Piece(state.paths(0)[0], 0)])  # looks for who is back
        time.sleep(0.2)
    assert len(three.healthy) == 3


def test_one_worker_computes_the_same_bits_until_it_is_gone_for_good(
    cluster: Resources,
    expected: tuple[list[StepReport], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del cluster
    monkeypatch.setattr(shards, "_PATIENCE", 0.5)
    state = begin()
    with open_workers(1) as workers:
        reports = list(state.run(workers))
        assert (reports, state.to_bytes()) == expected

        ray.kill(workers._workers[0])  # this kind of death knows no restart
        with pytest.raises(StageError, match=r"no worker has answered .* same command again"):
            list(begin().run(workers))
