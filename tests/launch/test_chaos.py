"""Every fault in every stage, on a cluster of several nodes: what is found stays the same.

One run goes through pretraining, a search by trials, the self-check and the retraining; in each
of them, at seeded random moments, a worker's process is killed, another one is stopped, a node
loses power, and the driver gets SIGTERM and SIGKILL. Where the driver ended, the same command is
given again. ``CHAOS_REPORT`` names a JSON file for a row per fault, ``CHAOS_SEED`` the seed, and
``CHAOS_STAGES`` the stages in which there are faults.
"""

import contextlib
import json
import os
import random
import re
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from raynas.storage.lock import LOCK
from raynas.storage.run_store import RunStore
from tests.builders import ROOT
from tests.launch.scripts import Launcher, ended, half_written, results_of
from tests.nodes import Nodes, descendants

pytestmark = [pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(3600)]

FLAGS = tuple(
    shlex.split(
        "--skip-forecast --no-export --pretrain.epochs 1 --pretrain.batch 32 "
        "--pretrain.checkpoint-seconds 0.5 --search.score accuracy --search.generations 2 "
        "--search.population 6 --search.parents 3 --search.mutations 2 --search.crossovers 2 "
        "--check 4 --check-epochs 1 --retrain.top-k 2 --retrain.epochs 4 --retrain.batch 32"
    )
)
NODES = 2
VICTIMS = ("worker", "hung worker", "node", "driver SIGTERM", "driver SIGKILL")


@dataclass(frozen=True)
class Stage:
    """A stage whose work can be counted in rows of a table.

    Attributes:
        table: That grows while it works.
        last: Rows beyond which nothing is killed any more.
    """

    table: str
    last: int


STAGES = {
    "pretrain": Stage("steps", 30),
    "search": Stage("architectures", 9),
    "check": Stage("checks", 3),
    "retrain": Stage("trials", 6),
}


@dataclass
class Fault:
    """What was killed, and what came of it.

    Attributes:
        stage: In which it happened.
        victim: What was killed.
        at: Rows of the stage's table at that moment.
        seconds: Until there were more, of this or the next stage.
        redone: Rows of them that were computed again.
    """

    stage: str
    victim: str
    at: int
    seconds: float = 0.0
    redone: int = 0
    before: list[dict[str, Any]] = field(default_factory=list, repr=False)


class NodesWithRaynas(Nodes):
    """Nodes that find raynas without a job that brings it."""

    def environment(self) -> dict[str, str]:
        """Return the environment of nodes."""
        return super().environment() | {"PYTHONPATH": str(ROOT)}

    def workers(self) -> list[int]:
        """Return the processes that compute something."""
        found = []
        for process in {each for node in self._nodes for each in descendants(node.pid)}:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                title = Path(f"/proc/{process}/cmdline").read_bytes()
                is_stopped = Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] == "T"
                is_worker = title.startswith(b"ray::") and not re.search(b"IDLE|Agent", title)
                if is_worker and not is_stopped:
                    found.append(process)
        return sorted(found)


@pytest.fixture(scope="module")
def nodes() -> Iterator[NodesWithRaynas]:
    """Return a cluster of a head and some nodes."""
    # not a folder of pytest: sockets need short names
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        nodes = NodesWithRaynas(Path(name))
        try:
            for _ in range(NODES):
                nodes.add_node()
            yield nodes
        finally:
            nodes.stop()


