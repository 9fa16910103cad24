"""What a pretraining step takes of the driver, while workers that compute nothing answer at once.

    python -m tests.bench.driver [--space S] [--classes N] [--workers N] [--shards N]
        [--frozen-classifier]

Workers are processes that answer by socket with numbers drawn once, of the space's real sizes. The
last line is a JSON object. CPU-milliseconds of the driver in a step: ``cpu_ms`` (median, lowest,
highest) for everything but the sockets, encoding and decoding of messages among it; ``sockets_ms``
for the system's part of sending and receiving. Then pieces and answers of a step, the trained
numbers, the bytes of its requests and answers, and ``path_by_path_bytes``: of gradients that hold
the classifier's, too, as they were sent until 2026-11-29. Last the CPU-milliseconds in which a
worker finds out which images are in a step's batch. It measures and asserts nothing.
"""

import json
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

from raynas.cluster.workers.dealing import deal, portions_of
from raynas.cluster.workers.gathering import Gathering
from raynas.cluster.workers.messages import Answer, Request
from raynas.cluster.workers.socket_transport import Listener, SocketLine, serve, wait_for_sockets
from raynas.data.batches import batch_indices
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.operations import Identity
from raynas.seeds import Stream, random_numbers
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import chain_of
from raynas.spaces.loading import load_space
from raynas.spaces.parameter_layout import classifier_start, indices_on
from raynas.training.exact_sums import UNIT, ExactSum
from raynas.training.gradients import Computed, Gradient, Piece, Vector
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
    workers: int = 2
    """Workers that answer."""
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
    """What a worker answers: numbers that were drawn beforehand, for every piece the same."""

    def __init__(self, frozen: FrozenSupernet) -> None:
        """Draw as many numbers as the vector has."""
        rng = random_numbers(0, Stream.BENCH, Use.INDICATORS)
        numbers = rng.normal(0, 1e-3, len(frozen.vector))
        self._numbers = numbers.astype(np.float32)
        self._own = [part for part in frozen.segments if part.role != "classifier"]
        sums = numbers[classifier_start(frozen.segments) :]
        self._classifier = ExactSum(np.rint(sums / UNIT).astype(np.int64))

    def __call__(self, content: bytes | bytearray) -> bytes:
        """Answer a message."""
        request = Request.from_bytes(content)
        sizes = [len(indices_on(self._own, piece.path)) for piece in request.pieces]
        gradients = [Gradient(self._numbers[:size], 1.0) for size in sizes]
        computed = Computed(gradients, self._classifier)
        return Answer(request.step, computed, 1.0, 0.0).to_bytes()


class Workers:
    """Processes that answer by socket, asked as ``PathWorkers`` asks those on Ray.

    Attributes:
        sockets_ms: CPU-milliseconds that the last step took to send and receive.
        counts: Answers of the last step, and the bytes that were sent and received.
    """

    def __init__(self, count: int, portions: int, answer: Silent) -> None:
        """Start them and wait until all are there."""
        self.sockets_ms = 0.0
        self.counts: Counter[str] = Counter()
        self._portions = portions
        self._listener = Listener("127.0.0.1")
        begin = multiprocessing.get_context("fork").Process
        address, secret = self._listener.address, self._listener.secret
        for number in range(count):
            begin(target=serve, args=(address, secret, number, answer), daemon=True).start()
        self._lines = [self._arrived(number) for number in range(count)]

    def _arrived(self, number: int) -> SocketLine:
        while (line := self._listener.take(number)) is None:
            time.sleep(0.01)
        return line

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return the gradients of a step's pieces; all workers are equally fast."""
        whole, gathering = Request(vector.copy(), step, pieces), Gathering(step, len(pieces))
        self.sockets_ms = 0.0
        self.counts.clear()
        while missing := gathering.missing:
            asked = self._ask(whole, missing)
            for line, share in asked:
                content = self._received(line)
                self.counts.update(answers=1, received=len(content))
                gathering.add(share, Answer.from_bytes(content))
        return gathering.computed()

    def _ask(self, whole: Request, missing: list[int]) -> list[tuple[SocketLine, list[int]]]:
        """Ask each worker for a share of the missing pieces while there are any."""
        shards, asked = [piece.shard for piece in whole.pieces], []
        for number, line in enumerate(self._lines):
            if not missing:
                break
            sharing = len(self._lines) - (number if self._portions == 1 else 0)
            share = deal(missing, shards, sharing, (), (), self._portions)
            missing = sorted(set(missing) - set(share))
            parts = replace(whole, pieces=[whole.pieces[index] for index in share]).to_parts()
            self.counts.update(sent=sum(map(len, parts)))
            self.sockets_ms += cpu_ms(partial(line.send, parts))
            asked.append((line, share))
        return asked

    def _received(self, line: SocketLine) -> bytes | bytearray:
        content: list[bytes | bytearray] = []

        def receive() -> None:
            while not content:
                wait_for_sockets([line], 5.0)
                content.extend(filter(None, [line.receive()]))

        self.sockets_ms += cpu_ms(receive)
        return content[0]


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command, config=(tyro.conf.FlagCreatePairsOff,))
    space = chain_of(load_space(command.space, SPACES), "a step").with_identity(Identity())
    settings = PretrainSettings(classifier_rate=0.0 if command.frozen_classifier else 0.003)
    supernet = frozen_supernet(space, 3, command.classes, "path", "shift", 0)
    frozen = FrozenSupernet(supernet, "all_bn", settings.classifier_rate > 0)
    num_summed = len(frozen.vector) - classifier_start(frozen.segments)
    workers = Workers(command.workers, portions_of(num_summed), Silent(frozen))
    state = Pretraining(
        space, frozen.segments, frozen.vector, settings, 0, command.steps + 1, command.shards
    )
    running = state.run(workers)
    taken, sockets = [], []
    for _ in range(command.steps + 1):
        whole = cpu_ms(lambda: next(running))
        taken.append(whole - workers.sockets_ms)
        sockets.append(workers.sockets_ms)
    images, batch = command.images, command.batch
    choosing = [
        cpu_ms(partial(batch_indices, images, batch, 0, Stream.PRETRAINING, step))
        for step in range(command.steps)
    ]
    paths = state.paths(state.step - 1)
    sizes = [len(indices_on(frozen.segments, path)) for path in paths]
    found = {
        "cpu_ms": statistics.median(taken[1:]),
        "lowest_ms": min(taken[1:]),
        "highest_ms": max(taken[1:]),
        "sockets_ms": statistics.median(sockets[1:]),
        "pieces": len(paths) * command.shards,
        "answers": workers.counts["answers"],
        "trained_numbers": len(frozen.vector),
        "request_bytes": workers.counts["sent"],
        "answer_bytes": workers.counts["received"],
        "path_by_path_bytes": 4 * sum(sizes) * command.shards,
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
