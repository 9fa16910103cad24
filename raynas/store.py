"""The run folder: its tables and files, on a local path or any pyarrow filesystem URI.

A table is a folder of Parquet parts. A part has a name, and writing a name again replaces it:
work that is redone after a crash overwrites what it had written. Every file appears whole or
not at all (a rename locally, a finished upload in an object store), and what fails for a moment
is tried again. Many parts can be compacted into one file; they stay parts to whoever reads or
replaces them by name.
"""

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raynas import compaction
from raynas.errors import UserError
from raynas.locations import inside, shown
from raynas.patience import StorageError, patiently
from raynas.tables import COMPARISON, SCHEMAS

Row = Mapping[str, Any]
_SCHEMAS = SCHEMAS | {"comparison": COMPARISON}
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}")
_CHUNK = 2**22  # bytes of an upload
_RETRIES = 20
_Found = TypeVar("_Found")


class RunStore:
    """The only reader and writer of a run folder; a picklable value without open files.

    Attributes:
        address: Its absolute path or URI, with which it can be opened again.
        uri: The same without keys and passwords, for messages and tables.
        name: The last part of its path.
        written: Bytes written by this object so far.
    """

    def __init__(self, uri: str) -> None:
        """Point at a run folder, which need not exist.

        Args:
            uri: A local path or a URI such as ``s3://bucket/run``.
        """
        self.address = uri if "://" in uri else str(Path(uri).expanduser().absolute())
        self.uri = shown(self.address)
        try:
            filesystem, path = pafs.FileSystem.from_uri(self.address)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                shown(f"run folder {uri}: not a path or URI that works: {error}")
            ) from error
        self.name = path.rstrip("/").rsplit("/", 1)[-1]
        self.written = 0
        self._is_local = isinstance(filesystem, pafs.LocalFileSystem)
        self._files = pafs.SubTreeFileSystem(path, filesystem)

    @classmethod
    def create(cls, uri: str) -> Self:
        """Open a run folder for writing and create it where it is missing.

        Raises:
            UserError: The folder cannot be written.
        """
        store = cls(uri)
        try:
            store.write_bytes(".writable", b"")
            store.delete(".writable")
        except StorageError as error:
            raise UserError(
                f"run folder {store.uri}: cannot write there ({error.__cause__}); choose another "
                "--run"
            ) from error
        return store

    @property
    def local_folder(self) -> Path | None:
        """The run folder on this machine's file system; None where it is an object store."""
        return Path(self._files.base_path) if self._is_local else None

    def refuse_unwritable(self) -> None:
        """Say early, without making anything, that a local run folder cannot be written.

        Raises:
            UserError: The nearest folder that exists is none, or may not be written.
        """
        path = self.local_folder
        if path is None:
            return
        nearest = next(parent for parent in (path, *path.parents) if parent.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise UserError(f"run folder {path}: {nearest} cannot be written; choose another --run")

    @classmethod
    def open(cls, uri: str) -> Self:
        """Open a run folder for reading.

        Raises:
            UserError: There is no run in that folder.
        """
        store = cls(uri)
        if not store.rows("runs"):
            raise UserError(
                f"run folder {shown(uri)}: no run there (no tables/runs); check the path"
            )
        return store

    def append(self, table: str, rows: Sequence[Row], part: str) -> None:
        """Write rows as the part of that name, replacing an earlier part of the same name.

        Raises:
            KeyError: No such table, or a row with a column that the table does not have.
        """
        schema = _SCHEMAS[table]
        unknown = {name for row in rows for name in row} - set(schema.names)
        if unknown:
            raise KeyError(f"table {table} has no columns {sorted(unknown)}")
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), sink)
        self.write_bytes(f"tables/{table}/{part}.parquet", sink.getvalue().to_pybytes())

    def parts(self, table: str) -> list[str]:
        """Return the names of a table's parts in order."""
        files = self._part_files(table)
        with self._compacted(table) as compacted:
            return sorted(files.union(compacted.parts))

    def drop(self, table: str, outdated: Callable[[str], bool]) -> None:
        """Delete the parts whose name is outdated."""
        folder = f"tables/{table}"
        with self._compacted(table) as compacted:
            merged = compacted.parts
        left = [part for part in merged if not outdated(part)]
        if merged and not left:
            self.delete(f"{folder}/{compaction.FILE}")
        elif left != merged:  # before the files, which hide what they were merged into
            self._write_compacted(table, self._pieces(table, parts=left))
        for part in filter(outdated, self._part_files(table)):
            self.delete(f"{folder}/{part}.parquet")

    def compact(self, *tables: str) -> None:
        """Merge the parts of tables into one file each; a crash half-way loses no row.

        Args:
            tables: Their names; none: all tables of a run.
        """
        for table in tables or SCHEMAS:
            files = self._part_files(table)
            if len(files) + self.has(f"tables/{table}/{compaction.FILE}") > 1:
                self._write_compacted(table, self._pieces(table))
                for part in files:
                    self.delete(f"tables/{table}/{part}.parquet")

    def copy_table(self, table: str, source: "RunStore") -> None:
        """Replace a table by that of another run folder, compacted."""
        _settled(lambda: self._write_compacted(table, source._pieces(table)))  # noqa: SLF001
        for part in self._part_files(table):
            self.delete(f"tables/{table}/{part}.parquet")

    def table(
        self, name: str, columns: Sequence[str] | None = None, parts: Collection[str] | None = None
    ) -> pa.Table:
        """Return a table; one that was never written has no rows.

        Args:
            name: Its name.
            columns: Those to read; None: all.
            parts: Names of the parts to read; None: all.
        """
        empty = _SCHEMAS[name].empty_table()
        pieces = _settled(lambda: [rows for _, rows in self._pieces(name, columns, parts)])
        tables = [empty.select(columns or empty.column_names), *pieces]
        return pa.concat_tables(tables, promote_options="default")

    def _pieces(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        parts: Collection[str] | None = None,
    ) -> Iterator[compaction.Piece]:
        """Yield parts in the order of their names.

        Raises:
            FileNotFoundError: A live run has compacted or dropped one since this began.
        """
        files = self._part_files(name)
        # opened after the listing: what is missing there has been compacted
        with self._compacted(name) as compacted:
            found = files.union(compacted.parts)
            for part in sorted(found if parts is None else found.intersection(parts)):
                path = f"tables/{name}/{part}.parquet"
                yield (
                    part,
                    (
                        self._read_part(path, columns)
                        if part in files
                        else compacted.read(part, columns)
                    ),
                )

    def _part_files(self, table: str) -> set[str]:
        """Return the names of the parts that are files of their own."""
        names = set(self.list_files(f"tables/{table}")) - {compaction.FILE}
        return {name.removesuffix(".parquet") for name in names if name.endswith(".parquet")}

    @contextmanager
    def _compacted(self, table: str) -> Iterator[compaction.Compacted]:
        """Open a table's merged parts."""
        folder = f"tables/{table}"
        try:
            with compaction.opened(self._files, folder) as compacted:
                yield compacted
        except pa.ArrowInvalid as error:
            raise self._damaged(f"{folder}/{compaction.FILE}", error) from error

    def _read_part(self, path: str, columns: Sequence[str] | None) -> pa.Table:
        content = pa.BufferReader(self.read_bytes(path))
        try:
            # parts are small, and a process that ends while Arrow's threads start may abort
            return pq.ParquetFile(content, pre_buffer=False).read(columns, use_threads=False)
        except pa.ArrowInvalid as error:
            raise self._damaged(path, error) from error

    def _damaged(self, path: str, error: Exception) -> UserError:
        return UserError(
            f"run folder {self.uri}: {path} is damaged ({error}); delete that file and "
            "run the same command again"
        )

    def _write_compacted(self, table: str, pieces: Iterable[compaction.Piece]) -> None:
        """Write a table's merged parts so that they appear whole or not at all."""
        folder, schema = f"tables/{table}", _SCHEMAS[table]
        path, hidden = f"{folder}/{compaction.FILE}", f"{folder}/.{compaction.FILE}"
        self._files.create_dir(folder, recursive=True)
        if self._is_local:
            with self._files.open_output_stream(hidden) as stream:
                compaction.write(stream, schema, pieces)
            self._files.move(hidden, path)
            return
        with tempfile.TemporaryFile() as spool:  # a begun upload appears, however it ends
            compaction.write(spool, schema, pieces)
            spool.seek(0)
            with self._files.open_output_stream(path) as stream:
                shutil.copyfileobj(spool, stream, _CHUNK)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return a whole table as a list of dictionaries."""
        rows: list[dict[str, Any]] = self.table(name).to_pylist()
        return rows

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file of the run folder so that it appears whole or not at all.

        Raises:
            StorageError: Here and below: the storage goes on failing, is full, or forbids it.
        """
        self._patiently(f"writing {path}", lambda: self._write(path, content))
        self.written += len(content)

    def _write(self, path: str, content: bytes) -> None:
        parent, _, name = path.rpartition("/")
        self._files.create_dir(parent or ".", recursive=True)
        target = f"{parent}/.{name}.{uuid.uuid4().hex}" if self._is_local else path
        try:
            with self._files.open_output_stream(target) as stream:
                stream.write(content)
            if target != path:
                self._files.move(target, path)
        except OSError:
            if target != path:
                with contextlib.suppress(OSError):
                    self._files.delete_file(target)
            raise

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file of the run folder.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self._patiently(f"reading {path}", lambda: self._read(path))

    def _read(self, path: str) -> bytes:
        with self._files.open_input_file(path) as stream:
            content: bytes = stream.read()
        return content

    def has(self, path: str) -> bool:
        """Return whether the run folder holds that file."""
        info = self._patiently("looking", lambda: self._files.get_file_info(path))
        return bool(info.type == pafs.FileType.File)

    def delete(self, path: str) -> None:
        """Delete a file of the run folder."""
        self._patiently(f"deleting {path}", lambda: self._files.delete_file(path))

    def list_files(self, folder: str) -> list[str]:
        """Return the names of the visible files in a folder of the run folder."""
        selector = pafs.FileSelector(folder, allow_not_found=True)
        infos = self._patiently(f"listing {folder}", lambda: self._files.get_file_info(selector))
        return [
            info.base_name
            for info in infos
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        ]

    def size(self) -> int:
        """Return the bytes that the run folder takes."""
        selector = pafs.FileSelector("", recursive=True, allow_not_found=True)
        infos = self._patiently("listing", lambda: self._files.get_file_info(selector))
        return sum(info.size or 0 for info in infos)

    def sweep(self) -> None:
        """Delete what writers that were killed have left behind, half-written and hidden."""
        # not ".", which is a file like any other to an object store
        selector = pafs.FileSelector("", recursive=True, allow_not_found=True)
        for info in self._patiently("listing", lambda: self._files.get_file_info(selector)):
            if _HALF_WRITTEN.fullmatch(info.base_name):
                self.delete(info.path)

    def _patiently(self, doing: str, work: Callable[[], _Found]) -> _Found:
        return patiently(work, f"run folder {self.uri}: {doing}")

    def locate(self, path: str) -> str:
        """Return the full path or URI of a file of the run folder, for a person to read."""
        return inside(self.uri, path)


def _settled(read: Callable[[], _Found]) -> _Found:
    """Read again, some times, if a live run has compacted or dropped parts meanwhile."""
    for _ in range(_RETRIES):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()
