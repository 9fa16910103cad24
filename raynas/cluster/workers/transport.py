"""The seam between the driver and a worker: a line carries one message there, one back.

Two kinds: a socket of its own (``socket_transport``), which is fast, and Ray's ordinary calls
(``ray_transport``), which reach wherever Ray does. Both carry the same bytes.
"""

from collections.abc import Sequence
from typing import Protocol


class LostLineError(Exception):
    """The worker at the other end is gone."""


class Line(Protocol):
    """The driver's end.

    Attributes:
        pid: The worker's process, on its node.
    """

    pid: int

    def send(self, content: Sequence[bytes | memoryview]) -> None:
        """Send the parts of a message; raises LostLineError."""

    def receive(self) -> bytes | bytearray | None:
        """Return the answer if it is there, without waiting; raises LostLineError."""

    def close(self) -> None:
        """Hang up."""
