"""The images of a group of rows, unpacked from Parquet into a file from which each can be read.

A row of a Parquet file cannot be had without those before it in its group, so that images in a
random order would read each group once for each of its rows. The file lies in the cache and holds
the rows back to back, then N + 1 offsets, N kinds, and N: a few reads fetch a row, and no more
than the row is held in memory.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

_OPEN = 64  # files that a process keeps open
_RESERVE = 0.05  # of a disk, which stays free


class Kind(IntEnum):
    """What a row holds."""

    NOTHING = 0
    BYTES = 1
    PATH = 2


class RowContent(NamedTuple):
    """A row: an encoded image, or a path in UTF-8."""

    kind: Kind
    content: bytes


class NoRoomError(Exception):
    """The cache takes no more, or may not be written to."""


def unpack(path: Path, rows: Iterable[RowContent], expected_bytes: int) -> None:
    """Write rows to a file that is there as a whole, or not at all.

    Args:
        path: The file.
        rows: In their order.
        expected_bytes: About how many there will be.

    Raises:
        NoRoomError: It cannot be written; whatever the rows raise is raised as it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(path.parent)
        file = tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False)  # noqa: SIM115
    except OSError as error:
        raise NoRoomError(str(error)) from error
    try:
        with file:
            _refuse_full(disk.free - expected_bytes, disk.total)
            _write(file, rows)
        Path(file.name).replace(path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _refuse_full(free: int, total: int) -> None:
    if free < _RESERVE * total:
        raise NoRoomError(f"{free / 2**30:.1f} GiB would be left of {total / 2**30:.1f}")


def _write(file: "tempfile._TemporaryFileWrapper[bytes]", rows: Iterable[RowContent]) -> None:
    ends, kinds = [0], list[int]()
    for kind, content in rows:  # may raise what reading raises
        _put(file, content)
        ends.append(ends[-1] + len(content))
        kinds.append(kind)
    _put(file, np.array(ends, np.int64).tobytes())
    _put(file, np.array(kinds, np.uint8).tobytes())
    _put(file, np.array([len(kinds)], np.int64).tobytes())
    try:
        file.flush()
    except OSError as error:
        raise NoRoomError(str(error)) from error


def _put(file: "tempfile._TemporaryFileWrapper[bytes]", content: bytes) -> None:
    try:
        file.write(content)
    except OSError as error:
        raise NoRoomError(str(error)) from error


def read_row(path: Path, row: int) -> RowContent:
    """Return a row of such a file.

    Raises:
        FileNotFoundError: It is not there.
    """
    opened = _opened(path)  # has a name until the end: closed is what the cache drops meanwhile
    file = opened.fileno()
    end = os.fstat(file).st_size - 8
    count = _number(file, end)
    offsets = end - count - 8 * (count + 1)
    first, last = _number(file, offsets + 8 * row), _number(file, offsets + 8 * (row + 1))
    kind = Kind(os.pread(file, 1, end - count + row)[0])
    return RowContent(kind, os.pread(file, last - first, first))


@lru_cache(maxsize=_OPEN)
def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _number(file: int, place: int) -> int:
    return int(np.frombuffer(os.pread(file, 8, place), np.int64)[0])
