"""The fast line: one TCP connection from each worker to the driver, kept open between steps.

A message is its length and its bytes. Nobody waits busily, so many workers may share few cores,
and the end of a worker shows at once as the end of its connection. Each run has a secret of its
own that a worker says first; whoever does not know it is not listened to.
"""

import contextlib
import hmac
import os
import secrets
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Sequence

from raynas.cluster.workers.transport import LostLineError

_LENGTH = struct.Struct("!Q")
_HELLO = struct.Struct("!32sII")  # secret, number, process id
_HELLO_SECONDS = 5.0
_CONNECT_SECONDS = 10.0


class UnreachableError(Exception):
    """No connection to the driver's address could be made; a firewall, perhaps."""


class SocketLine:
    """The driver's end of a connection."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        """Take over a connection on which the worker has said hello."""
        self.pid = pid
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.connection = connection
        self.unsent: list[memoryview] = []
        self._buffer = bytearray(_LENGTH.size)
        self._filled = 0
        self._is_length = True

    def send(self, content: Sequence[bytes | memoryview]) -> None:
        """Send a message, as much of it as the worker takes now; the rest follows later.

        Args:
            content: Its parts, which are not copied: they must stay as they are until then.

        Raises:
            LostLineError: The worker is gone.
        """
        length = sum(map(len, content))
        self.unsent = [memoryview(part) for part in [_LENGTH.pack(length), *content] if len(part)]
        self._send_some()

    def _send_some(self) -> None:
        try:
            while self.unsent:
                self._drop(self.connection.sendmsg(self.unsent))
        except BlockingIOError:
            return
        except OSError as error:
            raise LostLineError from error

    def _drop(self, count: int) -> None:
        """Take so many bytes, which are sent, off the parts."""
        while count:
            part = self.unsent.pop(0)
            if len(part) > count:
                self.unsent.insert(0, part[count:])
            count -= min(count, len(part))

    def receive(self) -> bytearray | None:
        """Return the message once all of it has come; read what is there, and never wait.

        Raises:
            LostLineError: The worker is gone.
        """
        self._send_some()
        while self._read_some():
            if self._filled < len(self._buffer):
                continue
            content, self._filled = self._buffer, 0
            self._is_length = not self._is_length
            if self._is_length:
                self._buffer = bytearray(_LENGTH.size)
                return content
            self._buffer = bytearray(_LENGTH.unpack(content)[0])
        return None

    def _read_some(self) -> bool:
        try:
            rest = memoryview(self._buffer)[self._filled :]
            count = self.connection.recv_into(rest)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LostLineError from error
        if not count:
            raise LostLineError
        self._filled += count
        return True

    def close(self) -> None:
        """Hang up; the worker stops serving."""
        self.connection.close()


def wait_for_sockets(lines: Sequence[SocketLine], seconds: float) -> None:
    """Return as soon as one of the lines has something to do, or after some seconds."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.unsent else 0)
            selector.register(line.connection, events)
        selector.select(seconds)


class Listener:
    """Where workers connect to; a thread shakes hands, so no step waits for one."""

    def __init__(self, host: str) -> None:
        """Listen on a free port of the driver's address."""
        self.secret = secrets.token_bytes(32)
        self._server = socket.create_server((host, 0))
        self.address: tuple[str, int] = self._server.getsockname()[:2]
        self._arrived: dict[int, SocketLine] = {}
        threading.Thread(target=self._welcome_all, daemon=True).start()

    def take(self, number: int) -> SocketLine | None:
        """Return the line of the worker that was given this number, once it has connected."""
        return self._arrived.pop(number, None)

    def close(self) -> None:
        """Stop listening; lines that were taken stay open."""
        with contextlib.suppress(OSError):  # closing alone would leave the thread waiting
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _welcome_all(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=[connection], daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(_HELLO_SECONDS)
            secret, number, pid = _HELLO.unpack(_read_exactly(connection, _HELLO.size))
        except (OSError, EOFError):
            connection.close()
            return
        if not hmac.compare_digest(secret, self.secret):
            connection.close()
            return
        self._arrived[number] = SocketLine(connection, pid)


def serve(
    address: tuple[str, int], secret: bytes, number: int, respond: Callable[[bytearray], bytes]
) -> None:
    """Answer messages until the driver hangs up; the worker's end of a line.

    Args:
        address: Where the driver listens.
        secret: The run's secret.
        number: By which the driver knows the worker.
        respond: From a message to its answer.

    Raises:
        UnreachableError: The driver cannot be reached by a connection of one's own.
    """
    try:
        connection = socket.create_connection(address, timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise UnreachableError(*address) from error
    with connection:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_HELLO.pack(secret, number, os.getpid()))
        while True:
            try:
                (length,) = _LENGTH.unpack(_read_exactly(connection, _LENGTH.size))
                content = _read_exactly(connection, length)
            except (EOFError, ConnectionError):
                return
            answer = respond(content)
            try:
                connection.sendall(_LENGTH.pack(len(answer)))
                connection.sendall(answer)
            except ConnectionError:
                return


def _read_exactly(connection: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    filled = 0
    while filled < count:
        received = connection.recv_into(memoryview(content)[filled:])
        if not received:
            raise EOFError
        filled += received
    return content
