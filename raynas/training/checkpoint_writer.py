"""Checkpoints of a training that goes on meanwhile: seldom enough, by a thread, one at a time.

Ray's own reports are not used for that: ``tune.report`` and ``train.report`` take a checkpoint as
a finished folder, from the thread that trains, and keep it in a storage of Ray's, while a run
folder is all that raynas goes on from. So a file is written before, or beside, a report.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self


class EpochTraining(Protocol):
    """A training that goes epoch by epoch and can be saved between two of them."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    def run_epoch(self) -> object:
        """Train one more epoch."""

    def to_bytes(self) -> bytes:
        """Return what continuing needs."""

    def snapshot(self) -> Callable[[], bytes]:
        """Return what makes ``to_bytes`` of this moment, in any thread, while training goes on."""

    def restore(self, content: bytes) -> None:
        """Continue from what ``to_bytes`` returned."""


class CheckpointWriter:
    """Saves a training between its epochs; a context manager that waits for what it writes.

    What failed in its thread is raised after the next epoch, or at the end.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        seconds: float = 0.0,
        promised: Collection[int] = (),
    ) -> None:
        """Begin to count the time.

        Args:
            write: Replaces the checkpoint by another one.
            seconds: From one to the next, at least; 0: every epoch is promised.
            promised: Epochs after which the state is written before anybody hears of them.
        """
        self._write = write
        self._seconds = seconds
        self._promised = promised
        self._saved = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait; an error of the training itself comes before one of the checkpoint."""
        self._thread.shutdown()
        if error is None:
            self._wait()

    def add_epoch(self, training: EpochTraining) -> None:
        """Save a training that has done an epoch, if it is time and nothing is being written.

        Raises:
            StorageError: A checkpoint cannot be written, or the last one could not be.
        """
        is_promised = not self._seconds or training.epoch in self._promised
        is_writing = self._writing is not None and not self._writing.done()
        if is_writing and not is_promised:
            return
        self._wait()
        now = time.monotonic()
        if is_promised or now - self._saved >= self._seconds:
            self._saved = now
            self._writing = self._thread.submit(self._save, training.snapshot())
        if is_promised:
            self._wait()

    def _save(self, make: Callable[[], bytes]) -> None:
        self._write(make())

    def _wait(self) -> None:
        """Wait for what is being written, and raise what it failed with, once."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
