"""Parquet files in the layout of Hugging Face: image is a struct with bytes, label its class."""

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from raynas.data.encoded_images import Beside, Opener, RawImage, Row, Source
from raynas.data.memory import refuse_more_than_memory
from raynas.data.parquet_columns import Columns, columns_of
from raynas.data.parquet_labels import Labels, numbered
from raynas.data.parquet_parts import part_of_file, parts_of_rows, refuse_undecided
from raynas.data.part_names import PartName, parts_said, place_said
from raynas.errors import UserError

_PIECE = 2**26  # bytes of images read at a time; Arrow holds 2 GiB in a piece of such a column
_ROWS = 256  # read at a time at most, since images that repeat are stored once and count as small
_BUFFER = 2**23  # bytes of a file read at a time; else a whole column of a row group


@dataclass(frozen=True)
class _File:
    """A file of which the end has been read, where Parquet describes what is in it."""

    name: str
    metadata: pq.FileMetaData
    columns: Columns
    part: PartName | None

    def image_bytes(self, *groups: int) -> int:
        """Return the bytes of the images in some groups of rows; none named: in all."""
        chunks = (
            self.metadata.row_group(group).column(column)
            for group in groups or range(self.metadata.num_row_groups)
            for column in range(self.metadata.num_columns)
        )
        return sum(
            chunk.total_uncompressed_size
            for chunk in chunks
            if chunk.path_in_schema.startswith(f"{self.columns.image}.")
        )


def read_parquet(
    data: str,
    files: Sequence[str],
    stream: Callable[[str], pa.NativeFile],
    opener: Callable[[str], Opener],
    parts: str | None = None,
) -> Source:
    """Return the images of some files, whose names and columns may tell which part they are.

    The encoded bytes are read into memory: one row of a file cannot be had without its neighbours.

    Args:
        data: For messages.
        files: Paths in the data.
        stream: Opens a file at such a path, to be read at any place of it.
        opener: Returns what opens the image at such a path, for rows that hold a path only.
        parts: Which files or folders are parts, as ``--images.parts`` says it.

    Raises:
        UserError: A file without such columns, with labels that name no class, or with rows of
            which nothing says whether they may be trained on.
    """
    said = parts_said(parts)
    taken = _taken(data, files, said)
    described = [_describe(data, file, stream, said) for file in taken]
    refuse_more_than_memory(data, sum(map(_File.image_bytes, described)))
    images: list[RawImage] = []
    labels: list[Labels] = []
    for file in described:
        found, its_labels = _read(data, file, stream, opener, is_said=said is not None)
        images += found
        labels.append(its_labels)
    refuse_undecided(data, images)
    numbers, names = numbered(data, labels)
    return Source(
        [replace(image, label=number) for image, number in zip(images, numbers, strict=True)],
        names,
        passed_over=tuple(
            f"{file} (outside of the parts)" for file in sorted(set(files).difference(taken))
        ),
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


def _describe(
    data: str,
    file: str,
    stream: Callable[[str], pa.NativeFile],
    said: Mapping[str, PartName] | None,
) -> _File:
    with _opened(data, file, stream) as parquet:
        columns, metadata = columns_of(data, file, parquet), parquet.metadata
    return _File(file, metadata, columns, part_of_file(data, file, said))


def _read(
    data: str,
    file: _File,
    stream: Callable[[str], pa.NativeFile],
    opener: Callable[[str], Opener],
    *,
    is_said: bool,
) -> tuple[list[RawImage], Labels]:
    """Return the images of a file, with labels of 0 for now, and its labels."""
    columns, openers = file.columns, list[Opener]()
    read = {name: list[object]() for name in (columns.label, *columns.parts)}
    with _opened(data, file.name, stream, file.metadata) as parquet:
        for batch in _batches(parquet, file, [columns.image, *read]):
            openers += _openers(batch.column(columns.image), file.name, opener)
            for name in read:
                read[name] += batch.column(name).to_pylist()
    said = {name: columns.texts(name, read[name]) for name in columns.parts}
    by_file = [file.part] * len(openers)
    parts = parts_of_rows(data, file.name, by_file, said, is_said=is_said)
    images = [
        RawImage(f"{file.name} row {row}", 0, part, open_it)
        for row, (open_it, part) in enumerate(zip(openers, parts, strict=True))
    ]
    return images, Labels(file.name, read[columns.label], columns.names_of(columns.label))


@contextmanager
def _opened(
    data: str,
    file: str,
    stream: Callable[[str], pa.NativeFile],
    metadata: pq.FileMetaData | None = None,
) -> Iterator[pq.ParquetFile]:
    try:
        with stream(file) as content:
            yield pq.ParquetFile(content, metadata=metadata, buffer_size=_BUFFER)
    except (pa.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(
            f"data {data}: {file} is no Parquet file that can be read ({why}); mend or remove it"
        ) from error


def _batches(
    parquet: pq.ParquetFile, file: _File, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows in pieces, however long the columns are as a whole."""
    for group in range(parquet.num_row_groups):
        mean = file.image_bytes(group) // max(parquet.metadata.row_group(group).num_rows, 1)
        rows = min(max(_PIECE // max(mean, 1), 1), _ROWS)
        yield from parquet.iter_batches(rows, row_groups=[group], columns=columns)


def _openers(
    structs: pa.StructArray, file: str, opener: Callable[[str], Opener]
) -> Iterator[Opener]:
    """Yield what opens each row: its bytes, or where it has none the file at its path."""
    names = [field.name for field in structs.type]
    fields = dict(zip(names, structs.flatten(), strict=True))
    nothing = pa.nulls(len(structs), pa.binary())
    contents = fields.get("bytes", nothing)
    if pa.types.is_binary_view(contents.type) or pa.types.is_null(contents.type):
        contents = contents.cast(pa.large_binary())
    lengths = pc.fill_null(pc.binary_length(contents), 0).to_pylist()
    paths = fields.get("path", nothing)
    for row, length in enumerate(lengths):
        yield Row(contents, row) if length else _beside(file, paths[row].as_py(), opener)


def _beside(file: str, path: str | None, opener: Callable[[str], Opener]) -> Opener:
    """Return what opens the image at a path that is relative to a Parquet file."""
    if not path:
        return partial(_fail, "it has neither bytes nor a path")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
    if posixpath.isabs(path) or whole.split("/")[0] == "..":
        return partial(
            _fail, f"it has no bytes, and its path {path} is none below --data from its file on"
        )
    return Beside(opener(whole), path)


def _fail(why: str) -> Image.Image:
    raise ValueError(why)
