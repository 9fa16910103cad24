"""Storage that is full, read-only, flaky or gone: one sentence, nothing torn, and on it goes."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raynas.storage.run_store import RunStore
from tests.launch.scripts import (
    TINY,
    Ended,
    Launcher,
    ended,
    half_written,
    results_of,
    running,
    wait_until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.chaos]

HOLD = 'mount -t tmpfs -o size=24m tmpfs "$0" && echo mounted && exec sleep 3600'


@dataclass(frozen=True)
class Disk:
    """A small disk that only processes started by ``before`` see, and we through ``view``.

    Attributes:
        path: Where they see it.
        holder: The process whose mounts they share.
    """

    path: Path
    holder: int

    @property
    def before(self) -> tuple[str, ...]:
        """The words before a command that is to see the disk."""
        return ("nsenter", f"--mount=/proc/{self.holder}/ns/mnt", f"--wd={Path.cwd()}", "--")

    @property
    def view(self) -> Path:
        """Where we see the disk."""
        return Path(f"/proc/{self.holder}/root{self.path}")

    def remount(self, mode: str) -> None:
        """Make the disk read-only ("ro") or writable ("rw")."""
        subprocess.run([*self.before, "mount", "-o", f"remount,{mode}", self.path], check=True)

    def fill(self) -> None:
        """Leave no byte free for now; who fails to write a file gives its room back."""
        filler = (self.view / "filler").open("ab", buffering=0)
        with filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Give the room back."""
        (self.view / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a disk of 24 MB; skip where mounting is not allowed."""
    (tmp_path / "disk").mkdir()
    try:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", HOLD, tmp_path / "disk"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare to give a process its own mounts")
    with running(process):
        assert process.stdout
        assert process.stderr
        if process.stdout.readline() != "mounted\n":
            pytest.skip(f"no disk can be mounted here: {process.stderr.read().strip()}")
        yield Disk(tmp_path / "disk", process.pid)


def assert_one_sentence(end: Ended, code: int, *parts: str) -> None:
    """Check that a search ended by one sentence that says these things."""
    assert end.code == code, end.errors
    (sentence,) = end.errors.splitlines()
    assert sentence.startswith("error: run folder ")
    for part in parts:
        assert part in sentence
    assert "Traceback" not in end.output


STAGES: dict[str, Callable[[RunStore], object]] = {
    "pretraining": lambda store: len(store.rows("steps")) >= 3,
    "retraining": lambda store: store.rows("trials"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_ends_the_stage_and_with_room_the_same_command_goes_on(
    launcher: Launcher, whole: tuple[Path, Ended], disk: Disk, stage: str
) -> None:
    run, view = disk.path / "run", disk.view / "run"
    with running(launcher.start(run, *TINY, before=disk.before)) as process:
        wait_until(lambda: STAGES[stage](RunStore(str(view))), process)
        while process.poll() is None:
            disk.fill()
            time.sleep(0.05)
        end = ended(process)

    assert_one_sentence(end, 1, "No space left", "free some space there and run the same command")
    assert half_written(view) == []
    left = RunStore(str(view)).rows("steps")

    disk.empty()
    again = launcher.run(run, *TINY, before=disk.before)

    assert again.code == 0, again.errors
    assert RunStore(str(view)).rows("steps")[: len(left)] == left
    assert results_of(view) == results_of(whole[0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_becomes_read_only_ends_the_stage_and_writable_again_the_run_goes_on(
    launcher: Launcher, whole: tuple[Path, Ended], disk: Disk, stage: str
) -> None:
    run, view = disk.path / "run", disk.view / "run"
    with running(launcher.start(run, *TINY, before=disk.before)) as process:
        wait_until(lambda: STAGES[stage](RunStore(str(view))), process)
        wait_until(lambda: remounted(disk, "ro"), process)
        end = ended(process)

    assert_one_sentence(end, 1, "Read-only file system", "make it writable again and run the same")
    assert half_written(view) == []

    disk.remount("rw")
    again = launcher.run(run, *TINY, before=disk.before)

    assert again.code == 0, again.errors
    assert "lock " not in again.output  # it could not be deleted, but its process is known dead
    assert results_of(view) == results_of(whole[0])


def remounted(disk: Disk, mode: str) -> bool:
    """Return whether the disk could be remounted; it is busy while a file is being written."""
    try:
        disk.remount(mode)
    except subprocess.CalledProcessError:
        return False
    return True


def test_a_disk_that_is_read_only_from_the_start_is_refused_before_anything_starts(
    launcher: Launcher, disk: Disk
) -> None:
    disk.remount("ro")
    rays = launcher.sessions()
    end = launcher.run(disk.path / "run", *TINY, before=disk.before)

    assert_one_sentence(end, 2, f"Read-only file system: '{disk.path / 'run'}'); choose another")
    assert launcher.sessions() == rays


def test_a_storage_that_fails_now_and_then_changes_nothing(
    launcher: Launcher, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    place = {"script": "tests/launch/flaky.py", "environment": {"FLAKY_SHARE": "0.03"}}
    end = launcher.run(run, *TINY, **place)

    assert end.code == 0, end.errors
    assert "hiccups" not in end.output + end.errors
    assert results_of(run) == results_of(whole[0])
    assert half_written(run) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_storage_that_goes_away_ends_the_stage_and_back_again_the_run_goes_on(
    launcher: Launcher, whole: tuple[Path, Ended], tmp_path: Path, stage: str
) -> None:
    run, gone = tmp_path / "run", tmp_path / "gone"
    place = {"script": "tests/launch/flaky.py", "environment": {"FLAKY_WHILE": str(gone)}}
    with running(launcher.start(run, *TINY, **place)) as process:
        wait_until(lambda: STAGES[stage](RunStore(str(run))), process)
        gone.touch()
        end = ended(process)

    assert_one_sentence(end, 1, "the disk hiccups", "bring the storage back and run the same")
    gone.unlink()
    again = launcher.run(run, *TINY, **place)

    assert again.code == 0, again.errors
    assert results_of(run) == results_of(whole[0])
    assert half_written(run) == []
