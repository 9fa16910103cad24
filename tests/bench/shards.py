"""What a step costs the driver: empty workers on one machine, by socket and by Ray's calls.

    python -m tests.bench.shards [--workers 1 2 4 8 32] [--numbers 40000] [--steps N]

Every worker gets and returns so many float32 numbers and computes nothing; the last line is a JSON
object of medians in milliseconds. A line a + b W through them says how many workers keep 90 % of
a step of 0.3 s. With real compute, as many workers as there are cores share the pieces of one
step; efficiency is their speed over that of as many single workers. It measures and asserts
nothing.
"""

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from raynas.cluster.planning.connection import connected
from raynas.cluster.workers.path_workers import Crew, PathWorkers, Transport
from raynas.cluster.workers.worker import Compute, Recipe, supernet_recipe
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.errors import StageError
from raynas.search.sampling import fair_paths
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import chain_of
from raynas.spaces.loading import load_space
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import Computed, Gradient, Piece, Vector, build_supernet

SPACES = Path(__file__).parents[2] / "search_spaces"
TRANSPORTS: tuple[Transport, ...] = ("calls", "fast")
STEP_SECONDS, LOSS = 0.3, 0.1


@dataclass(frozen=True)
class Command:
    """What a step costs the driver."""

    workers: tuple[int, ...] = (1, 2, 4, 8, 32)
    """Numbers of workers to try."""
    numbers: int = 40_000
    """float32 numbers each way."""
    steps: int = 60
    """Steps to measure for each number of workers, transports in turns."""


class Empty:
    """Computes nothing and answers with as many numbers as it was sent."""

    waited = 0.0

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return a gradient per piece, and no sum."""
        nothing = ExactSum(np.empty(0, np.int64))
        return Computed([Gradient(vector, float(step)) for _ in pieces], nothing)


def empty(dataset: Dataset) -> Compute:
    """Return what computes nothing."""
    del dataset
    return Empty()


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    counts = command.workers
    overheads: dict[str, dict[str, float]] = {transport: {} for transport in TRANSPORTS}
    with connected(num_cpus=2 * max(counts)):
        for count in counts:
            for transport, ms in overhead(count, command).items():
                overheads[transport][str(count)] = ms
                print(f"{count} workers by {transport}: {ms} ms", flush=True)
    cores = os.cpu_count() or 1
    with connected(num_cpus=cores + 1):
        found = {
            "overhead_ms": overheads,
            "model": {name: model(points) for name, points in overheads.items()},
            "efficiency": efficiency(cores),
        }
    print(json.dumps(found))


def overhead(count: int, command: Command) -> dict[str, float]:
    """Return the median milliseconds of a step of one piece per worker, for each transport."""
    dataset = load_dataset("digits", ImageSettings(), 0, 8)
    vector = np.zeros(command.numbers, np.float32)
    pieces = [Piece(Architecture([index]), 0) for index in range(count)]
    seconds: dict[str, list[float]] = {transport: [] for transport in TRANSPORTS}
    crews = {name: Crew(count, count, transport=name) for name in TRANSPORTS}
    with (
        PathWorkers(empty, dataset, crews["calls"]) as calls,
        PathWorkers(empty, dataset, crews["fast"]) as fast,
    ):
        for workers in (calls, fast):
            wait_for(workers, count, vector, pieces)
        for step in range(command.steps):
            for name, workers in (("calls", calls), ("fast", fast)):
                started = time.perf_counter()
                workers(vector, step, pieces)
                seconds[name].append(time.perf_counter() - started)
    return {name: round(1e3 * statistics.median(values), 2) for name, values in seconds.items()}


def wait_for(
    workers: PathWorkers, count: int, vector: Vector, pieces: Sequence[Piece], seconds: float = 600
) -> None:
    """Take steps until so many workers are there, and a few more."""
    deadline = time.monotonic() + seconds
    while len(workers.healthy) < count:
        workers(vector, 0, pieces)
        time.sleep(0.05)
        if time.monotonic() > deadline:
            raise StageError(f"{len(workers.healthy)} of {count} workers came in {seconds:.0f} s")
    time.sleep(5)  # who has just started still loads its libraries
    for _ in range(5):
        workers(vector, 0, pieces)


def model(points: dict[str, float]) -> dict[str, float]:
    """Return the line through the points, and where it has eaten a tenth of a step."""
    counts = np.array([float(count) for count in points])
    slope, start = np.polyfit(counts, list(points.values()), 1) if len(counts) > 1 else (0.0, 0.0)
    allowed = 1e3 * STEP_SECONDS * LOSS / (1 - LOSS)
    return {
        "fixed_ms": round(float(start), 2),
        "per_worker_ms": round(float(slope), 3),
        "workers_at_90_percent": int((allowed - start) / slope) if slope > 0 else -1,
    }


def efficiency(cores: int) -> dict[str, float]:
    """Return the speed of a worker for each core over that of so many single ones."""
    space = chain_of(load_space("nas_bench_macro", SPACES), "a step")
    settings = Settings(pretrain=PretrainSettings(batch=64))
    dataset = load_dataset("digits", ImageSettings(resolution=32), 0, 8)
    vector = build_supernet(space, settings.pretrain, dataset, 0).vector.numpy()
    sizes = [block.size for block in space.blocks]
    pieces = [Piece(path, 0) for step in range(cores) for path in fair_paths(sizes, 0, step)]
    recipe: Recipe = supernet_recipe(space, settings, 1, 0.0)
    seconds: dict[int, list[float]] = {1: [], cores: []}
    with (
        PathWorkers(recipe, dataset, Crew(1, 1)) as single,
        PathWorkers(recipe, dataset, Crew(cores, cores)) as several,
    ):
        wait_for(single, 1, vector, pieces)
        wait_for(several, cores, vector, pieces)
        for step in range(10):
            for count, workers in ((1, single), (cores, several)):
                started = time.perf_counter()
                workers(vector, step, pieces)
                seconds[count].append(time.perf_counter() - started)
    medians = {count: statistics.median(values) for count, values in seconds.items()}
    return {str(cores): round(medians[1] / medians[cores] / cores, 3)}


if __name__ == "__main__":
    main()
