"""Signals and rivals, in a few minutes less than the suite of chaos: nothing is lost or undone."""

import os
import signal
from pathlib import Path

import pytest

from raynas.recording.pretraining_log import CHECKPOINT
from raynas.storage.lock import LOCK
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import read_metadata
from tests.launch.scripts import (
    TINY,
    Ended,
    Launcher,
    ended,
    rows_of,
    running,
    wait_until,
)

pytestmark = pytest.mark.cluster


@pytest.mark.slow
def test_a_second_driver_is_refused_while_the_first_works_and_welcome_once_that_was_killed(
    launcher: Launcher, tmp_path: Path
) -> None:
    store, run = RunStore(str(tmp_path / "run")), tmp_path / "run"
    flags = [*TINY, "--pretrain.epochs", "1000"]

    with running(launcher.start(run, *flags)) as first:
        wait_until(lambda: len(store.rows("steps")) >= 3, first)
        lock = store.read_bytes(LOCK)
        second = launcher.run(run, *flags)

        assert second.code == 2
        (sentence,) = second.errors.splitlines()
        assert f"(process {first.pid}, since " in sentence
        assert "is at work on it; wait for its end, stop it, or choose another --run" in sentence
        assert b'"beat"' in lock
        done = len(store.rows("steps"))
        wait_until(lambda: len(store.rows("steps")) > done + 3, first)
        os.kill(first.pid, signal.SIGKILL)
    left = store.rows("steps")
    num_kept = int(read_metadata(store.read_bytes(CHECKPOINT))["step"])
    assert store.has(LOCK)

    with running(launcher.start(run, *flags)) as third:
        wait_until(lambda: len(store.rows("steps")) > len(left) + 3, third)
        third.send_signal(signal.SIGTERM)
        end = ended(third)

    assert end.code == 143
    assert "lock " not in end.output  # nobody was waited for
    assert store.rows("steps")[:num_kept] == left[:num_kept]  # not done again: equal times
    assert not store.has(LOCK)


@pytest.mark.slow
def test_a_run_whose_output_has_no_room_goes_on_and_tells_it_elsewhere(
    unheard: tuple[Path, Ended],
) -> None:
    run, end = unheard
    first, *lines = end.errors.splitlines()

    assert first == (
        "standard output is lost (No space left on device); the work goes on and is told here"
    )
    assert lines[0].startswith("data ")
    assert lines[-1] == f"run folder: {run}"
    assert [row["status"] for row in rows_of(run, "outcomes")] == ["finished"] * 2
