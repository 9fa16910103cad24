"""What is known of each image, as a table for people and for the run that goes on later."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raynas.data.file_listing import readable
from raynas.data.image_index import ImageIndex


def listed(
    images: ImageIndex,
    headers: pa.Table,
    parts: Mapping[str, npt.NDArray[np.int64]],
    class_names: Sequence[str],
) -> pa.Table:
    """Return a row for each image, with the columns of the run's table ``images``.

    Args:
        images: The images.
        headers: What each says of itself.
        parts: Which images are of each part; one that cannot be read is of none.
        class_names: In the order of the labels.
    """
    names = np.full(len(images), None, dtype=object)
    for part, numbers in parts.items():
        names[numbers] = part
    labels = pa.DictionaryArray.from_arrays(
        images.table["label"].combine_chunks().cast(pa.int32()), pa.array(class_names)
    )
    has_header = pc.greater(headers["width"], 0)
    known = {
        name: pc.if_else(has_header, headers[name].cast(pa.int64()), None)
        for name in ("width", "height", "channels")
    }
    return pa.table(
        {
            "path": _texts(images.table["path"].combine_chunks()),
            "row": images.table["row"],
            "class": labels.cast(pa.string()),
            "part": pa.array(names, pa.string()),
            "file_bytes": images.table["file_bytes"],
        }
        | known
    )


def _texts(paths: pa.Array) -> pa.Array:
    """Return paths as people can read them."""
    if pa.types.is_dictionary(paths.type):
        return pa.DictionaryArray.from_arrays(paths.indices, _texts(paths.dictionary)).cast(
            pa.string()
        )
    try:
        return paths.cast(pa.string())
    except pa.ArrowInvalid:  # one of them is no UTF-8
        return pa.array([readable(os.fsdecode(path.as_py())) for path in paths], pa.string())


def changes(before: pa.Table, now: pa.Table) -> str | None:
    """Return in some words how the files of two such tables differ; None: they do not.

    Args:
        before: An earlier table.
        now: A later one.
    """
    if before.select(_KEYS).equals(now.select(_KEYS)):
        return None
    sizes = [_sizes(table) for table in (before, now)]
    gone, new = sorted(set(sizes[0]) - set(sizes[1])), sorted(set(sizes[1]) - set(sizes[0]))
    changed = sorted(key for key in set(sizes[0]) & set(sizes[1]) if sizes[0][key] != sizes[1][key])
    kinds = {"are gone": gone, "are new": new, "have another size": changed}
    said = [
        f"{len(found):,} {what} (such as {found[0][0]})" for what, found in kinds.items() if found
    ]
    return ", ".join(said) or None


_KEYS = ("path", "row", "file_bytes")


def _sizes(table: pa.Table) -> dict[tuple[str, int], int | None]:
    paths, rows, sizes = (table[name].to_pylist() for name in _KEYS)
    keys = [(path, -1 if row is None else row) for path, row in zip(paths, rows, strict=True)]
    return dict(zip(keys, sizes, strict=True))
