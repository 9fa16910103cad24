"""Which columns of a Parquet file hold images, labels and parts, and what their numbers mean."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raynas.data.part_names import part_named, parts_named, says_parts_only, words_of
from raynas.errors import UserError

_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label", "class")
_SETS = {"split", "splits", "subset", "part", "partition", "set", "usage", "fold"}
_STAGES = {"phase", "stage", "mode"}
_ROWS = 1024  # of a column of texts that are read at a time, to see whether they name parts


@dataclass(frozen=True)
class Columns:
    """The columns of a file that are read.

    Attributes:
        image: A struct with bytes, a path, or both.
        label: Integers or texts.
        parts: Those that may say of each row which part it is of.
        names: What the numbers of a column stand for, by the metadata of Hugging Face.
    """

    image: str
    label: str
    parts: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]

    def names_of(self, column: str) -> tuple[str, ...]:
        """Return what the numbers of a column stand for; empty where nothing says it."""
        return self.names.get(column, ())

    def texts(self, column: str, values: Sequence[Any]) -> list[str | None]:
        """Return the values of a column, by their names where they are numbers."""
        names = dict(enumerate(self.names_of(column)))
        return [None if value is None else names.get(value, str(value)) for value in values]


def columns_of(data: str, file: str, parquet: pq.ParquetFile) -> Columns:
    """Return which columns to read.

    A column of texts may say parts under any name, so its values decide.

    Raises:
        UserError: No column or several may be meant, or one is of a type that says nothing.
    """
    schema = parquet.schema_arrow
    image, label = _image(data, file, schema), _first(_LABELS, schema.names)
    if image is None or label is None:
        raise UserError(
            f"data {data}: {file} has the columns {', '.join(schema.names)}; wanted image "
            "(a struct with bytes) and label (an integer or a text), as Hugging Face writes them"
        )
    kind = schema.field(label).type
    if not (_is_text(kind) or pa.types.is_integer(_plain(kind))):
        raise UserError(
            f"data {data}: {file} has the column {label} of {kind}; wanted an integer or a text "
            "for every image"
        )
    names = _names(schema)
    parts = [
        field.name
        for field in schema
        if field.name not in {image, label}
        and (_may_say_parts(data, file, field, names) or _says_parts(parquet, field, names))
    ]
    for name in (image, label, *parts):
        if schema.names.count(name) > 1:
            raise UserError(f"data {data}: {file} has several columns {name}; rename all but one")
    return Columns(image, label, tuple(parts), names)


def _image(data: str, file: str, schema: pa.Schema) -> str | None:
    """Return the column that is called so, or the only one that can hold images."""
    with_bytes = [field.name for field in schema if _has(field.type, "bytes", _is_binary)]
    with_path = [field.name for field in schema if _has(field.type, "path", _is_text)]
    named = _first(_IMAGES, schema.names)
    if named is not None:
        return named if named in {*with_bytes, *with_path} else None
    candidates = with_bytes or with_path
    if len(candidates) > 1:
        raise UserError(
            f"data {data}: {file} may hold its images in {' or '.join(candidates)}; wanted one "
            "column of them called image, so rename it"
        )
    return candidates[0] if candidates else None


def _first(known: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the first that is known by its name, best in lower case."""
    alike = [(known.index(name.lower()), name) for name in names if name.lower() in known]
    return min(alike, key=lambda each: (each[0], not each[1].islower()))[1] if alike else None


def _may_say_parts(
    data: str, file: str, field: pa.Field, names: Mapping[str, tuple[str, ...]]
) -> bool:
    """Return whether the values may be names of parts; refuse what says parts without them."""
    words, kind = words_of(field.name), _plain(field.type)
    is_integer = pa.types.is_integer(kind)
    if _is_text(kind) or (is_integer and field.name in names):
        return bool((_SETS | _STAGES).intersection(words) or parts_named(field.name))
    is_number = is_integer or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_flag = pa.types.is_boolean(kind) or (is_number and words[:1] == ["is"])
    says_parts = (is_flag and parts_named(field.name)) or (
        is_number and says_parts_only(field.name)
    )
    if field.name.lower() == "split" or says_parts:
        raise UserError(
            f"data {data}: {file} has the column {field.name} of {field.type}; wanted one called "
            "split that says train, validation or test in words, so rewrite or drop it"
        )
    return False


def _says_parts(
    parquet: pq.ParquetFile, field: pa.Field, names: Mapping[str, tuple[str, ...]]
) -> bool:
    """Return whether all values of a column are names of parts, whatever it is called."""
    if set(_LABELS).intersection(words_of(field.name)):
        return False  # its classes may be called so
    if pa.types.is_integer(_plain(field.type)):
        return field.name in names and all(map(_names_part, names[field.name]))
    found = False
    if _is_text(field.type):
        for batch in parquet.iter_batches(_ROWS, columns=[field.name]):  # mostly the first tells
            texts = {str(each) for column in batch.columns for each in _texts(column) if each}
            if not all(map(_names_part, texts)):
                return False
            found = found or bool(texts)
    return found


def _texts(column: pa.Array) -> Sequence[object]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return ["?"]  # no name of a part


def _names_part(text: str) -> bool:
    return says_parts_only(text) and part_named(text) is not None


def _has(kind: pa.DataType, field: str, is_wanted: Callable[[pa.DataType], bool]) -> bool:
    """Return whether it is a struct with such a field, or with one that is empty in all rows."""
    return pa.types.is_struct(kind) and any(
        each.name == field and (is_wanted(each.type) or pa.types.is_null(each.type))
        for each in kind
    )


def _is_binary(kind: pa.DataType) -> bool:
    tests = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
    return any(test(_plain(kind)) for test in tests)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names that the metadata of Hugging Face give to numbers, by column."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # damaged metadata only costs the names
        return {}
    features = _inside(_inside(described, "info"), "features")
    if not isinstance(features, dict):
        return {}
    lists = {column: _inside(feature, "names") for column, feature in features.items()}
    return {
        column: tuple(map(str, names))
        for column, names in lists.items()
        if isinstance(names, list) and names
    }


def _inside(described: object, key: str) -> object:
    return described.get(key) if isinstance(described, dict) else None
