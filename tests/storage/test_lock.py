"""The lock of a run folder: whoever works is left alone, whoever died hinders nobody."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raynas.errors import StageError, UserError
from raynas.storage import lock as lock_module
from raynas.storage.lock import LOCK, RunLock
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code
from tests.builders import ROOT
from tests.launch.scripts import running

DEAD_SECONDS = 1.0
HOLD = """
import sys
from raynas.storage.lock import RunLock
from raynas.storage.run_store import RunStore
with RunLock(RunStore(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Return an empty run folder."""
    return RunStore.create(str(tmp_path / "run"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a heart beat many times a second, and a second without a beat mean death."""
    monkeypatch.setattr(lock_module, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lock_module, "_SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(lock_module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(lock_module, "_DEAD_SECONDS", DEAD_SECONDS)


@pytest.fixture
def own_sigterm() -> Iterator[None]:
    """Put back what SIGTERM did before."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def content_of(store: RunStore) -> dict[str, Any]:
    """Return what the lock says."""
    content: dict[str, Any] = json.loads(store.read_bytes(LOCK))
    return content


def write(store: RunStore, lock: dict[str, Any]) -> None:
    """Write a lock."""
    store.write_bytes(LOCK, json.dumps(lock).encode())


def lock_of_elsewhere(store: RunStore) -> dict[str, Any]:
    """Write the lock of a driver on another machine, and return it."""
    with RunLock(store, print):
        lock = content_of(store)
    lock |= {"driver": "d", "machine": "another", "user": "ada", "host": "far", "pid": 7}
    write(store, lock)
    return lock


@contextmanager
def beating(store: RunStore, lock: dict[str, Any]) -> Iterator[None]:
    """Let another machine's driver beat."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.05):
            lock["beat"] += 1
            write(store, lock)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()


def holding(store: RunStore) -> "subprocess.Popen[str]":
    """Return a process that holds the lock until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.uri],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "."},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def seconds_to_take(store: RunStore, said: list[str]) -> float:
    """Take the lock and give it up; return how long the taking took."""
    started = time.monotonic()
    with RunLock(store, said.append):
        return time.monotonic() - started


@pytest.mark.usefixtures("quick")
class TestOneDriver:
    def test_the_lock_says_who_holds_it_and_is_gone_at_the_end(self, store: RunStore) -> None:
        with RunLock(store, print):
            lock = content_of(store)

        assert lock["pid"] == os.getpid()
        assert datetime.fromisoformat(lock["since"]) <= datetime.now(UTC)
        assert not store.has(LOCK)

    def test_the_lock_is_gone_after_an_error_which_goes_on(self, store: RunStore) -> None:
        with pytest.raises(ZeroDivisionError), RunLock(store, print):
            raise ZeroDivisionError

        assert not store.has(LOCK)

    def test_the_heart_beats_as_long_as_the_lock_is_held(self, store: RunStore) -> None:
        with RunLock(store, print):
            first = content_of(store)["beat"]
            time.sleep(0.5)
            last = content_of(store)["beat"]

        assert last > first + 2

    def test_the_lock_can_be_taken_again_after_it_was_given_up(self, store: RunStore) -> None:
        said: list[str] = []

        assert seconds_to_take(store, said) < DEAD_SECONDS
        assert seconds_to_take(store, said) < DEAD_SECONDS
        assert said == []


class TestTwoDrivers:
    @pytest.mark.usefixtures("quick")
    def test_the_second_of_a_process_is_refused_and_the_first_goes_on(
        self, store: RunStore
    ) -> None:
        with RunLock(store, print):
            first = content_of(store)["driver"]
            with pytest.raises(UserError, match=r"another driver, .* is at work on it"):
                RunLock(store, print).__enter__()
            assert content_of(store)["driver"] == first

    def test_the_second_process_is_refused_at_once_by_who_holds_it(self, store: RunStore) -> None:
        with running(holding(store)) as process:
            started = time.monotonic()
            with pytest.raises(UserError, match=rf"process {process.pid}, since .* --run"):
                RunLock(store, print).__enter__()
            assert time.monotonic() - started < 1
            process.communicate("", timeout=30)
            assert process.returncode == 0
        assert not store.has(LOCK)

    def test_of_drivers_that_begin_at_once_only_one_gets_the_lock(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of them find no lock before any of them writes one."""
        monkeypatch.setattr(lock_module, "_SETTLE_SECONDS", 0.5)
        looked, read = threading.Barrier(4), RunLock._read
        entered, refused, seen = list[RunLock](), list[RunLock](), list[RunLock]()

        def read_together(lock: RunLock) -> dict[str, Any] | None:
            found = read(lock)
            if lock not in seen:
                seen.append(lock)
                looked.wait()
            return found

        def drive() -> None:
            lock = RunLock(store, print)
            try:
                entered.append(lock.__enter__())
            except UserError:
                refused.append(lock)

        monkeypatch.setattr(RunLock, "_read", read_together)
        threads = [threading.Thread(target=drive) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = entered
        winner.__exit__(None, None, None)

        assert len(refused) == 3


class TestDeadDrivers:
    @pytest.mark.slow
    def test_a_killed_process_of_this_machine_is_known_to_be_dead_at_once(
        self, store: RunStore
    ) -> None:
        said: list[str] = []
        with running(holding(store)) as process:
            process.kill()
            process.wait()
            assert store.has(LOCK)
            seconds = seconds_to_take(store, said)

        assert seconds < 2
        assert said == []
        assert not store.has(LOCK)

    def test_a_process_that_was_given_a_dead_one_s_number_is_not_taken_for_it(
        self, store: RunStore
    ) -> None:
        with RunLock(store, print):
            lock = content_of(store)
        write(store, lock | {"process_started": "1"})
        said: list[str] = []

        assert seconds_to_take(store, said) < 2
        assert said == []

    @pytest.mark.usefixtures("quick")
    def test_a_beating_heart_on_another_machine_is_refused_before_the_dead_time_is_over(
        self, store: RunStore
    ) -> None:
        lock, said = lock_of_elsewhere(store), []
        with beating(store, lock):
            started = time.monotonic()
            with pytest.raises(UserError, match="another driver, ada@far"):
                RunLock(store, said.append).__enter__()
            seconds = time.monotonic() - started

        assert seconds < DEAD_SECONDS / 2
        assert content_of(store)["driver"] == "d"
        assert len(said) == 1
        assert "looking for a sign of life" in said[0]

    @pytest.mark.slow
    @pytest.mark.usefixtures("quick")
    def test_a_heart_that_stands_still_on_another_machine_is_dead_after_the_dead_time(
        self, store: RunStore
    ) -> None:
        lock_of_elsewhere(store)
        said: list[str] = []

        assert DEAD_SECONDS <= seconds_to_take(store, said) < 3 * DEAD_SECONDS
        assert len(said) == 1

    @pytest.mark.usefixtures("quick")
    def test_a_lock_that_another_machine_gives_up_meanwhile_is_free(self, store: RunStore) -> None:
        lock_of_elsewhere(store)
        threading.Timer(0.2, store.delete, [LOCK]).start()

        assert seconds_to_take(store, []) < DEAD_SECONDS

    @pytest.mark.slow
    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("content", [b"", b"\xff{", b"[]", b'{"pid": 1}'])
    def test_a_damaged_lock_is_said_to_be_unreadable_and_replaced_after_the_dead_time(
        self, store: RunStore, content: bytes
    ) -> None:
        store.write_bytes(LOCK, content)
        said: list[str] = []

        assert DEAD_SECONDS <= seconds_to_take(store, said) < 3 * DEAD_SECONDS
        assert len(said) == 1
        assert "another driver, whose lock cannot be read, may still be at work" in said[0]
        assert not store.has(LOCK)


@pytest.mark.usefixtures("quick")
class TestClocks:
    @pytest.fixture(autouse=True)
    def jumping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the wall clock jump a year back and forth with every look at it."""
        true, jumps = time.time, iter(range(10**9))

        class Jumping(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + timedelta(days=365 * (-1) ** next(jumps))

        monkeypatch.setattr(time, "time", lambda: true() + 3e7 * (-1) ** next(jumps))
        monkeypatch.setattr(lock_module, "datetime", Jumping)

    def test_a_clock_that_jumps_kills_no_driver_that_beats(self, store: RunStore) -> None:
        lock = lock_of_elsewhere(store)
        with beating(store, lock), pytest.raises(UserError, match="is at work"):
            RunLock(store, print).__enter__()

    @pytest.mark.slow
    def test_a_clock_that_jumps_neither_hastens_nor_delays_a_death(self, store: RunStore) -> None:
        lock_of_elsewhere(store)

        assert DEAD_SECONDS <= seconds_to_take(store, []) < 3 * DEAD_SECONDS


@pytest.mark.usefixtures("quick", "own_sigterm")
class TestTakenAway:
    def test_a_driver_whose_lock_was_taken_away_stops_by_a_sentence_that_names_the_taker(
        self, store: RunStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lock = lock_of_elsewhere(store)
        store.delete(LOCK)
        reached: list[int] = []

        def drive() -> None:
            with RunLock(store, print):
                write(store, lock)
                for _ in range(500):
                    time.sleep(0.01)
                reached.append(1)

        assert exit_code(drive) == 1
        sentence = capsys.readouterr().err
        assert "another driver, ada@far (process 7" in sentence
        assert sentence.endswith("took it over; this one stopped\n")
        assert sentence.count("\n") == 1
        assert reached == []
        assert content_of(store)["driver"] == "d"  # the taker's lock is its own affair

    def test_a_program_without_a_handler_for_sigterm_is_stopped_as_well(
        self, store: RunStore
    ) -> None:
        lock = lock_of_elsewhere(store)
        store.delete(LOCK)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        reached: list[int] = []

        def drive() -> None:
            with RunLock(store, print):
                write(store, lock)
                for _ in range(500):
                    time.sleep(0.01)
                reached.append(1)

        with pytest.raises(StageError, match="took it over"):
            drive()
        assert reached == []

    def test_a_driver_in_a_thread_stops_where_it_writes_and_the_main_thread_goes_on(
        self, store: RunStore
    ) -> None:
        lock = lock_of_elsewhere(store)
        store.delete(LOCK)
        work, told = RunStore(store.uri), list[Exception]()

        def drive() -> None:
            try:
                with RunLock(RunStore(store.uri), print, work):
                    write(store, lock)
                    for number in range(1000):
                        time.sleep(0.01)
                        work.write_bytes("step", str(number).encode())
            except StageError as error:
                told.append(error)

        thread = threading.Thread(target=drive)
        thread.start()
        thread.join()  # would be interrupted
        assert "took it over" in str(told[0])
        with pytest.raises(StageError, match="took it over"):
            work.delete("step")
        copy = pickle.loads(pickle.dumps(work))  # noqa: S301 - made on this line
        copy.delete("step")  # as trials have it: they end with the driver

    def test_a_driver_that_ends_before_its_next_beat_leaves_the_taker_s_lock_alone(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock_module, "_BEAT_SECONDS", 60.0)
        lock = lock_of_elsewhere(store)
        store.delete(LOCK)
        with pytest.raises(StageError, match="took it over"), RunLock(store, print):
            write(store, lock)

        assert content_of(store)["driver"] == "d"

    @pytest.mark.slow
    def test_a_lock_that_is_damaged_or_deleted_under_a_driver_is_written_again(
        self, store: RunStore
    ) -> None:
        with RunLock(store, print):
            driver = content_of(store)["driver"]
            store.write_bytes(LOCK, b"{")
            time.sleep(0.5)
            assert content_of(store)["driver"] == driver
            store.delete(LOCK)
            time.sleep(0.5)
            assert content_of(store)["driver"] == driver

    @pytest.mark.slow
    def test_a_storage_that_fails_under_the_heart_is_left_to_the_stages(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(path: str) -> bytes:
            raise PermissionError(errno.EACCES, path)

        whole = store._read
        with RunLock(store, print):
            before = content_of(store)["beat"]
            monkeypatch.setattr(store, "_read", fail)
            time.sleep(0.3)
            monkeypatch.setattr(store, "_read", whole)
            time.sleep(0.3)
            assert content_of(store)["beat"] > before
        assert not store.has(LOCK)
