"""Files that hold an image each: opened from where they lie, in a disk or behind a URI."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
from PIL import Image

from raynas.data.encoded_images import Opener, RawImage
from raynas.data.file_listing import readable
from raynas.storage.retry import StorageError, is_final, patiently

_HEAD = 2**15  # bytes, which mostly hold what an image says of itself


@dataclass(frozen=True)
class FileOpener:
    """Opens a file.

    Attributes:
        filesystem: Where it lies.
        path: Its path there.
        said: Its path as a row of a table holds it in the place of bytes; None: no row does.
    """

    filesystem: pafs.FileSystem
    path: str
    said: str | None = None

    def __call__(self) -> Image.Image:
        """Open it."""
        return Image.open(io.BytesIO(self._content(None)))

    def header(self) -> Image.Image:
        """Open it of its first bytes, if they are enough; it cannot be decoded then."""
        try:
            return Image.open(io.BytesIO(self._content(_HEAD)))
        except StorageError:
            raise
        except Exception:  # noqa: BLE001 - whatever a decoder makes of half a file
            return self()

    def _content(self, size: int | None) -> bytes:
        try:
            return patiently(
                lambda: _content(self.filesystem, self.path, size), f"--data: reading {self.path}"
            )
        except FileNotFoundError as error:
            if self.said is None:
                raise
            raise FileNotFoundError(
                f"it has no bytes, and there is no file {self.said} beside its Parquet file"
            ) from error
        except StorageError as error:
            if isinstance(error.__cause__, OSError) and is_final(error.__cause__):
                raise error.__cause__ from None  # this file alone; it counts as a broken one
            raise


def _content(filesystem: pafs.FileSystem, path: str, size: int | None) -> bytes:
    if isinstance(filesystem, pafs.LocalFileSystem):  # Arrow's names must be UTF-8
        with Path(path).open("rb") as file:
            return file.read(-1 if size is None else size)
    with filesystem.open_input_file(path) as stream:
        content: bytes = stream.read(size)
    return content


@dataclass(frozen=True)
class Folder:
    """A folder whose files are images.

    Attributes:
        filesystem: Where it lies.
        root: Its path there.
    """

    filesystem: pafs.FileSystem
    root: str

    def name(self, path: bytes, row: int | None) -> str:
        """Return a file's path as people can read it."""
        del row
        return readable(os.fsdecode(path))

    def opener(self, path: bytes, group: int | None, row: int | None) -> Opener:
        """Return what opens a file."""
        del group, row
        return FileOpener(self.filesystem, f"{self.root}/{os.fsdecode(path)}")


def stream_opener(filesystem: pafs.FileSystem) -> Callable[[str], pa.NativeFile]:
    """Return what opens a file to be read at any place of it."""
    if isinstance(filesystem, pafs.LocalFileSystem):  # which takes no names but UTF-8
        return lambda path: pa.OSFile(os.fsencode(path))
    opener: Callable[[str], pa.NativeFile] = filesystem.open_input_file
    return opener


def local_file(image: RawImage) -> str | None:
    """Return the path that opens an image; None: it is no file of this machine."""
    file = getattr(image.open, "file", image.open)  # the Parquet file of a row
    if isinstance(file, FileOpener) and isinstance(file.filesystem, pafs.LocalFileSystem):
        return file.path
    return None
