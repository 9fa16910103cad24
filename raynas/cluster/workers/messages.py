"""What driver and workers say to each other, as bytes: a line of JSON, then numbers.

A worker answers each request with one message, the same by socket and by Ray's calls; nothing in
it is executed when it is read. All numbers are little-endian:

    request   {step, pieces}                    the vector, float32
    answer    {step, seconds, waited, losses,   the classifier's sum over the pieces, int64;
              sizes, classifier, is_finite}     then the gradient of each piece, float32
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.spaces.architecture import Architecture
from raynas.training.exact_sums import ExactSum
from raynas.training.gradients import Computed, Gradient, Piece, Vector

Parts = Sequence[bytes | memoryview]
"""A message before its parts are joined, which copies them."""


@dataclass(frozen=True)
class Request:
    """Pieces of a step to compute.

    Attributes:
        vector: The trained numbers.
        step: The step's number.
        pieces: What to compute, in the order of the answer.
    """

    vector: Vector
    step: int
    pieces: Sequence[Piece]

    def to_parts(self) -> Parts:
        """Return the message; the vector must stay as it is until the message is sent."""
        pieces = [[list(piece.path), piece.shard] for piece in self.pieces]
        return _to_parts(
            {"step": self.step, "pieces": pieces}, [self.vector.astype("<f4", copy=False)]
        )

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> "Request":
        """Read the message."""
        head, start = _read_head(content)
        vector = np.frombuffer(content, "<f4", offset=start)
        pieces = [Piece(Architecture(path), shard) for path, shard in head["pieces"]]
        return cls(vector, head["step"], pieces)


@dataclass(frozen=True)
class Answer:
    """What a worker computed.

    Attributes:
        step: The step of the request.
        computed: The results of all its pieces, and of no others.
        seconds: Time that it took.
        waited: Part of them that the device waited for its batch.
    """

    step: int
    computed: Computed
    seconds: float
    waited: float

    def to_bytes(self) -> bytes:
        """Return the message."""
        gradients, classifier = self.computed.gradients, self.computed.classifier
        head = {
            "step": self.step,
            "seconds": self.seconds,
            "waited": self.waited,
            "losses": [gradient.loss for gradient in gradients],
            "sizes": [len(gradient.values) for gradient in gradients],
            "classifier": len(classifier.units),
            "is_finite": classifier.is_finite,
        }
        values = [gradient.values.astype("<f4", copy=False) for gradient in gradients]
        return b"".join(_to_parts(head, [classifier.units.astype("<i8", copy=False), *values]))

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> "Answer":
        """Read the message; its numbers are views into it.

        Raises:
            ValueError: It has more or fewer numbers than it says.
        """
        head, start = _read_head(content)
        units = np.frombuffer(content, "<i8", head["classifier"], start)
        values = np.frombuffer(content, "<f4", offset=start + units.nbytes)
        if len(values) != sum(head["sizes"]):
            raise ValueError(
                f"an answer of {len(values)} numbers, but {sum(head['sizes'])} are said"
            )
        parts = np.split(values, np.cumsum(head["sizes"])[:-1])
        gradients = [Gradient(part, loss) for part, loss in zip(parts, head["losses"], strict=True)]
        computed = Computed(gradients, ExactSum(units, head["is_finite"]))
        return cls(head["step"], computed, head["seconds"], head["waited"])


def _to_parts(head: dict[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> Parts:
    line = json.dumps(head).encode() + b"\n"
    padding = -len(line) % 8  # numbers start where int64 may start
    line = line[:-1] + b" " * padding + b"\n"
    return [line, *(array.data.cast("B") for array in arrays if array.size)]


def _read_head(content: bytes | bytearray) -> tuple[dict[str, Any], int]:
    """Return the line of JSON and where the numbers start."""
    start = content.index(b"\n") + 1
    return json.loads(content[:start]), start
