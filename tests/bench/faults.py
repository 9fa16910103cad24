"""What a pretraining loses to kills: of workers, of a node, of the driver, and to hung workers.

    python -m tests.bench.faults [--kills N] [--steps N]

Starts a cluster of several raylets on this machine, pretrains a small supernet on it with the
journal of a real run, and at random steps kills (SIGKILL) one process after another, or stops one
(SIGSTOP). The last line is a JSON object: steps that are missing in the table, steps that were
computed again because the driver died before its next checkpoint, the longest step, and whether
the trained numbers are those of an undisturbed run, bit by bit. It measures and asserts nothing.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import tyro

from raynas.cluster.planning.connection import connected
from raynas.cluster.workers.path_workers import Crew, PathWorkers
from raynas.cluster.workers.worker import supernet_recipe
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.recording.pretraining_log import CHECKPOINT, Journal
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space
from raynas.storage.run_store import RunStore
from raynas.training.gradients import build_supernet
from raynas.training.pretraining import ComputePieces, Pretraining

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(pretrain=PretrainSettings(batch=64))
NODES, SHARDS = 3, 1
Kill = Literal["worker", "hang", "node", "driver"]


@dataclass(frozen=True)
class Command:
    """What a pretraining loses to kills."""

    kills: int = 20
    """Kills in all, of each kind in turns."""
    steps: int = 600
    """Steps of the pretraining."""
    seed: int = 0
    """Seed of the steps at which to kill."""
    drive: str = ""
    """Run folder of the driver that this program starts for itself."""


def main() -> None:
    """Pretrain twice, once undisturbed; print what differs."""
    command = tyro.cli(Command)
    if command.drive:
        drive(command)
        return
    expected = undisturbed(command.steps)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        kills = disturbed(command, run)
        print(json.dumps(report(command, run, kills, expected)))


def parts() -> tuple[SearchSpace, Dataset]:
    """Return what is pretrained, and on what."""
    space = chain_of(load_space("small_mobile", ROOT / "search_spaces"), "pretraining")
    return space, load_dataset("digits", ImageSettings(), 0, 8)


def begin(steps: int, space: SearchSpace, dataset: Dataset) -> Pretraining:
    """Return the pretraining at step 0."""
    frozen = build_supernet(space, SETTINGS.pretrain, dataset, 0)
    return Pretraining(space, frozen.segments, frozen.vector, SETTINGS.pretrain, 0, steps, SHARDS)


def undisturbed(steps: int) -> torch.Tensor:
    """Return the trained numbers of a run in this process."""
    torch.set_num_threads(1)
    space, dataset = parts()
    state = begin(steps, space, dataset)
    compute: ComputePieces = supernet_recipe(space, SETTINGS, SHARDS, 0.0)(dataset)
    for step in state.run(compute):
        if step.step % 100 == 0:
            print(f"undisturbed, step {step.step}", flush=True)
    return state.vector


def drive(command: Command) -> None:
    """Pretrain on the cluster, continuing what is there; tell each step to who reads."""
    torch.set_num_threads(1)
    space, dataset = parts()
    state = begin(command.steps, space, dataset)
    store = RunStore.create(command.drive)
    if store.has(CHECKPOINT):
        state.restore(store.read_bytes(CHECKPOINT))
    journal = Journal(store, state, space, SETTINGS.pretrain, len(dataset.train))
    crew = Crew(NODES, NODES + 1)
    recipe = supernet_recipe(space, SETTINGS, SHARDS, 0.0)
    with connected(), PathWorkers(recipe, dataset, crew) as workers:
        for step in state.run(workers):
            journal.add(step, len(workers.healthy))
            pids = [member.line.pid for member in workers.healthy if member.line]
            told = {"step": step.step, "time": time.monotonic(), "pids": pids}
            print(json.dumps(told), flush=True)


@dataclass
class Kills:
    """What was done, and what the drivers told.

    Attributes:
        done: Kinds of kills, in order.
        told: For each life of the driver, its steps.
    """

    done: list[str] = field(default_factory=list)
    told: list[list[dict[str, Any]]] = field(default_factory=list)


def disturbed(command: Command, run: Path) -> Kills:
    """Pretrain on a cluster and kill at random steps."""
    rng = random.Random(command.seed)
    at = sorted(rng.sample(range(5, command.steps - 20), command.kills))
    kinds = [get_args(Kill)[index % len(get_args(Kill))] for index in range(command.kills)]
    waiting = list(zip(at, kinds, strict=True))
    kills = Kills()
    with nodes() as cluster:
        while not kills.told or kills.told[-1][-1]["step"] < command.steps - 1:
            kills.told.append([])
            with driver(command, run, cluster.address) as process:
                assert process.stdout
                for line in process.stdout:
                    if not line.startswith("{"):
                        continue  # Ray's own words
                    told = json.loads(line)
                    kills.told[-1].append(told)
                    if waiting and told["step"] >= waiting[0][0]:
                        _, kind = waiting.pop(0)
                        kills.done.append(kind)
                        print(f"step {told['step']}: {kind}", flush=True)
                        kill(kind, cluster, process, rng.choice(told["pids"]))
            if not kills.told[-1]:
                raise SystemExit("the driver died before its first step")
    return kills


def kill(kind: str, cluster: Any, process: "subprocess.Popen[str]", pid: int) -> None:
    """Kill or stop a process; a lost node is replaced by a new one."""
    match kind:
        case "worker":
            os.kill(pid, signal.SIGKILL)
        case "hang":
            os.kill(pid, signal.SIGSTOP)
        case "node":
            lost = random.Random(pid).choice([*cluster.worker_nodes])
            cluster.remove_node(lost, allow_graceful=False)
            cluster.add_node(num_cpus=1)
        case _:
            process.kill()


@contextmanager
def nodes() -> Iterator[Any]:
    """Start a head without CPUs and some nodes of one CPU each, all on this machine."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - the environment comes first

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(NODES):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    try:
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def driver(command: Command, run: Path, address: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a driver on the cluster; its lines can be read until it ends."""
    words = [sys.executable, "-m", "tests.bench.faults", "--drive", str(run)]
    words += ["--steps", str(command.steps)]
    environment = os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        yield process


def report(command: Command, run: Path, kills: Kills, expected: torch.Tensor) -> dict[str, Any]:
    """Return what was lost."""
    space, dataset = parts()
    state = begin(command.steps, space, dataset)
    store = RunStore.create(str(run))
    state.restore(store.read_bytes(CHECKPOINT))
    recorded = [row["step"] for row in store.rows("steps")]
    computed = [told["step"] for life in kills.told for told in life]
    times = [[told["time"] for told in life] for life in kills.told]
    gaps = [after - before for life in times for before, after in itertools.pairwise(life)]
    return {
        "kills": {kind: kills.done.count(kind) for kind in get_args(Kill)},
        "steps": command.steps,
        "steps_lost": command.steps - len(set(recorded)),
        "steps_recorded_twice": len(recorded) - len(set(recorded)),
        "steps_repeated": len(computed) - len(set(computed)),
        "worst_step_s": round(max(gaps), 2),
        "median_step_s": round(sorted(gaps)[len(gaps) // 2], 4),
        "bitwise_equal": torch.equal(state.vector, expected),
    }


if __name__ == "__main__":
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    main()
