"""Processes that decode images, so that the process that trains keeps its interpreter to itself.

They are told what to open and hold no data set, so they start at once and need little memory. Not
torch's DataLoader: it serves one fixed order, and here any step and shard may be asked for; and
its forked workers watch their parent, which under ``forkserver`` is the server, so they stay when
the process that trains is killed. These end when their pipe does, however that happens.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

from raynas.data.decoding import Pixels, Square, decode_all
from raynas.data.encoded_images import Opener
from raynas.storage.short_paths import sockets_in_short_places

_FORKSERVER = multiprocessing.get_context("forkserver")


class Decoders:
    """Decodes in several processes, which end with it; used by one thread at a time."""

    def __init__(self, count: int) -> None:
        """Start the processes."""
        self._connections = [_start() for _ in range(count)]

    def __call__(
        self, openers: Sequence[Opener], square: Square
    ) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """Return what ``decode_all`` would; a process that died is replaced."""
        pixels = np.empty((len(openers), *square.shape), dtype=np.uint8)
        readable = np.empty(len(openers), dtype=np.bool_)
        size = max(-(-len(openers) // len(self._connections)), 1)
        shares = [slice(start, start + size) for start in range(0, len(openers), size)]
        asked = [
            _ask(connection, openers[share], square)
            for connection, share in zip(self._connections, shares, strict=False)
        ]
        for index, share in enumerate(shares):
            parts = pixels[share], readable[share]
            if not asked[index] or not _receive(self._connections[index], *parts):
                self._connections[index].close()
                self._connections[index] = _start()
                pixels[share], readable[share] = decode_all(openers[share], square)
        return pixels, readable

    def close(self) -> None:
        """End the processes."""
        for connection in self._connections:
            connection.close()


def _start() -> Connection:
    ours, theirs = _FORKSERVER.Pipe()
    with sockets_in_short_places():  # the server listens at one
        _FORKSERVER.Process(target=_serve, args=(theirs,), daemon=True).start()
    theirs.close()  # or we would not notice that the process died
    return ours


def _serve(connection: Connection) -> None:
    """Decode what is asked for until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with contextlib.suppress(EOFError, OSError):
        while True:
            openers, square = connection.recv()
            pixels, readable = decode_all(openers, square)
            connection.send_bytes(pixels.tobytes())
            connection.send_bytes(readable.tobytes())


def _ask(connection: Connection, openers: Sequence[Opener], square: Square) -> bool:
    """Return whether the request could be sent."""
    with contextlib.suppress(OSError):
        connection.send((openers, square))
        return True
    return False


def _receive(connection: Connection, pixels: Pixels, readable: npt.NDArray[np.bool_]) -> bool:
    """Fill in what was decoded; return whether it came."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv_bytes_into(pixels.reshape(-1))
        connection.recv_bytes_into(readable)
        return True
    return False
