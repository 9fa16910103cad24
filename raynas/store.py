"""The run folder: its tables and files, on a local path or any pyarrow filesystem URI.

A table is a folder of Parquet parts. A part has a name, and writing a name again replaces it:
work that is redone after a crash overwrites what it had written. Every file appears whole or
not at all (a rename locally, a finished upload in an object store), and what fails for a moment
is tried again.
"""

import contextlib
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raynas.errors import UserError
from raynas.locations import inside, shown
from raynas.patience import StorageError, patiently
from raynas.tables import COMPARISON, SCHEMAS

Row = Mapping[str, Any]
_SCHEMAS = SCHEMAS | {"comparison": COMPARISON}
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}")
_Found = TypeVar("_Found")


class RunStore:
    """The only reader and writer of a run folder; a picklable value without open files.

    Attributes:
        address: Its absolute path or URI, with which it can be opened again.
        uri: The same without keys and passwords, for messages and tables.
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
        names = self.list_files(f"tables/{table}")
        return sorted(name.removesuffix(".parquet") for name in names if name.endswith(".parquet"))

    def drop(self, table: str, outdated: Callable[[str], bool]) -> None:
        """Delete the parts whose name is outdated."""
        for part in filter(outdated, self.parts(table)):
            self.delete(f"tables/{table}/{part}.parquet")

    def table(self, name: str) -> pa.Table:
        """Return a whole table; one that was never written has no rows."""
        tables = [_SCHEMAS[name].empty_table()]
        for part in self.parts(name):
            path = f"tables/{name}/{part}.parquet"
            try:
                content = pa.BufferReader(self.read_bytes(path))
                # parts are small, and a process that ends while Arrow's threads start may abort
                tables.append(pq.read_table(content, use_threads=False, pre_buffer=False))
            except FileNotFoundError:
                continue  # a live run dropped it between the listing and the reading
            except pa.ArrowInvalid as error:
                raise UserError(
                    f"run folder {self.uri}: {path} is damaged ({error}); delete that file and "
                    "run the same command again"
                ) from error
        return pa.concat_tables(tables, promote_options="default")

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

    def sweep(self) -> None:
        """Delete what writers that were killed have left behind, half-written and hidden."""
        if not self._is_local:
            return  # an object store shows what is whole alone
        selector = pafs.FileSelector(".", recursive=True)
        for info in self._patiently("listing", lambda: self._files.get_file_info(selector)):
            if _HALF_WRITTEN.fullmatch(info.base_name):
                self.delete(info.path)

    def _patiently(self, doing: str, work: Callable[[], _Found]) -> _Found:
        return patiently(work, f"run folder {self.uri}: {doing}")

    def locate(self, path: str) -> str:
        """Return the full path or URI of a file of the run folder, for a person to read."""
        return inside(self.uri, path)
