"""Checkpoints that are written while a training goes on: when, of what, and what fails."""

import threading
from collections.abc import Callable

import pytest

from raynas.training import checkpoint_writer
from raynas.training.checkpoint_writer import CheckpointWriter


class Counting:
    """A training that does nothing but count its epochs."""

    def __init__(self) -> None:
        """Begin."""
        self.epoch = 0

    def run_epoch(self) -> None:
        """Count."""
        self.epoch += 1

    def to_bytes(self) -> bytes:
        """Return the epoch."""
        return self.snapshot()()

    def snapshot(self) -> Callable[[], bytes]:
        """Return what makes the epoch of now."""
        epoch = self.epoch
        return lambda: str(epoch).encode()

    def restore(self, content: bytes) -> None:
        """Go on from an epoch."""
        self.epoch = int(content)


class Disk:
    """Keeps what is written, once it is let go, and fails where it is told to."""

    def __init__(self) -> None:
        """Write at once."""
        self.files: list[int] = []
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None

    def write(self, content: bytes) -> None:
        """Write when nothing holds it up."""
        self.begun.set()
        assert self.free.wait(30)
        if self.error is not None:
            raise self.error
        self.files.append(int(content))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock of one number, the time."""
    now = [100.0]
    monkeypatch.setattr(checkpoint_writer.time, "monotonic", lambda: now[0])
    return now


def train(
    writer: CheckpointWriter,
    training: Counting,
    epochs: int,
    clock: list[float] | None = None,
    disk: Disk | None = None,
) -> None:
    """Train for epochs of ten seconds each; with a disk, wait for what it writes."""
    for _ in range(epochs):
        training.run_epoch()
        if clock:
            clock[0] += 10.0
        writer.add_epoch(training)
        if disk and writer._writing is not None:
            writer._writing.exception()


@pytest.mark.parametrize(
    ("seconds", "saved"),
    [(0.0, [1, 2, 3, 4, 5, 6]), (9.0, [1, 2, 3, 4, 5, 6]), (11.0, [2, 4, 6]), (1e6, [])],
)
def test_checkpoints_are_no_oftener_than_asked_for(
    clock: list[float], seconds: float, saved: list[int]
) -> None:
    disk = Disk()
    with CheckpointWriter(disk.write, seconds) as writer:
        train(writer, Counting(), 6, clock, disk)

    assert disk.files == saved


def test_a_promised_epoch_is_written_before_anybody_hears_of_it_and_counts_as_the_last_one(
    clock: list[float],
) -> None:
    disk = Disk()
    with CheckpointWriter(disk.write, 25.0, promised={1, 5}) as writer:
        training, known = Counting(), []
        for _ in range(5):
            train(writer, training, 1, clock)
            known.append(list(disk.files) if training.epoch in {1, 5} else None)

    assert known == [[1], None, None, None, [1, 4, 5]]


def test_without_a_least_time_every_epoch_is_written_before_anybody_hears_of_it() -> None:
    disk, training = Disk(), Counting()
    with CheckpointWriter(disk.write) as writer:
        for epoch in (1, 2, 3):
            train(writer, training, 1)
            assert disk.files[-1] == epoch


def test_training_goes_on_while_a_checkpoint_is_written_and_changes_nothing_of_it() -> None:
    disk, training = Disk(), Counting()
    disk.free.clear()
    with CheckpointWriter(disk.write, 1e-9) as writer:
        train(writer, training, 4)
        assert disk.begun.wait(30)
        assert disk.files == []
        disk.free.set()

    assert training.epoch == 4
    assert disk.files == [1]  # the end has waited, and no other one was begun meanwhile


def test_a_checkpoint_that_is_put_off_is_made_after_the_next_epoch() -> None:
    disk, training = Disk(), Counting()
    disk.free.clear()
    with CheckpointWriter(disk.write, 1e-9) as writer:
        train(writer, training, 2)
        disk.free.set()
        assert writer._writing is not None
        writer._writing.result()
        train(writer, training, 1)

    assert disk.files == [1, 3]


def test_a_checkpoint_that_cannot_be_written_fails_the_training_after_the_next_epoch() -> None:
    disk, training = Disk(), Counting()
    disk.error = OSError("the disk is full")
    writer = CheckpointWriter(disk.write, 1e-9)
    train(writer, training, 1, disk=disk)  # which goes on

    with pytest.raises(OSError, match="the disk is full"):
        train(writer, training, 1)
    assert training.epoch == 2


def test_a_checkpoint_that_cannot_be_written_fails_the_end() -> None:
    disk, training = Disk(), Counting()
    disk.error = OSError("the disk is full")

    def train_once() -> None:
        with CheckpointWriter(disk.write, 1e-9) as writer:
            train(writer, training, 1, disk=disk)
            training.run_epoch()

    with pytest.raises(OSError, match="the disk is full"):
        train_once()
    assert training.epoch == 2


def test_what_fails_a_training_is_told_rather_than_what_failed_a_checkpoint() -> None:
    disk = Disk()
    disk.error = OSError("the disk is full")

    def diverge() -> None:
        with CheckpointWriter(disk.write, 1e-9) as writer:
            train(writer, Counting(), 1, disk=disk)
            raise ValueError("the loss is infinite")

    with pytest.raises(ValueError, match="the loss is infinite"):
        diverge()


def test_what_ends_in_the_middle_leaves_no_checkpoint_half_way() -> None:
    disk = Disk()
    disk.free.clear()

    def stop() -> None:
        with CheckpointWriter(disk.write, 1e-9) as writer:
            train(writer, Counting(), 1)
            disk.free.set()
            raise SystemExit

    with pytest.raises(SystemExit):
        stop()
    assert disk.files == [1]
