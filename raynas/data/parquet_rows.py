"""Rows of Parquet files that hold an image each, opened one by one."""

import contextlib
import hashlib
import io
import logging
import posixpath
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from PIL import Image

from raynas.data.encoded_images import Opener
from raynas.data.file_listing import readable
from raynas.data.file_opening import FileOpener, stream_opener
from raynas.data.unpacked_rows import Kind, NoRoomError, RowContent, read_row, unpack
from raynas.storage.retry import patiently

_LOG = logging.getLogger(__name__)
_UNPACKING = threading.Lock()
_PIECE = 2**26  # bytes of images read at a time; Arrow holds 2 GiB in a piece of such a column
_ROWS = 256  # read at a time at most, since images that repeat are stored once and count as small
BUFFER = 2**23  # bytes of a file read at a time; else a whole column of a row group


@dataclass(frozen=True)
class RowFile:
    """A Parquet file whose rows are images.

    Attributes:
        path: Where it lies in its file system.
        column: The one that holds the images.
        starts: The first row of each group, and the number of rows.
        stamp: Tells whether it has changed since: its size and time.
    """

    path: str
    column: str
    starts: tuple[int, ...]
    stamp: tuple[int, int]


@dataclass(frozen=True)
class Rows:
    """Parquet files whose rows are images.

    Attributes:
        filesystem: Where they lie.
        root: The folder of the data, from which paths in rows lead.
        files: By their paths in that folder, as people can read them.
        cache: The folder into which groups of rows are unpacked.
    """

    filesystem: pafs.FileSystem
    root: str
    files: Mapping[str, RowFile]
    cache: str
    _groups: dict[tuple[str, int], "RowGroup"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def name(self, path: bytes, row: int | None) -> str:
        """Return the file and the row."""
        return f"{path.decode()} row {row}"

    def opener(self, path: bytes, group: int | None, row: int | None) -> Opener:
        """Return what opens a row."""
        assert group is not None
        assert row is not None
        name = path.decode()
        if (name, group) not in self._groups:
            self._groups[name, group] = self._group(self.files[name], group)
        return RowOpener(self._groups[name, group], row - self.files[name].starts[group], self.root)

    def _group(self, file: RowFile, group: int) -> "RowGroup":
        first, last = file.starts[group : group + 2]
        opener = FileOpener(self.filesystem, file.path)
        return RowGroup(opener, file.column, group, last - first, file.stamp, self.cache)


@dataclass(frozen=True)
class RowGroup:
    """A group of rows of a Parquet file.

    Attributes:
        file: The file.
        column: Holds the images.
        number: Of the group in the file.
        rows: How many it has.
        stamp: The size of the file and when it was written.
        cache: The folder into which it is unpacked.
    """

    file: FileOpener
    column: str
    number: int
    rows: int
    stamp: tuple[int, int]
    cache: str

    def read(self, row: int) -> RowContent:
        """Return a row, from the cache where that can hold the group."""
        path = self._unpacked
        with contextlib.suppress(OSError):
            return read_row(path, row)
        try:
            patiently(self._unpack, f"--data: reading {readable(self.file.path)}")
        except NoRoomError as error:
            _say_no_room(self.cache, str(error))
            return next(content for number, content in enumerate(self._rows()) if number == row)
        return read_row(path, row)

    def _unpack(self) -> None:
        with _UNPACKING:  # threads that read neighbours wait for one of them
            if not self._unpacked.exists():
                self._unpack_now()

    def _unpack_now(self) -> None:
        with stream_opener(self.file.filesystem)(self.file.path) as content:
            group = pq.ParquetFile(content).metadata.row_group(self.number)
        unpack(self._unpacked, self._rows(), image_bytes(group, self.column))

    @cached_property
    def _unpacked(self) -> Path:
        what = repr((self.file.filesystem.type_name, self.file.path, self.column, self.number))
        what += repr((self.rows, self.stamp))
        digest = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return Path(self.cache).expanduser() / "rows" / digest[:2] / digest

    def _rows(self) -> Iterator[RowContent]:
        try:
            yield from self._read()
        except OSError as error:
            if error.errno is None and isinstance(self.file.filesystem, pafs.LocalFileSystem):
                raise ValueError(str(error)) from error  # the file is broken, not the disk
            raise

    def _read(self) -> Iterator[RowContent]:
        with stream_opener(self.file.filesystem)(self.file.path) as content:
            parquet = pq.ParquetFile(content, buffer_size=BUFFER)
            mean = image_bytes(parquet.metadata.row_group(self.number), self.column) // self.rows
            rows = min(max(_PIECE // max(mean, 1), 1), _ROWS)
            columns = [self.column]
            for batch in parquet.iter_batches(rows, row_groups=[self.number], columns=columns):
                yield from _contents(batch.column(self.column))


def image_bytes(group: pq.RowGroupMetaData, column: str) -> int:
    """Return the bytes of a column of images in a group of rows."""
    chunks = map(group.column, range(group.num_columns))
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema.startswith(f"{column}.")
    )


def _contents(structs: pa.StructArray) -> Iterator[RowContent]:
    """Yield what each row holds: bytes, or where it has none a path."""
    names = [field.name for field in structs.type]
    fields = dict(zip(names, structs.flatten(), strict=True))
    nothing = pa.nulls(len(structs), pa.binary())
    contents = fields.get("bytes", nothing)
    if pa.types.is_binary_view(contents.type) or pa.types.is_null(contents.type):
        contents = contents.cast(pa.large_binary())
    lengths = pc.fill_null(pc.binary_length(contents), 0).to_pylist()
    paths = fields.get("path", nothing)
    for row, length in enumerate(lengths):
        if length:
            yield RowContent(Kind.BYTES, contents[row].as_py())
        elif path := paths[row].as_py():
            yield RowContent(Kind.PATH, path.encode())
        else:
            yield RowContent(Kind.NOTHING, b"")


@lru_cache
def _say_no_room(cache: str, why: str) -> None:
    _LOG.warning(
        "%s: rows of Parquet files cannot be unpacked there (%s), so that each image costs the "
        "reading of its group of rows; free some space, or name another folder by --images.cache",
        cache,
        why,
    )


@dataclass(frozen=True)
class RowOpener:
    """Opens a row.

    Attributes:
        group: The group of rows that it is in.
        row: Its number there.
        root: The folder of the data, below which a path in the row must lead.
    """

    group: RowGroup
    row: int
    root: str

    @property
    def file(self) -> FileOpener:
        """The Parquet file."""
        return self.group.file

    def __call__(self) -> Image.Image:
        """Open it, or where it has no bytes the file at its path."""
        kind, content = self.group.read(self.row)
        if kind is Kind.BYTES:
            return Image.open(io.BytesIO(content))
        if kind is Kind.NOTHING:
            raise ValueError("it has neither bytes nor a path")
        return self._at(content.decode())()

    def _at(self, path: str) -> FileOpener:
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(self.file.path), path))
        if posixpath.isabs(path) or not whole.startswith(f"{self.root}/"):
            raise ValueError(
                f"it has no bytes, and its path {path} is none below --data from its file on"
            )
        return FileOpener(self.file.filesystem, whole, said=path)
