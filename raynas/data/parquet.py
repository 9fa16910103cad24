"""Parquet files in the layout of Hugging Face: image is a struct with bytes, label its class."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raynas.data.file_listing import Listing
from raynas.data.file_opening import stream_opener
from raynas.data.image_index import ImageIndex, Source, image_index
from raynas.data.parquet_columns import Columns, columns_of
from raynas.data.parquet_labels import Labels, numbered
from raynas.data.parquet_parts import part_of_file, parts_of_rows, refuse_undecided
from raynas.data.parquet_rows import BUFFER, RowFile, Rows
from raynas.data.part_names import PartName, parts_said, place_said
from raynas.errors import UserError


@dataclass(frozen=True)
class _File:
    """What a file says of its images.

    Attributes:
        name: Its path in the data.
        rows: Where its images lie.
        labels: Of each row.
        parts: Of each row.
    """

    name: str
    rows: RowFile
    labels: Labels
    parts: Sequence[PartName | None]

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """The group of each row."""
        lengths = np.diff(self.rows.starts)
        return np.repeat(np.arange(len(lengths)), lengths)


def read_parquet(  # noqa: PLR0913 - where the data lie, and what a person says of them
    data: str,
    filesystem: pafs.FileSystem,
    root: str,
    listing: Listing,
    cache: str,
    parts: str | None = None,
) -> Source:
    """Return the images of some files, whose names and columns may tell which part they are.

    Labels and parts alone are read; the images stay where they are.

    Args:
        data: For messages.
        filesystem: Where the files lie.
        root: The folder that holds them.
        listing: The files.
        cache: The folder into which rows are unpacked when they are opened.
        parts: Which files or folders are parts, as ``--images.parts`` says it.

    Raises:
        UserError: A file without such columns, with labels that name no class, or with rows of
            which nothing says whether they may be trained on.
    """
    said = parts_said(parts)
    names = [file for file in listing.paths if file.endswith(".parquet")]
    taken = _taken(data, names, said)
    files = [_read(data, name, filesystem, listing, said) for name in taken]
    numbers, class_names = numbered(data, [file.labels for file in files])
    places = Rows(filesystem, root, {file.name: file.rows for file in files}, cache)
    images = _index(files, numbers, places)
    refuse_undecided(data, images)
    outside = sorted(set(names).difference(taken))
    return Source(
        images,
        class_names,
        passed_over=tuple(f"{file} (outside of the parts)" for file in outside),
    )


def _taken(data: str, files: Sequence[str], said: Mapping[str, PartName] | None) -> Sequence[str]:
    """Return the files that a person says the part of; all, where none is said."""
    for place in said or ():
        if not any(place_said(file, {place}) for file in files):
            raise UserError(
                f"data {data}: --images.parts says {place}, but no Parquet file lies there; its "
                f"files are {', '.join(files[:3])}{', ...' if files[3:] else ''}"
            )
    return [file for file in files if place_said(file, said)] if said else files


def _read(
    data: str,
    name: str,
    filesystem: pafs.FileSystem,
    listing: Listing,
    said: Mapping[str, PartName] | None,
) -> _File:
    path, stamp = listing.paths[name], listing.stamps[name]
    with _opened(data, name, filesystem, path) as parquet:
        columns, metadata = columns_of(data, name, parquet), parquet.metadata
        part = part_of_file(data, name, said)
        values = _values(parquet, (columns.label, *columns.parts))
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    starts = np.cumsum([0, *(group.num_rows for group in groups)]).tolist()
    texts = {column: columns.texts(column, values[column]) for column in columns.parts}
    return _File(
        name,
        RowFile(path, columns.image, tuple(starts), stamp),
        _labels(name, columns, values),
        parts_of_rows(data, name, [part] * starts[-1], texts, is_said=said is not None),
    )


def _values(parquet: pq.ParquetFile, columns: Sequence[str]) -> dict[str, list[object]]:
    """Return some columns, each a list; not as a table, for which one may be too long."""
    values = {name: list[object]() for name in columns}
    for batch in parquet.iter_batches(columns=list(columns)):
        for name in columns:
            values[name] += batch.column(name).to_pylist()
    return values


def _labels(name: str, columns: Columns, values: Mapping[str, list[object]]) -> Labels:
    return Labels(name, values[columns.label], columns.names_of(columns.label))


def _index(files: Sequence[_File], labels: Sequence[int], places: Rows) -> ImageIndex:
    """Return the index of the rows of all files."""
    counts = [len(file.parts) for file in files]
    number = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    names = pa.array([file.name.encode() for file in files], pa.binary())
    groups = [file.groups for file in files]
    return image_index(
        places,
        pa.DictionaryArray.from_arrays(pa.array(number), names),
        labels,
        list(chain.from_iterable(file.parts for file in files)),
        np.concatenate([np.arange(count) for count in counts]),
        np.concatenate(groups),
        np.repeat([file.rows.stamp[0] for file in files], counts),
        np.repeat([file.rows.stamp[1] for file in files], counts),
    )


@contextmanager
def _opened(
    data: str, name: str, filesystem: pafs.FileSystem, path: str
) -> Iterator[pq.ParquetFile]:
    try:
        with stream_opener(filesystem)(path) as content:
            yield pq.ParquetFile(content, buffer_size=BUFFER)
    except (pa.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(
            f"data {data}: {name} is no Parquet file that can be read ({why}); mend or remove it"
        ) from error
