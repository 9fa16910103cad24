"""The run folder: its tables and files, on a local path or any pyarrow filesystem URI.

A table is a folder of Parquet parts. A part has a name, and writing a name again replaces it:
work that is redone after a crash overwrites what it had written. Many parts can be compacted into
one file; they stay parts to whoever reads or replaces them by name.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from raynas import __version__
from raynas.errors import UserError
from raynas.storage import compaction
from raynas.storage.folder import Folder
from raynas.storage.schemas import SCHEMAS
from raynas.storage.schemas_beside_runs import COMPARISON
from raynas.storage.uris import shown

Row = Mapping[str, Any]
_SCHEMAS = {
    name: schema.with_metadata({**schema.metadata, "raynas_version": __version__})
    for name, schema in (SCHEMAS | {"comparison": COMPARISON}).items()
}
RUN_COPY = "checkpoints/run.parquet"
"""The row of ``runs`` again: it alone says of which settings everything else is."""
_RETRIES = 20
_NAMED = 6  # runs in a folder of runs
_DAMAGE = (
    "TProtocolException",
    "Corrupt",
    "decompress",
    "Unexpected end",
    "page header",
    "deserialize thrift",
)
_Found = TypeVar("_Found")


class DamagedError(UserError):
    """A file of a table is empty, cut off, or no Parquet file."""


class RunStore(Folder):
    """The only reader and writer of a run folder."""

    @classmethod
    def open(cls, uri: str) -> Self:
        """Open a run folder for reading.

        Raises:
            UserError: There is no run in that folder, or its row is lost.
        """
        store = cls(uri)
        if not store.rows("runs"):
            if store.has(RUN_COPY):
                raise UserError(
                    f"run folder {shown(uri)}: tables/runs is lost; the command that began the run "
                    "restores it from its copy"
                )
            if inner := store.inner_runs():
                raise UserError(
                    f"run folder {shown(uri)}: it holds runs ({runs_named(inner)}) and is none "
                    f"itself; name one of them, such as {store.locate(inner[0])}"
                )
            raise UserError(
                f"run folder {shown(uri)}: no run there (no tables/runs); check the path"
            )
        return store

    def inner_runs(self) -> list[str]:
        """Return the names of the run folders in this folder, as comparisons have them."""
        return [
            name
            for name in sorted(self.list_folders(), key=lambda name: (len(name), name))
            if self.list_files(f"{name}/tables/runs") or self.has(f"{name}/{RUN_COPY}")
        ]

    def append(self, table: str, rows: Sequence[Row], part: str) -> None:
        """Write rows as the part of that name, replacing an earlier part of the same name.

        Raises:
            KeyError: No such table, or a row with a column that the table does not have.
        """
        schema = _SCHEMAS[table]
        unknown = {name for row in rows for name in row} - set(schema.names)
        if unknown:
            raise KeyError(f"table {table} has no columns {sorted(unknown)}")
        content = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        self.append_table(table, content, part)

    def append_table(self, table: str, content: pa.Table, part: str) -> None:
        """Write all columns of a table as the part of that name, as ``append`` does."""
        sink = pa.BufferOutputStream()
        schema = _SCHEMAS[table]
        pq.write_table(content.select(schema.names).cast(schema), sink)
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
            self._write_compacted(table, lambda: self._pieces(table, parts=left))
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
                self._write_compacted(table, partial(self._pieces, table))
                for part in files:
                    self.delete(f"tables/{table}/{part}.parquet")

    def copy_table(self, table: str, source: "RunStore") -> None:
        """Replace a table by that of another run folder, compacted."""
        pieces = partial(source._pieces, table)  # noqa: SLF001 - another one of this class
        _settled(lambda: self._write_compacted(table, pieces))
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
        doing = f"reading the table {name}"
        pieces = _settled(
            lambda: self._patiently(doing, lambda: list(self._pieces(name, columns, parts)))
        )
        tables = [empty.select(columns or empty.column_names), *(rows for _, rows in pieces)]
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
        except UserError:  # of a part beside it
            raise
        except (ValueError, OSError, LookupError, TypeError) as error:
            if not _is_damage(error):
                raise
            raise self._damaged(f"{folder}/{compaction.FILE}", error) from error

    def _read_part(self, path: str, columns: Sequence[str] | None) -> pa.Table:
        content = pa.BufferReader(self.read_bytes(path))
        try:
            # parts are small, and a process that ends while Arrow's threads start may abort
            return pq.ParquetFile(content, pre_buffer=False).read(columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(path, error) from error

    def _damaged(self, path: str, error: Exception) -> DamagedError:
        why = str(error).partition("\n")[0]
        return DamagedError(
            f"run folder {self.uri}: {path} is damaged ({why}); the command that began the run "
            "puts it aside and makes again what can be made (launch/CLUSTER.md, lost files)"
        )

    def damaged(self, table: str) -> list[str]:
        """Return the files of a table that cannot be read to their end."""
        folder = f"tables/{table}"
        names = [n for n in sorted(self.list_files(folder)) if n.endswith(".parquet")]
        return [f"{folder}/{name}" for name in names if not self._is_readable(table, name)]

    def _is_readable(self, table: str, name: str) -> bool:
        try:
            if name != compaction.FILE:
                self._read_part(f"tables/{table}/{name}", None)
            else:
                with self._compacted(table) as compacted:
                    for part in compacted.parts:
                        compacted.read(part, None)
        except DamagedError:
            return False
        return True

    def _write_compacted(
        self, table: str, pieces: Callable[[], Iterable[compaction.Piece]]
    ) -> None:
        """Write a table's merged parts."""
        path, schema = f"tables/{table}/{compaction.FILE}", _SCHEMAS[table]
        self.write(path, lambda stream: compaction.write(stream, schema, pieces()))

    def rows_of_file(self, path: str, table: str) -> list[dict[str, Any]]:
        """Return the rows of one Parquet file, with the columns of a table.

        Raises:
            FileNotFoundError: There is no such file.
            DamagedError: It cannot be read.
        """
        tables = [_SCHEMAS[table].empty_table(), self._read_part(path, None)]
        rows: list[dict[str, Any]] = pa.concat_tables(tables, promote_options="default").to_pylist()
        return rows

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return a whole table as a list of dictionaries."""
        rows: list[dict[str, Any]] = self.table(name).to_pylist()
        return rows


def runs_named(names: Sequence[str]) -> str:
    """Return the first names of runs in a folder, for a sentence."""
    return ", ".join([*names[:_NAMED], *(["..."] if len(names) > _NAMED else [])])


def _is_damage(error: Exception) -> bool:
    """Return whether a file is to blame; else its storage, which may come back."""
    return not isinstance(error, OSError) or any(word in str(error) for word in _DAMAGE)


def _settled(read: Callable[[], _Found]) -> _Found:
    """Read again, some times, if a live run has compacted or dropped parts meanwhile."""
    for _ in range(_RETRIES):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()
