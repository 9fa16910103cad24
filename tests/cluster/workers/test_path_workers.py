"""Pretraining on Ray actors: the same bits for any number of workers, and for lost ones."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import ray
import torch

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.node_requirements import UnfitNodeError
from raynas.cluster.workers import path_workers, timeouts
from raynas.cluster.workers.path_workers import Crew, PathWorkers, Transport
from raynas.cluster.workers.ray_transport import CallLine
from raynas.cluster.workers.socket_transport import Listener
from raynas.cluster.workers.worker import Compute, supernet_recipe
from raynas.cluster.workers.worker_handle import Member
from raynas.data.dataset import Dataset
from raynas.errors import StageError, UserError
from raynas.settings.settings import Settings
from raynas.training.gradients import Computed, Piece, Vector
from raynas.training.pretraining import Pretraining, StepReport
from tests.data.samples import (
    InProcess,
    Pretended,
    begin_pretraining,
    build_dataset,
    small_pretraining,
    tiny_space,
)

pytestmark = pytest.mark.cluster

SHARDS, STEPS = 2, 4
SETTINGS = Settings(pretrain=small_pretraining())


def begin() -> Pretraining:
    """Return a pretraining at step 0."""
    return begin_pretraining(SETTINGS.pretrain, num_steps=STEPS, num_shards=SHARDS)


def open_workers(count: int, transport: Transport = "fast", portions: int = 2) -> PathWorkers:
    """Start workers."""
    recipe = supernet_recipe(tiny_space(), SETTINGS, SHARDS, gpus=0.0)
    crew = Crew(count, count, transport=transport, portions=portions)
    return PathWorkers(recipe, build_dataset(), crew)


def wait_for(workers: PathWorkers, count: int) -> None:
    """Take steps until so many workers answer; they come when they come."""
    state, deadline = begin(), time.monotonic() + 120
    while len(workers.healthy) < count and time.monotonic() < deadline:
        workers(state.vector.numpy(), 0, [Piece(state.paths(0)[0], 0)])
        time.sleep(0.1)
    assert len(workers.healthy) == count


def kill(worker: Member) -> int:
    """Kill a worker's process as a machine that loses its power does; return its id."""
    assert worker.line is not None
    os.kill(worker.line.pid, signal.SIGKILL)
    return worker.line.pid


@pytest.fixture(scope="module")
def expected() -> tuple[list[StepReport], bytes]:
    """Return what a pretraining without Ray does."""
    assert torch.get_num_threads() == SETTINGS.pretrain.cpus_per_worker
    state = begin()
    compute = InProcess(tiny_space(), build_dataset(), SETTINGS.pretrain, SHARDS)
    return list(state.run(compute)), state.to_bytes()


