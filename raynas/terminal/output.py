r"""Standard output and error as scripts find them: a terminal, a log, a pipe that somebody closes.

What the encoding there has no letter for is escaped (``\u732b``). Output is lost once its reader
has left (``| head``) or its disk is full. A command that is there for what it prints ends then;
work that is there for its results goes on, and says on standard error what it has to say.
"""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

NOBODY_READS = 141
"""Exit code of a command whose reader has left: what a shell says of one that SIGPIPE ended."""


class _Output:
    """A text stream that may be lost.

    Attributes:
        ends: Whether what writes ends once this is lost.
    """

    def __init__(self, stream: TextIO, spare: "_Output | None" = None) -> None:
        """Write to a stream; its spare is told why it is lost, and takes what follows."""
        self._stream, self._spare = stream, spare
        self._end: SystemExit | None = None
        self.ends = spare is not None

    def write(self, text: str) -> int:
        buffer = getattr(self._stream, "buffer", None)
        has_none = isinstance(buffer, io.RawIOBase)  # under PYTHONUNBUFFERED
        self._try(lambda: self._stream.write(text), again=has_none)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, work: Callable[[], object], again: bool = False) -> None:
        try:
            work()
        except OSError as error:
            self._lose(error)
            if again:
                work()
        if self._end and threading.current_thread() is threading.main_thread():
            end, self._end = self._end, None  # once: what cleans up may still print
            raise end

    def _lose(self, error: OSError) -> None:
        """Turn to where writing succeeds; what is still in the buffer comes along."""
        has_left, reason = isinstance(error, BrokenPipeError), error.strerror or str(error)
        if self.ends:
            if not has_left:
                self._tell(f"error: standard output: {reason}")
            self._end = SystemExit(NOBODY_READS if has_left else 1)
        else:
            why = "its reader has left" if has_left else reason
            self._tell(f"standard output is lost ({why}); the work goes on and is told here")
        self._redirect(None if self.ends else self._spare)
        self._stream.flush()

    def _tell(self, text: str) -> None:
        if self._spare is not None:
            self._spare.write(f"{text}\n")
            self._spare.flush()

    def _redirect(self, place: "_Output | None") -> None:
        """Let what is written go to another stream, or nowhere."""
        if place is not None:
            os.dup2(place.fileno(), self.fileno())
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def outlive_output() -> None:
    """Let what follows go on where standard output is lost: its results lie elsewhere."""
    if isinstance(sys.stdout, _Output):
        sys.stdout.ends = False


@contextmanager
def guarded_output() -> Iterator[None]:
    """Write what can be written, in any encoding.

    Raises:
        SystemExit: Output is lost, and nothing asked to outlive that.
    """
    before = sys.stdout, sys.stderr
    errors = _Output(_degrading(before[1]))
    sys.stderr = cast(TextIO, errors)
    sys.stdout = cast(TextIO, _Output(_degrading(before[0]), spare=errors))
    try:
        yield
        sys.stdout.flush()
    except SystemExit:  # --help leaves by it, too; an error goes before what is lost
        sys.stdout.flush()
        raise
    finally:
        sys.stdout, sys.stderr = before


def _degrading(stream: TextIO | None) -> TextIO:
    """Return a stream that writes escapes for what it cannot encode, line by line."""
    if stream is None:  # closed before Python began
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lasts for good
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
    return stream


def fill_descriptors() -> None:
    """Keep files from being opened in the place of a standard stream that is closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
