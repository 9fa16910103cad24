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


@contextmanager
def sockets_in_short_places() -> Iterator[None]:
    """Let ``tempfile`` choose a short place meanwhile, if its own is too long for a socket."""
    with _CHOOSING:
        before, usual = tempfile.tempdir, tempfile.gettempdir()
        if len(os.fsencode(usual)) > _LONGEST:
            usable = (place for place in SHORT_PLACES if os.access(place, os.W_OK))
            tempfile.tempdir = next(usable, usual)
        try:
            yield
        finally:
            tempfile.tempdir = before
