"""What driver and workers say to each other, as bytes: a line of JSON, then float32 numbers.

One message each way per worker and step, the same by socket and by Ray's calls; nothing in it is
executed when it is read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raynas.spaces.architecture import Architecture
from raynas.training.gradients import Gradient, Piece, Vector


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

    def to_bytes(self) -> bytes:
        """Return the message."""
        pieces = [[list(piece.path), piece.shard] for piece in self.pieces]
        return _to_bytes({"step": self.step, "pieces": pieces}, [self.vector])

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> "Request":
        """Read the message."""
        head, vector = _from_bytes(content)
        pieces = [Piece(Architecture(path), shard) for path, shard in head["pieces"]]
        return cls(vector, head["step"], pieces)


@dataclass(frozen=True)
class Answer:
    """What a worker computed.

    Attributes:
        step: The step of the request.
        gradients: One per piece.
        seconds: Time that it took.
        waited: Part of them that the device waited for its batch.
    """

    step: int
    gradients: Sequence[Gradient]
    seconds: float
    waited: float

    def to_bytes(self) -> bytes:
        """Return the message."""
        head = {
            "step": self.step,
            "seconds": self.seconds,
            "waited": self.waited,
            "losses": [gradient.loss for gradient in self.gradients],
            "sizes": [len(gradient.values) for gradient in self.gradients],
        }
        return _to_bytes(head, [gradient.values for gradient in self.gradients])

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> "Answer":
        """Read the message."""
        head, values = _from_bytes(content)
        parts = np.split(values, np.cumsum(head["sizes"])[:-1])
        gradients = [Gradient(part, loss) for part, loss in zip(parts, head["losses"], strict=True)]
        return cls(head["step"], gradients, head["seconds"], head["waited"])


def _to_bytes(head: dict[str, Any], arrays: Sequence[Vector]) -> bytes:
    line = json.dumps(head).encode() + b"\n"
    padding = -len(line) % 4  # numbers start where float32 may start
    line = line[:-1] + b" " * padding + b"\n"
    return b"".join([line, *(array.astype("<f4", copy=False).tobytes() for array in arrays)])


def _from_bytes(content: bytes | bytearray) -> tuple[dict[str, Any], Vector]:
    start = content.index(b"\n") + 1
    return json.loads(content[:start]), np.frombuffer(content, dtype="<f4", offset=start)
