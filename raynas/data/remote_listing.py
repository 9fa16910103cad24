"""The files behind a URI, listed folder by folder: a million objects are a thousand requests."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow.fs as pafs

from raynas.data.in_blocks import SILENCE, Say

_AT_A_TIME = 16  # folders that are listed
_LEVELS = 2  # of folders that are listed one by one: parts, and their classes


def remote_files(filesystem: pafs.FileSystem, root: str, say: Say) -> list[pafs.FileInfo]:
    """Return the files of a folder and of all folders in it, in any order.

    Args:
        filesystem: Where it lies.
        root: Its path there.
        say: Hears now and then how many are known.

    Raises:
        OSError: It is no folder, or one in it cannot be read.
    """
    found: list[pafs.FileInfo] = []
    folders, spoken = [root], time.monotonic()
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for level in range(_LEVELS + 1):
            inner: list[str] = []
            for infos in _listed(filesystem, folders, level == _LEVELS, threads):
                found += [info for info in infos if info.type == pafs.FileType.File]
                inner += [info.path for info in infos if info.type == pafs.FileType.Directory]
                if time.monotonic() >= spoken + SILENCE:
                    say(f"{'data':<9} listing files, {len(found):,} so far")
                    spoken = time.monotonic()
            folders = inner
    return found


def _listed(
    filesystem: pafs.FileSystem, folders: Sequence[str], whole: bool, threads: ThreadPoolExecutor
) -> Iterator[list[pafs.FileInfo]]:
    selectors = [pafs.FileSelector(folder, recursive=whole) for folder in folders]
    return threads.map(filesystem.get_file_info, selectors)
