"""Batches that are ready when they are asked for: the next step's are made during this one."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.batches import Batches
from raynas.data.dataset import EncodedImages, Images, Part
from raynas.data.decode_workers import Decoders

Batch = tuple[torch.Tensor, torch.Tensor]
Made = TypeVar("Made")


class Loader:
    """Returns what ``Batches`` would, to the bit, and makes the same shard of the next step.

    One thread makes batches; where images are not in memory, processes decode for it. A step's
    batches are kept until another step is asked for, since its paths share them: leave them as
    they are. Used by one thread at a time.

    Attributes:
        waited: Seconds for which callers had to wait for images, all in all.
    """

    def __init__(self, batches: Batches) -> None:
        """Start the processes, if there are to be any."""
        self.waited = 0.0
        self._batches = batches
        train = batches.train
        workers = train.workers if isinstance(train, EncodedImages) else 0
        self._decoders = Decoders(workers) if workers else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._made: dict[tuple[int, int], Future[Batch]] = {}

    def __call__(self, step: int, shard: int = 0) -> Batch:
        """Return images, N x C x H x W, and labels, N, and go on with the next step's."""
        for key in [key for key in self._made if key[0] not in {step, step + 1}]:
            self._made.pop(key).cancel()
        batch = self._start(step, shard)
        self._start(step + 1, shard)
        try:
            return self._wait(batch)
        except BaseException:
            self._made.clear()  # whatever went wrong may go right the next time
            raise

    def in_order(
        self, images: Part, batch: int, worker: int = 0, workers: int = 1
    ) -> Iterator[Images]:
        """Yield what ``batches.in_order`` does, while the next piece is read."""
        ahead: Future[Images] | None = None
        for start in range(worker * batch, len(images), workers * batch):
            indices = np.arange(start, min(start + batch, len(images)))
            following = self._thread.submit(self._take, images, indices)
            if ahead is not None:
                yield self._wait(ahead)
            ahead = following
        if ahead is not None:
            yield self._wait(ahead)

    def close(self) -> None:
        """Let what is being made come to its end, and end the thread and the processes."""
        self._thread.shutdown(cancel_futures=True)
        if self._decoders is not None:
            self._decoders.close()

    def _start(self, step: int, shard: int) -> Future[Batch]:
        """Return the batch that is being made or was."""
        if (step, shard) not in self._made:
            self._made[step, shard] = self._thread.submit(self._make, step, shard)
        return self._made[step, shard]

    def _make(self, step: int, shard: int) -> Batch:
        images = self._take(self._batches.train, self._batches.choose(step, shard))
        return self._batches.finish(images, step, shard)

    def _take(self, images: Part, indices: npt.NDArray[np.int64]) -> Images:
        if isinstance(images, EncodedImages) and self._decoders is not None:
            return images.take(indices, self._decoders)
        return images.take(indices)

    def _wait(self, future: Future[Made]) -> Made:
        started = time.perf_counter()
        try:
            return future.result()
        finally:
            self.waited += time.perf_counter() - started