@pytest.mark.slow
def test_workers_are_added_when_the_cluster_has_room_for_more(
    cluster: Resources,
    expected: tuple[list[StepReport], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del cluster
    monkeypatch.setattr(path_workers, "_LOOK_EVERY", 0.1)
    recipe = supernet_recipe(tiny_space(), SETTINGS, SHARDS, gpus=0.0)
    with PathWorkers(recipe, build_dataset(), Crew(start=1, most=3)) as workers:
        wait_for(workers, 3)
        state = begin()
        assert (list(state.run(workers)), state.to_bytes()) == expected


@pytest.fixture(scope="module")
def three(cluster: Resources) -> Iterator[PathWorkers]:
    """Return three workers."""
    del cluster
    with open_workers(3) as workers:
        wait_for(workers, 3)
        yield workers


def test_three_workers_compute_the_same_bits_as_this_process(
    three: PathWorkers, expected: tuple[list[StepReport], bytes]
) -> None:
    state = begin()
    reports = list(state.run(three))

    assert (reports, state.to_bytes()) == expected
    assert len(three.healthy) == 3


@pytest.mark.slow
def test_workers_that_take_their_share_in_one_portion_compute_the_same_bits_killed_or_not(
    cluster: Resources, expected: tuple[list[StepReport], bytes]
) -> None:
    del cluster
    with open_workers(3, portions=1) as workers:
        wait_for(workers, 3)
        state, reports = begin(), []
        for report in state.run(workers):
            reports.append(report)
            if report.step == 1:
                kill(workers.healthy[0])

        assert (reports, state.to_bytes()) == expected


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
    wait_for(three, 3)


@pytest.mark.slow
def test_a_hung_worker_is_late_others_do_its_work_and_it_is_started_anew(
    three: PathWorkers,
    expected: tuple[list[StepReport], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timeouts, "_HUNG_SECONDS", 3.0)
    wait_for(three, 3)
    victim = three.healthy[0].line
    assert victim is not None
    state, reports, seconds = begin(), [], []
    started = time.monotonic()
    for report in state.run(three):
        reports.append(report)
        seconds.append(time.monotonic() - started)
        if report.step == 1:
            os.kill(victim.pid, signal.SIGSTOP)
        started = time.monotonic()

    assert (reports, state.to_bytes()) == expected
    assert max(seconds) < 10
    wait_for(three, 3)
    assert victim.pid not in {member.line.pid for member in three.healthy if member.line}


@pytest.mark.slow
@pytest.mark.parametrize("firewall", [False, True], ids=["chosen", "behind a firewall"])
def test_calls_carry_the_same_bits_where_sockets_are_not_wanted_or_not_possible(
    cluster: Resources,
    expected: tuple[list[StepReport], bytes],
    monkeypatch: pytest.MonkeyPatch,
    firewall: bool,
) -> None:
    del cluster
    if firewall:
        monkeypatch.setattr(path_workers, "Listener", Unreachable)
    with open_workers(1, "fast" if firewall else "calls") as workers:
        wait_for(workers, 1)
        assert all(isinstance(member.line, CallLine) for member in workers.healthy)
        state, reports = begin(), []
        for report in state.run(workers):
            reports.append(report)
            if report.step == 1:
                kill(workers.healthy[0])
        assert (reports, state.to_bytes()) == expected


class Unreachable(Listener):
    """A listener behind a firewall: nobody answers at the address that it tells."""

    def __init__(self, host: str) -> None:
        """Listen, and tell a port that is closed."""
        super().__init__(host)
        with socket.create_server((host, 0)) as closed:
            self.address = closed.getsockname()[:2]


@pytest.mark.slow
def test_an_exception_on_a_worker_ends_the_stage_with_its_traceback(cluster: Resources) -> None:
    del cluster
    with (
        PathWorkers(broken_recipe, build_dataset(), Crew(1, 1)) as workers,
        pytest.raises(StageError, match="building the supernet: a worker failed") as failed,
    ):
        list(begin().run(workers))
    assert "; run the same command again to continue;" in str(failed.value)
    assert str(failed.value).strip().endswith("ZeroDivisionError: 48")


@pytest.mark.parametrize("transport", ["fast", pytest.param("calls", marks=pytest.mark.slow)])
def test_an_exception_in_a_step_names_the_step_and_its_paths(
    cluster: Resources, transport: Transport
) -> None:
    del cluster
    state = begin()
    path = str(state.paths(2)[0])
    with (
        PathWorkers(breaking_recipe, build_dataset(), Crew(1, 1, transport=transport)) as workers,
        pytest.raises(StageError, match=rf"step 2, paths {path}, .*: a worker failed") as failed,
    ):
        list(state.run(workers))
    assert str(failed.value).strip().endswith("ValueError: broken in step 2")


@pytest.mark.slow
def test_a_mistake_that_only_a_worker_sees_is_told_as_one(cluster: Resources) -> None:
    del cluster
    with (
        PathWorkers(mistaken_recipe, build_dataset(), Crew(1, 1)) as workers,
        pytest.raises(UserError, match=r"^images: none$"),
    ):
        list(begin().run(workers))


@pytest.mark.slow
@pytest.mark.parametrize("unfit", [1, 2])
def test_a_worker_on_an_unfit_node_is_done_without_and_the_last_one_ends_the_stage(
    cluster: Resources, tmp_path: Path, unfit: int
) -> None:
    """Whoever makes one of the folders first is taken for a worker on such a node."""
    del cluster
    said: list[str] = []
    places = [tmp_path / str(number) for number in range(unfit)]
    fit = supernet_recipe(tiny_space(), SETTINGS, SHARDS, gpus=0.0)

    def recipe(dataset: Dataset) -> Compute:
        for place in places:
            with contextlib.suppress(FileExistsError):
                place.mkdir()
                raise UnfitNodeError("node x: it has torch 1")
        return fit(dataset)

    with PathWorkers(recipe, build_dataset(), Crew(2, 2), said.append) as workers:
        if unfit == 2:
            with pytest.raises(UserError, match="node x: it has torch 1"):
                wait_for(workers, 2)
            return
        wait_for(workers, 1)
        while not said:  # the other one may come first
            workers(begin().vector.numpy(), 0, [Piece(begin().paths(0)[0], 0)])
        assert len(workers.healthy) == 1
        assert len(said) == 1


def broken_recipe(dataset: Dataset) -> Compute:
    """Fail as a bug does."""
    raise ZeroDivisionError(len(dataset.train))


def breaking_recipe(dataset: Dataset) -> Compute:
    """Compute, and fail in the third step as a bug does."""
    del dataset

    class Breaking:
        waited = 0.0

        def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
            if step == 2:
                raise ValueError("broken in step 2")
            return Pretended(begin().segments, shards=SHARDS)(vector, step, pieces)

    return Breaking()


def mistaken_recipe(dataset: Dataset) -> Compute:
    """Fail as a user's mistake does."""
    del dataset
    raise UserError("images: none")


@pytest.mark.slow
def test_one_worker_computes_the_same_bits_until_it_is_gone_for_good(
    cluster: Resources,
    expected: tuple[list[StepReport], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del cluster
    state = begin()
    with open_workers(1) as workers:
        reports = list(state.run(workers))
        assert (reports, state.to_bytes()) == expected

        monkeypatch.setattr(path_workers, "_PATIENCE", 0.5)
        ray.kill(workers._members[0].actor)  # this kind of death knows no restart
        with pytest.raises(StageError, match=r"no worker has answered .* same command again"):
            list(begin().run(workers))