class Story:
    """A run that goes on with the same command for as long as it takes."""

    def __init__(self, launcher: Launcher, nodes: NodesWithRaynas, run: Path) -> None:
        self.store, self.faults, self.ends = RunStore(str(run)), list[Fault](), list[int]()
        self._begin = lambda: launcher.start(
            run, *FLAGS, environment={"RAY_ADDRESS": nodes.address}
        )
        self._nodes = nodes
        self._driver = self._begin()

    def count(self, stage: str) -> int:
        """Return the rows of a stage."""
        return len(self.store.rows(STAGES[stage].table))

    def total(self) -> int:
        """Return the rows of all stages; the next one may come after the last row of one."""
        return sum(map(self.count, STAGES))

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait, and give the command again whenever its driver has ended."""
        deadline = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < deadline, f"{self.faults}, ended by {self.ends}"
            if self._driver.poll() is not None:
                end = ended(self._driver)
                self.ends.append(end.code)
                assert end.code in {143, -9}, end.output + end.errors
                assert "Traceback" not in end.output + end.errors
                self._driver = self._begin()
            time.sleep(0.1)

    def suffer(self, stage: str, victim: str, at: int, rng: random.Random) -> None:
        """Wait until a stage has so many rows; kill; wait until it has more."""
        self.wait(lambda: self.count(stage) >= at and self._has(victim))
        time.sleep(rng.random() / 2)
        self.wait(lambda: self._has(victim))  # still, or the next one
        fault = Fault(stage, victim, self.count(stage))
        fault.before = self.store.rows(STAGES[stage].table)
        self.faults.append(fault)
        started = time.monotonic()
        self._kill(victim, rng)
        if "driver" in victim:
            self._driver.wait()
        left = self.total()  # SIGTERM lets the driver record what it has done
        self.wait(lambda: self.total() > left or self._is_finished())
        fault.seconds = round(time.monotonic() - started, 1)
        if victim == "node":
            self._nodes.add_node()
        print(f"{stage}: {victim} at {fault.at} rows, {fault.seconds} s", flush=True)  # noqa: T201

    def finish(self) -> None:
        """Let the run come to its end; count what was computed again."""
        self.wait(self._is_finished)
        end = ended(self._driver)
        assert end.code == 0, end.errors
        for fault in self.faults:
            after = self.store.rows(STAGES[fault.stage].table)
            fault.redone = sum(row not in after for row in fault.before)
            fault.before = []

    def stop(self) -> None:
        """Leave no driver behind."""
        if self._driver.poll() is None:
            self._driver.kill()
            self._driver.communicate()

    def _is_finished(self) -> bool:
        rows = self.store.rows("runs")
        return bool(rows and rows[0]["finished"])

    def _has(self, victim: str) -> bool:
        """Return whether the victim is there: workers, or the driver at work on the run."""
        if "worker" in victim:
            return bool(self._nodes.workers())
        return "driver" not in victim or self._holds_lock()

    def _holds_lock(self) -> bool:
        if not self.store.has(LOCK):
            return False
        lock: dict[str, Any] = json.loads(self.store.read_bytes(LOCK))
        return bool(lock["pid"] == self._driver.pid)

    def _kill(self, victim: str, rng: random.Random) -> None:
        match victim:
            case "worker" | "hung worker":
                number = signal.SIGKILL if victim == "worker" else signal.SIGSTOP
                os.kill(rng.choice(self._nodes.workers()), number)
            case "node":
                self._nodes.kill_node()
            case _:
                self._driver.send_signal(signal.Signals[victim.removeprefix("driver ")])


def moments(seed: int) -> Iterator[tuple[str, str, int, random.Random]]:
    """Yield which stage suffers what, and after how many rows, in the order of a run."""
    rng = random.Random(seed)
    chosen = os.environ.get("CHAOS_STAGES", ",".join(STAGES)).split(",")
    for name in (name for name in STAGES if name in chosen):
        victims = rng.sample(VICTIMS, len(VICTIMS))
        rows = sorted(rng.choices(range(STAGES[name].last), k=len(victims)))
        yield from ((name, victim, at, rng) for victim, at in zip(victims, rows, strict=True))


def test_a_run_that_suffers_every_fault_in_every_stage_finds_what_an_undisturbed_one_finds(
    launcher: Launcher, nodes: NodesWithRaynas, tmp_path: Path
) -> None:
    undisturbed = Story(launcher, nodes, tmp_path / "undisturbed")
    story = None
    try:
        undisturbed.finish()
        story = Story(launcher, nodes, tmp_path / "disturbed")
        for moment in moments(int(os.environ.get("CHAOS_SEED", "0"))):
            story.suffer(*moment)
        story.finish()
    finally:
        for each in (undisturbed, story):
            if each is not None:
                each.stop()
                report([asdict(fault) for fault in each.faults])

    assert undisturbed.ends == []
    assert set(story.ends) <= {143, -9}
    assert half_written(tmp_path / "disturbed") == []
    disturbed, expected = results_of(tmp_path / "disturbed"), results_of(tmp_path / "undisturbed")
    for found in (disturbed, expected):  # trials of a generation end in any order
        found["architectures"].sort(key=lambda row: row["order"])
    for table, rows in expected.items():
        assert disturbed[table] == rows, table


def report(faults: list[dict[str, Any]]) -> None:
    """Write a row per fault, for the README, and print them."""
    rows = [{name: value for name, value in fault.items() if name != "before"} for fault in faults]
    path = os.environ.get("CHAOS_REPORT")
    if path and rows:
        Path(path).write_text(json.dumps(rows, indent=1))
    for row in rows:
        print("| {stage} | {victim} | {at} | {redone} | {seconds} |".format_map(row))  # noqa: T201
