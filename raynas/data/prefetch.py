"""Batches that are ready when they are asked for: those of the next steps are made meanwhile."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.batch_requests import Request
from raynas.data.batches import Batches
from raynas.data.dataset import EncodedImages, Images, Part
from raynas.data.decode_workers import DecodingProcesses

Batch = tuple[torch.Tensor, torch.Tensor]


class _Making(Protocol):
    """Something that is being made."""

    def result(self) -> Batch:
        """Wait for it."""

    def cancel(self) -> object:
        """Let go of it."""


class Loader:
    """Returns what ``Batches`` would, to the bit, and makes the same shard of the next steps.

    Where images are in memory, one thread makes batches; else processes do. A step's batches are
    kept until another step is asked for, since its paths share them: leave them as they are. Used
    by one thread at a time.

    Attributes:
        waited: Seconds for which callers had to wait for images, all in all.
    """

    def __init__(self, batches: Batches) -> None:
        """Start nothing yet."""
        self.waited = 0.0
        self._batches = batches
        train = batches.train
        workers = train.workers if isinstance(train, EncodedImages) else 0
        self._processes = DecodingProcesses(workers) if workers else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._made: dict[tuple[int, int], _Making] = {}

    def __call__(self, step: int, shard: int = 0) -> Batch:
        """Return images, N x C x H x W bytes, and labels, N, and go on with the next steps'."""
        shards = {key[1] for key in self._made} | {shard}
        last = step + max(self._depth // len(shards), 1)
        for key in [key for key in self._made if not step <= key[0] <= last]:
            self._made.pop(key).cancel()
        batch = self._start(step, shard)
        for following in range(step + 1, last + 1):
            self._start(following, shard)
        try:
            return self._wait(batch)
        except BaseException:
            self._forget_all()  # whatever went wrong may go right the next time
            raise

    def in_order(
        self, images: Part, batch: int, worker: int = 0, workers: int = 1
    ) -> Iterator[Images]:
        """Yield what ``batches.in_order`` does, while the next pieces are read."""
        ahead: list[_Making] = []
        for start in range(worker * batch, len(images), workers * batch):
            indices = np.arange(start, min(start + batch, len(images)))
            ahead.append(self._piece(images, indices))
            if len(ahead) > self._depth:
                yield self._images(ahead.pop(0))
        while ahead:
            yield self._images(ahead.pop(0))

    def close(self) -> None:
        """Let what is being made come to its end, and end the thread and the processes."""
        self._thread.shutdown(cancel_futures=True)
        if self._processes is not None:
            self._processes.close()

    @property
    def _depth(self) -> int:
        """How many batches are made ahead."""
        return 1 if self._processes is None else self._processes.depth

    def _start(self, step: int, shard: int) -> _Making:
        """Return the batch that is being made or was."""
        if (step, shard) not in self._made:
            self._made[step, shard] = self._begun(step, shard)
        return self._made[step, shard]

    def _begun(self, step: int, shard: int) -> _Making:
        batches = self._batches
        if self._processes is None:
            return self._thread.submit(batches, step, shard)
        labels = batches.train.labels[batches.choose(step, shard)]
        request = batches.request(step, shard)
        return _InProcesses(self._processes, request, labels, lambda: batches(step, shard))

    def _piece(self, images: Part, indices: npt.NDArray[np.int64]) -> _Making:
        if self._processes is None or not isinstance(images, EncodedImages):
            return self._thread.submit(_taken, images, indices)
        request, labels = images.request(indices), images.labels[indices]
        return _InProcesses(self._processes, request, labels, lambda: _taken(images, indices))

    def _images(self, making: _Making) -> Images:
        pixels, labels = self._wait(making)
        return Images(pixels.numpy(), labels.numpy())

    def _forget_all(self) -> None:
        while self._made:
            self._made.popitem()[1].cancel()

    def _wait(self, making: _Making) -> Batch:
        started = time.perf_counter()
        try:
            return making.result()
        finally:
            self.waited += time.perf_counter() - started


class _InProcesses:
    """A batch that processes make, or this one where some of its images are broken."""

    def __init__(
        self,
        processes: DecodingProcesses,
        request: Request,
        labels: npt.NDArray[np.int64],
        make_here: Callable[[], Batch],
    ) -> None:
        self._processes = processes
        self._ticket = processes.submit(request)
        self._labels = labels
        self._make_here = make_here
        self._batch: Batch | None = None

    def result(self) -> Batch:
        """Wait for it; it may be asked for again."""
        if self._batch is None:
            pixels, readable = self._processes.answer(self._ticket)
            whole = bool(readable.all())
            self._batch = (pixels, torch.from_numpy(self._labels)) if whole else self._make_here()
        return self._batch

    def cancel(self) -> None:
        """Let go of it."""
        self._processes.forget(self._ticket)


def _taken(images: Part, indices: npt.NDArray[np.int64]) -> Batch:
    found = images.take(indices)
    return torch.from_numpy(found.pixels), torch.from_numpy(found.labels)
