"""A table's parts merged into one Parquet file that knows which of its rows were which part.

A part that lies beside the merged file wins over the rows in there: it is the same or newer. So
a table is whole at every moment while its parts are merged and then deleted one by one. Row
groups hold whole parts and are written and read one at a time, so memory stays flat.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

FILE = "compacted.parquet"
_PARTS = b"raynas.parts"  # key of the metadata: for each row group, names and rows of its parts
_GROUP_ROWS = 100_000

Piece = tuple[str, pa.Table]
"""A part's name and rows."""


class Compacted:
    """The merged parts of a table; without a file it has none."""

    def __init__(self, source: pa.NativeFile | None) -> None:
        """Read which parts there are.

        Args:
            source: The open file, which must stay open while parts are read.
        """
        self._file: Any = None
        groups = []
        if source is not None:
            self._file = pq.ParquetFile(source, pre_buffer=False)
            groups = json.loads(self._file.metadata.metadata[_PARTS])
        self._places: dict[str, tuple[int, int, int]] = {}  # row group, first row, rows
        for group, parts in enumerate(groups):
            first = 0
            for part, rows in parts:
                self._places[part] = group, first, rows
                first += rows
        self._group = -1
        self._rows: Any = None  # of that group, for the parts that follow

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""
        return list(self._places)

    def read(self, part: str, columns: Sequence[str] | None) -> pa.Table:
        """Return a part's rows; all parts must be asked for the same columns."""
        group, first, rows = self._places[part]
        if group != self._group:
            self._rows = self._file.read_row_group(group, columns, use_threads=False)
            self._group = group
        return self._rows.slice(first, rows)


@contextmanager
def opened(files: pafs.FileSystem, folder: str) -> Iterator[Compacted]:
    """Open the merged parts of the table in a folder, if it has any."""
    try:
        source = files.open_input_file(f"{folder}/{FILE}")
    except (FileNotFoundError, NotADirectoryError):
        source = None
    try:
        yield Compacted(source)
    finally:
        if source is not None:
            source.close()


def write(sink: Any, schema: pa.Schema, pieces: Iterable[Piece]) -> None:
    """Merge parts into a Parquet file.

    Args:
        sink: An open binary file.
        schema: Of the table; a column that an older part lacks becomes null.
        pieces: The parts in their order.
    """
    groups = []
    with pq.ParquetWriter(sink, schema) as writer:
        for group in _grouped(pieces):
            tables = [schema.empty_table(), *(table for _, table in group)]
            rows = pa.concat_tables(tables, promote_options="default").select(schema.names)
            writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
            groups.append([(part, table.num_rows) for part, table in group])
        writer.add_key_value_metadata({_PARTS: json.dumps(groups).encode()})


def _grouped(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield whole parts that fill a row group together."""
    group: list[Piece] = []
    rows = 0
    for part, table in pieces:
        group.append((part, table))
        rows += table.num_rows
        if rows >= _GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
