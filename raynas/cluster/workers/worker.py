"""The worker: a Ray actor that computes pieces on one device and keeps nothing between them.

It rebuilds the frozen supernet from the seed, so a lost worker costs its pieces of one step,
which others compute again.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import ray
import torch

from raynas.cluster.workers.messages import Answer, Request
from raynas.cluster.workers.ray_transport import parts
from raynas.cluster.workers.socket_transport import serve
from raynas.data.dataset import Dataset
from raynas.settings.settings import Settings
from raynas.spaces.chain import SearchSpace
from raynas.storage.run_store import RunStore
from raynas.training.gradients import PathGradients
from raynas.training.pretraining import ComputePieces
from raynas.training.starts.inheriting import kept_supernet


class Compute(ComputePieces, Protocol):
    """What a worker does with pieces, and how long its device has waited for batches."""

    @property
    def waited(self) -> float:
        """Seconds since it was built."""


Recipe = Callable[[Dataset], Compute]


def supernet_recipe(
    space: SearchSpace, settings: Settings, shards: int, gpus: float, store: RunStore | None = None
) -> Recipe:
    """Return what builds the run's supernet on a worker.

    Args:
        space: The space that is searched.
        settings: Of the run.
        shards: Parts of a step's batch.
        gpus: Of a worker; 0: it computes on CPUs.
        store: The run folder, which keeps a supernet that has inherited its weights; None: there
            is none yet, and speeds alone matter.
    """

    def build(dataset: Dataset) -> Compute:
        device = "cuda" if gpus else "cpu"
        return PathGradients(
            space,
            dataset,
            settings.pretrain,
            settings.seed,
            shards,
            device,
            kept_supernet(store, settings.pretrain),
        )

    return build


@ray.remote(max_restarts=-1, max_task_retries=0)
class PathWorker:
    """Computes pieces on one device; stateless between calls."""

    def __init__(self, threads: int) -> None:
        """Compute with so many threads; the rest comes with the first call."""
        torch.set_num_threads(threads)
        self._compute: Compute | None = None

    def ready(self, needs: list[Any]) -> int:
        """Build what computes unless it is there; return the process id.

        Args:
            needs: References to the recipe and the data set. They are not the constructor's
                arguments, which a restarted actor may find lost; in a list, or Ray would unpack
                them before each call.
        """
        if self._compute is None:
            recipe, dataset = ray.get(needs)
            self._compute = recipe(dataset)
        return os.getpid()

    def serve(self, needs: list[Any], address: tuple[str, int], secret: bytes, number: int) -> None:
        """Answer by socket until the driver hangs up."""
        self.ready(needs)
        serve(address, secret, number, self._respond)

    def reply(self, count: int, *content: bytes) -> list[bytes]:
        """Answer by an ordinary call, in so many parts; nothing if there is no supernet yet."""
        return parts(self._respond(b"".join(content)) if self._compute else b"", count)

    def _respond(self, content: bytes | bytearray) -> bytes:
        assert self._compute is not None
        started, waited = time.perf_counter(), self._compute.waited
        request = Request.from_bytes(content)
        computed = self._compute(request.vector, request.step, request.pieces)
        seconds = time.perf_counter() - started
        return Answer(request.step, computed, seconds, self._compute.waited - waited).to_bytes()
