"""Folders with short names: a socket's address has room for some hundred bytes of path.

Batch systems make a TMPDIR for each job whose name alone may be longer.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - what lies there is private
_LONGEST = 70  # bytes: multiprocessing adds /pymp-xxxxxxxx/listener-xxxxxxxx, and 104 are certain
_CHOOSING = threading.Lock()  # the choice is the process's: another thread would keep the short one


def short_sockets() -> None:
    """Let this process make its sockets in a short place from now on."""
    if (place := _short_place()) is not None:
        tempfile.tempdir = place


@contextmanager
def sockets_in_short_places() -> Iterator[None]:
    """Let ``tempfile`` choose a short place meanwhile, if its own is too long for a socket."""
    with _CHOOSING:
        before = tempfile.tempdir
        short_sockets()
        try:
            yield
        finally:
            tempfile.tempdir = before


def _short_place() -> str | None:
    """Return a short place that may be written to, if the usual one is too long."""
    if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST:
        return None
    return next((place for place in SHORT_PLACES if os.access(place, os.W_OK)), None)
