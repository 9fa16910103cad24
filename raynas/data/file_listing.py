"""Which files a folder holds: each real file once, and none that a system has left there.

On a local disk names are bytes, and some of them are no UTF-8; they are read all the same. A link
is followed unless what it leads to is read anyway, so none can go round in circles. Files are read
by their endings: what has none, such as a blob in a cache of Hugging Face, is read by its link.
"""

import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from raynas.data.in_blocks import Say, silent
from raynas.data.remote_listing import remote_files

_LEFT_OVER = frozenset(
    (
        # network storage: thumbnails, deleted files, earlier states
        "#recycle",
        "#snapshot",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@synoresource",
        "@tmp",
        "~snapshot",
        # Windows
        "$recycle.bin",
        "found.000",
        "recycler",
        "system volume information",
        # macOS, and servers that it writes to
        "__macosx",
        "network trash folder",
        "temporary items",
        # file systems, and programs that synchronise
        "_gsdata_",
        "lost+found",
    )
)
IMAGE_ENDINGS = frozenset(
    "jpg jpeg jpe jfif png bmp gif webp avif tif tiff ppm pgm pbm pnm jp2".split()  # noqa: SIM905
)
_AGAIN = "links to what is read anyway"
_NOWHERE = "links to nothing"


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        paths: What opens each, by its path in the folder as people can read it, in its order.
        stamps: The size of each in bytes and when it was written, in nanoseconds.
        passed_over: Folders that a system has made, and links, such as "@eaDir/ (2)".
    """

    paths: dict[str, str]
    stamps: dict[str, tuple[int, int]]
    passed_over: tuple[str, ...]


def is_left_over(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that systems make beside people's own."""
    return name.startswith(".") or name.lower() in _LEFT_OVER


def ending(path: str) -> str:
    """Return the ending of a file's name in lower case, without the dot, or words for none."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else "without an ending"


def readable(path: str) -> str:
    r"""Return a path as text that can be written anywhere; bytes that are no UTF-8 as ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_file(filesystem: pafs.FileSystem, path: str) -> bool:
    """Return whether a path is that of a file.

    Raises:
        OSError: There is nothing, or it cannot be told.
    """
    if isinstance(filesystem, pafs.LocalFileSystem):
        return stat.S_ISREG(Path(path).stat().st_mode)
    return bool(filesystem.get_file_info(path).type == pafs.FileType.File)


def list_files(filesystem: pafs.FileSystem, root: str, say: Say = silent) -> Listing:
    """Return the files of a folder and of all folders in it.

    Args:
        filesystem: Where it lies.
        root: Its path there.
        say: Hears now and then how many files of a remote one are known.

    Raises:
        OSError: It is no folder, or one in it cannot be read.
    """
    if isinstance(filesystem, pafs.LocalFileSystem):
        return list_local_files(root)
    infos = remote_files(filesystem, root, say)
    found = {info.path[len(root) + 1 :]: info for info in infos}
    files, left = [], set()
    for file in found:
        pieces = file.split("/")
        first = next((at for at, piece in enumerate(pieces) if is_left_over(piece)), None)
        if first is None:
            files.append(file)
        else:
            left.add("/".join(pieces[: first + 1]))
    counts = Counter(path.rpartition("/")[2] for path in left)
    paths = {file: f"{root}/{file}" for file in sorted(files)}
    stamps = {file: (found[file].size or 0, found[file].mtime_ns or 0) for file in paths}
    return Listing(paths, stamps, _words(counts))


def list_local_files(root: str) -> Listing:
    """Return the same of a folder on this machine."""
    walk = _Walk(os.fsencode(root))
    found = sorted((path.decode("utf-8", "backslashreplace"), path) for path in walk.files)
    paths = {name: os.fsdecode(_join(walk.root, path)) for name, path in found}
    return Listing(paths, {name: file_stamp(paths[name]) for name in paths}, _words(walk.left))


def file_stamp(path: str) -> tuple[int, int]:
    """Return the size of a file in bytes and when it was written; zeros if it is gone."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a hundred thousand times
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _words(left: Counter[str]) -> tuple[str, ...]:
    shown = {name: count for name, count in left.most_common() if not name.startswith(".")}
    return tuple(
        f"{name if name in {_AGAIN, _NOWHERE} else f'{name}/'} ({count:,})"
        for name, count in shown.items()
    )


class _Walk:
    """Goes through a folder on a local disk, and only then follows its links.

    Attributes:
        root: The folder.
        files: Paths in it.
        left: What was passed over, counted.
    """

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.files: list[bytes] = []
        self.left: Counter[str] = Counter()
        self._entered: set[bytes] = set()  # folders, without links in their paths
        self._links: list[bytes] = []
        self._enter(b"", os.path.realpath(root))
        to_files: dict[bytes, bytes] = {}
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._follow(link, to_files)
        self._take(to_files)

    def _enter(self, folder: bytes, real: bytes) -> None:
        """Take the files of a folder and of those in it."""
        folders = [(folder, real)]
        while folders:
            folder, real = folders.pop()
            if real in self._entered:
                self.left[_AGAIN] += 1
                continue
            self._entered.add(real)
            with os.scandir(_join(self.root, folder)) as entries:
                for entry in entries:
                    path = _join(folder, entry.name)
                    if is_left_over(name := os.fsdecode(entry.name)):
                        self.left[name] += 1
                    elif entry.is_symlink():
                        self._links.append(path)
                    elif entry.is_dir():
                        folders.append((path, _join(real, entry.name)))
                    elif entry.is_file():
                        self.files.append(path)

    def _follow(self, link: bytes, to_files: dict[bytes, bytes]) -> None:
        """Enter the folder that a link leads to, or note the file for later."""
        path = _join(self.root, link)
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - paths are bytes
        except OSError:
            self.left[_NOWHERE] += 1
            return
        real = os.path.realpath(path)
        if stat.S_ISREG(mode):
            to_files[link] = real
        elif stat.S_ISDIR(mode):
            if _holds(real, os.path.realpath(os.path.dirname(path))):  # noqa: PTH120
                self.left[_AGAIN] += 1
            else:
                self._enter(link, real)

    def _take(self, links: dict[bytes, bytes]) -> None:
        """Take the files that links lead to and that have not been taken."""
        taken = set()
        for link, real in sorted(links.items()):
            if real in taken or (self._is_listed(real) and _is_data(real) >= _is_data(link)):
                self.left[_AGAIN] += 1
            else:
                taken.add(real)
                self.files.append(link)

    def _is_listed(self, real: bytes) -> bool:
        folder, _, name = real.rpartition(b"/")
        return folder in self._entered and not is_left_over(os.fsdecode(name))


def _is_data(path: bytes) -> bool:
    """Return whether a file is read, by its ending."""
    return ending(os.fsdecode(path)) in {"parquet", *IMAGE_ENDINGS}


def _join(folder: bytes, name: bytes) -> bytes:
    if not (name and folder):
        return folder or name
    return folder + name if folder.endswith(b"/") else folder + b"/" + name


def _holds(folder: bytes, inner: bytes) -> bool:
    """Return whether a folder is another, or holds it."""
    return _join(inner, b"x").startswith(os.path.join(folder, b""))  # noqa: PTH118
