"""Parquet files in the layout of Hugging Face: image is a struct with bytes, label its class."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raynas.errors import UserError
from raynas.training.raw import RawImage, Row, Source, split_named


def read_parquet(data: str, filesystem: pafs.FileSystem, root: str, files: Sequence[str]) -> Source:
    """Return the images of some files, whose names may tell which part they are.

    The encoded bytes are read into memory: one row of a file cannot be had without its neighbours.

    Args:
        data: For messages.
        filesystem: Where the files are.
        root: Their folder.
        files: Their paths in it.

    Raises:
        UserError: A file without such columns, or with labels that name no class.
    """
    named: list[tuple[str, Any, str | None, Row]] = []
    names: tuple[str, ...] = ()
    for file in files:
        table = _read_table(data, filesystem, f"{root}/{file}")
        image_column, label_column = _columns(data, file, table)
        names = names or _class_names(table.schema, label_column)
        split = next(filter(None, map(split_named, _words(file))), None)
        contents = table[image_column].combine_chunks().field("bytes")
        labels = table[label_column].to_pylist()
        named += [
            (f"{file} row {row}", label, split, Row(contents, row))
            for row, label in enumerate(labels)
        ]
    numbers, names = _numbered(data, [label for _, label, _, _ in named], names)
    images = [
        RawImage(name, number, split, row)
        for (name, _, split, row), number in zip(named, numbers, strict=True)
    ]
    return Source(images, names)


def _numbered(
    data: str, labels: Sequence[Any], names: tuple[str, ...]
) -> tuple[list[int], tuple[str, ...]]:
    """Return labels as indices into the names of the classes, and those names."""
    found = set(labels)
    if found and all(isinstance(label, str) for label in found):
        names = tuple(sorted(found))
        return [names.index(label) for label in labels], names
    if any(isinstance(label, str) for label in found):
        raise UserError(
            f"data {data}: some of its files label with text and some with integers; write all of "
            "them in one way"
        )
    names = names or tuple(str(label) for label in range(max(found, default=-1) + 1))
    odd = found - set(range(len(names)))
    if odd:
        raise UserError(
            f"data {data}: it has label {odd.pop()}, wanted classes counted from 0 to "
            f"{len(names) - 1}"
        )
    return [int(label) for label in labels], names


def _read_table(data: str, filesystem: pafs.FileSystem, path: str) -> pa.Table:
    try:
        with filesystem.open_input_file(path) as stream:
            return pq.read_table(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"data {data}: {path} is no Parquet file that can be read ({error}); mend or remove it"
        ) from error


def _words(file: str) -> list[str]:
    """Return the words of a path such as data/train-00000-of-00001.parquet."""
    return (
        file.lower().replace("/", " ").replace("-", " ").replace("_", " ").replace(".", " ").split()
    )


def _columns(data: str, file: str, table: pa.Table) -> tuple[str, str]:
    schema = table.schema
    structs = [field for field in schema if pa.types.is_struct(field.type)]
    image = next((f.name for f in structs if f.type.get_field_index("bytes") >= 0), None)
    label = next(
        (name for name in ("label", "labels", "fine_label", "class") if name in schema.names), None
    )
    if image is None or label is None:
        raise UserError(
            f"data {data}: {file} has the columns {', '.join(schema.names)}; wanted image "
            "(a struct with bytes) and label (an integer or a text), as Hugging Face writes them"
        )
    if not _is_label(schema.field(label).type) or table[label].null_count:
        raise UserError(
            f"data {data}: {file} has the column {label} of {schema.field(label).type} with "
            f"{table[label].null_count} empty entries; wanted an integer or a text for every image"
        )
    return image, label


def _is_label(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = pa.types.is_integer, pa.types.is_string, pa.types.is_large_string
    return any(test(kind) for test in tests)


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # damaged metadata only costs the names
        return ()
    feature = described.get("info", {}).get("features", {}).get(label, {})
    return tuple(feature.get("names", ()))
