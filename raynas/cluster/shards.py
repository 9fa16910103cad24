"""Pretraining on Ray actors: stateless path workers, and the driver's side of a step.

A worker rebuilds the frozen supernet from the seed and keeps nothing between calls, so a lost
worker costs its pieces of one step, which others compute again. Pieces come back in the order in
which they were asked for: the result does not depend on the number of workers.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import ray
import torch
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raynas.errors import StageError, UserError
from raynas.settings import Settings
from raynas.space import SearchSpace
from raynas.training.gradients import Gradient, PathGradients, Piece, Vector
from raynas.training.images import Dataset

_PATIENCE = 120.0  # seconds to wait for any worker before the stage gives up
_PROBE_EVERY = 1.0  # seconds between questions to a lost worker


@ray.remote(max_restarts=-1, max_task_retries=0)
class PathWorker:
    """Computes pieces on one device; stateless between calls."""

    def __init__(self, space: SearchSpace, settings: Settings, shards: int, gpus: float) -> None:
        """Keep what defines the supernet; the first call with the data set builds it."""
        torch.set_num_threads(settings.pretrain.cpus_per_worker)
        self._parts = space, settings, shards, "cuda" if gpus else "cpu"
        self._compute: PathGradients | None = None

    def ready(self, dataset: list[Any]) -> bool:
        """Build the supernet unless it is there; the list holds a reference to the data set."""
        if self._compute is None:
            space, settings, shards, device = self._parts
            self._compute = PathGradients(
                space,
                ray.get(dataset[0]),
                settings.pretrain,
                settings.images.augment,
                settings.seed,
                shards,
                device,
            )
        return True

    def gradients(
        self, dataset: list[Any], vector: Vector, step: int, pieces: Sequence[Piece]
    ) -> list[Gradient]:
        """Return the gradients of pieces at the given trained numbers."""
        self.ready(dataset)
        assert self._compute is not None
        return [self._compute(vector, step, piece) for piece in pieces]


class PathWorkers:
    """The workers of a run as one callable (``ComputePieces``); a context manager."""

    def __init__(  # noqa: PLR0913 - what the workers are made of
        self,
        space: SearchSpace,
        dataset: Dataset,
        settings: Settings,
        count: int,
        shards: int,
        gpus: float,
    ) -> None:
        """Reserve places, spread over the nodes, and start the workers.

        Raises:
            UserError: The cluster cannot hold them.
        """
        cpus = settings.pretrain.cpus_per_worker
        bundle = {"CPU": float(cpus)} | ({"GPU": gpus} if gpus else {})
        self._group = _reserve([bundle] * count)
        # goes with every call: a restarted worker knows nothing, and Ray forgets what only a
        # constructor was given; in a list, or Ray would unpack it for each call
        self._dataset = [ray.put(dataset)]
        self._workers: list[Any] = [
            PathWorker.options(  # type: ignore[attr-defined]  # ray.remote adds options
                num_cpus=cpus,
                num_gpus=gpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    self._group, placement_group_bundle_index=index
                ),
            ).remote(space, settings, shards, gpus)
            for index in range(count)
        ]
        self._probes: dict[Any, tuple[Any, float]] = {}  # lost worker: question, when to ask again
        ray.get([worker.ready.remote(self._dataset) for worker in self._workers])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            ray.kill(worker)
        remove_placement_group(self._group)

    @property
    def healthy(self) -> list[Any]:
        """The workers that answer."""
        return [worker for worker in self._workers if worker not in self._probes]

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> list[Gradient]:
        """Return the gradients of a step's pieces, in their order.

        Raises:
            StageError: No worker answers any more.
        """
        reference = ray.put(vector)
        gradients: dict[int, Gradient] = {}
        waiting = list(range(len(pieces)))
        calls: dict[Any, tuple[Any, list[int]]] = {}
        while len(gradients) < len(pieces):
            if waiting:
                self._readmit()
                for worker, indices in self._deal(waiting):
                    parts = [pieces[index] for index in indices]
                    call = worker.gradients.remote(self._dataset, reference, step, parts)
                    calls[call] = worker, indices
            (done, *_), _ = ray.wait(list(calls))
            worker, indices = calls.pop(done)
            waiting = []
            try:
                gradients |= dict(zip(indices, ray.get(done), strict=True))
            except ray.exceptions.RayActorError:
                self._lose(worker)
                waiting = indices
        return [gradients[index] for index in range(len(pieces))]

    def _deal(self, indices: Sequence[int]) -> list[tuple[Any, list[int]]]:
        """Return each healthy worker with its share of the pieces."""
        deadline = time.monotonic() + _PATIENCE
        while not self.healthy:
            if time.monotonic() > deadline:
                raise StageError(
                    f"pretraining: no worker has answered for {_PATIENCE:.0f} s; run the same "
                    "command again to continue when the cluster is back"
                )
            time.sleep(0.1)
            self._readmit()
        workers = self.healthy
        shares = [list(indices[rank :: len(workers)]) for rank in range(len(workers))]
        return [(worker, share) for worker, share in zip(workers, shares, strict=True) if share]

    def _lose(self, worker: Any) -> None:
        self._probes[worker] = worker.ready.remote(self._dataset), time.monotonic() + _PROBE_EVERY

    def _readmit(self) -> None:
        """Take back the lost workers whose restarted process answers."""
        for worker, (question, again) in list(self._probes.items()):
            answered, _ = ray.wait([question], timeout=0)
            if answered and _succeeded(question):
                del self._probes[worker]
            elif answered and time.monotonic() > again:
                self._lose(worker)


def _succeeded(question: Any) -> bool:
    try:
        ray.get(question)
    except ray.exceptions.RayActorError:
        return False
    return True


def _reserve(bundles: list[dict[str, float]], patience: float = 60.0) -> PlacementGroup:
    group: PlacementGroup = placement_group(bundles, strategy="SPREAD")
    if not group.wait(patience):
        remove_placement_group(group)
        raise UserError(
            f"--pretrain.workers {len(bundles)}: the cluster had no room for workers of "
            f"{bundles[0]} within {patience:.0f} s; ask for fewer or smaller ones"
        )
    return group
