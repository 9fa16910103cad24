"""What a pretraining step takes of the driver, while workers that compute nothing answer at once.

    python -m tests.bench.driver [--space S] [--classes N] [--shards N] [--frozen-classifier]

Gradients are numbers drawn once, of the space's real sizes; nothing is sent. The last line is a
JSON object: CPU-milliseconds of a step (median, lowest, highest), the pieces of a step, the trained
numbers, the bytes of a step's gradients, and the CPU-milliseconds in which a worker finds out which
images are in a step's batch. It measures and asserts nothing.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

from raynas.data.batches import batch_indices
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.operations import Identity
from raynas.seeds import Stream, random_numbers
from raynas.settings.stages import PretrainSettings
from raynas.spaces.chain import chain_of
from raynas.spaces.loading import load_space
from raynas.training.gradients import Gradient, Piece, Vector
from raynas.training.pretraining import Pretraining
from tests.bench.uses import Use

SPACES = Path(__file__).parents[2] / "search_spaces"


@dataclass(frozen=True)
class Command:
    """What a pretraining step takes of the driver."""

    space: str = "mobilenet_v2"
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    classes: int = 1000
    """Classes of the images."""
    shards: int = 1
    """Shards of a batch."""
    frozen_classifier: bool = False
    """Whether the classifier learns nothing, as in BN-NAS."""
    images: int = 1_281_167
    """Training images; ImageNet has so many."""
    batch: int = 1024
    """Images of a batch."""
    steps: int = 12
    """Steps that are measured, after one that warms up."""


class Silent:
    """Workers whose gradients were drawn beforehand."""

    def __init__(self, frozen: FrozenSupernet) -> None:
        """Draw as many numbers as the vector has."""
        rng = random_numbers(0, Stream.BENCH, Use.INDICATORS)
        self._numbers = rng.normal(size=len(frozen.vector)).astype(np.float32)
        self._segments = frozen.segments
        self.sent_bytes = 0
        self.num_pieces = 0

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> list[Gradient]:
        """Return the first numbers of those, as many as each path has."""
        del vector, step
        sizes = [
            sum(part.stop - part.start for part in self._segments if part.is_on(piece.path))
            for piece in pieces
        ]
        self.num_pieces = len(pieces)
        self.sent_bytes = 4 * sum(sizes)
        return [Gradient(self._numbers[:size], 1.0) for size in sizes]


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command, config=(tyro.conf.FlagCreatePairsOff,))
    space = chain_of(load_space(command.space, SPACES), "a step").with_identity(Identity())
    settings = PretrainSettings(classifier_rate=0.0 if command.frozen_classifier else 0.003)
    supernet = frozen_supernet(space, 3, command.classes, "path", "shift", 0)
    frozen = FrozenSupernet(supernet, "all_bn", settings.classifier_rate > 0)
    workers = Silent(frozen)
    state = Pretraining(
        space, frozen.segments, frozen.vector, settings, 0, command.steps + 1, command.shards
    )
    running = state.run(workers)
    taken = [cpu_ms(lambda: next(running)) for _ in range(command.steps + 1)][1:]
    images, batch = command.images, command.batch
    choosing = [
        cpu_ms(partial(batch_indices, images, batch, 0, Stream.PRETRAINING, step))
        for step in range(command.steps)
    ]
    found = {
        "cpu_ms": statistics.median(taken),
        "lowest_ms": min(taken),
        "highest_ms": max(taken),
        "pieces": workers.num_pieces,
        "trained_numbers": len(frozen.vector),
        "gradient_bytes": workers.sent_bytes,
        "choosing_ms": statistics.median(choosing),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU-milliseconds of this process in which some work is done."""
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


if __name__ == "__main__":
    main()
