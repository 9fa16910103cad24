"""Where images come from: scikit-learn's digits, torchvision's sets, folders, Parquet files.

A source names its images and their classes and opens them one by one; decoding, resizing and
splitting happen elsewhere, the same way for all of them.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from PIL import Image

from raynas.errors import UserError
from raynas.locations import shown
from raynas.patience import StorageError, is_final, patiently

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip
_IMAGE_ENDINGS = frozenset(
    {"jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm"}
)


Opener = Callable[[], Image.Image]


@dataclass(frozen=True)
class Row:
    """Opens one row of a column of encoded images; all rows of a table share the column."""

    column: pa.Array
    row: int

    def __call__(self) -> Image.Image:
        """Open it."""
        return Image.open(io.BytesIO(self.column[self.row].as_py()))

    def alone(self) -> Opener:
        """Return the same without the rest of the column, fit for being sent somewhere."""
        return partial(_open_bytes, self.column[self.row].as_py())


@dataclass(frozen=True, slots=True)
class RawImage:
    """One image that has not been decoded; it can be pickled.

    Attributes:
        name: For messages: a path, or a table and row.
        label: Index of its class.
        split: train, val or test where the data says so.
        open: Opens it; raises whatever a broken file makes a decoder raise.
    """

    name: str
    label: int
    split: str | None
    open: Opener


@dataclass(frozen=True)
class Source:
    """All images of a data set, and the names of its classes."""

    images: Sequence[RawImage]
    class_names: tuple[str, ...]


def open_source(data: str) -> Source:
    """Return the source that ``--data`` names.

    Raises:
        UserError: No such name, folder or URI, or nothing usable in it.
    """
    if data == "digits":
        return _digits()
    if data in {"cifar10", "cifar100", "fashion-mnist"} and not Path(data).exists():
        return _torchvision(data)
    return _folder(data)


def _digits() -> Source:
    """scikit-learn's digits: 1,797 grey images of 8 x 8 pixels with values 0 to 16."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, rarely needed

    bunch = load_digits()
    pixels = np.minimum(bunch.images * 16, 255).astype(np.uint8)
    names = tuple(str(name) for name in bunch.target_names)
    return _arrays("digits", names, [(None, pixels, bunch.target)])


def _torchvision(data: str) -> Source:
    """A set that torchvision downloads into ~/.cache/raynas, if the network allows it."""
    from torchvision import datasets  # noqa: PLC0415 - slow to import, rarely needed

    kind = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "fashion-mnist": datasets.FashionMNIST,
    }[data]
    root = Path.home() / ".cache" / "raynas"
    try:
        parts = [(s, kind(root, train=s == "train", download=True)) for s in ("train", "test")]
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"data {data}: torchvision could not download it to {root} ({error}); put it there "
            "yourself, or give a folder of images"
        ) from error
    arrays = [(s, np.asarray(part.data), np.asarray(part.targets)) for s, part in parts]
    return _arrays(data, tuple(parts[0][1].classes), arrays)


def _arrays(
    data: str,
    class_names: tuple[str, ...],
    parts: Sequence[tuple[str | None, npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
) -> Source:
    images = [
        RawImage(
            f"{data} {split or ''} {row}", int(label), split, partial(Image.fromarray, pixels[row])
        )
        for split, pixels, labels in parts
        for row, label in enumerate(labels)
    ]
    return Source(images, class_names)


def _folder(data: str) -> Source:
    """A folder of class folders, with or without split folders above, or of Parquet files."""
    uri = data if "://" in data else str(Path(data).expanduser().absolute())
    data = shown(data)
    try:
        filesystem, root = pafs.FileSystem.from_uri(uri)
        infos = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
    except (pa.ArrowInvalid, OSError) as error:
        why = shown(str(error).splitlines()[0])
        why = "" if isinstance(error, FileNotFoundError) else f" ({why})"
        raise UserError(
            f"data {data}: no such folder{why}, nor one of digits, cifar10, cifar100, "
            "fashion-mnist; check the path"
        ) from error
    root = root.rstrip("/")
    files = sorted(
        info.path[len(root) + 1 :]
        for info in infos
        if info.type == pafs.FileType.File and "/." not in info.path[len(root) :]
    )
    tables = [file for file in files if file.endswith(".parquet")]
    if tables:
        return _parquet(data, filesystem, root, tables)
    return _tree(data, filesystem, root, files)


def _tree(data: str, filesystem: pafs.FileSystem, root: str, files: Sequence[str]) -> Source:
    images = [file for file in files if file.rpartition(".")[2].lower() in _IMAGE_ENDINGS]
    if not images:
        raise UserError(
            f"data {data}: no images in it (looked for {', '.join(sorted(_IMAGE_ENDINGS))}); "
            "wanted one sub-folder per class"
        )
    firsts = {file.split("/")[0].lower() for file in images}
    has_splits = firsts <= set(_SPLITS) and "train" in {_SPLITS[first] for first in firsts}
    depth = 1 if has_splits else 0
    loose = [file for file in images if file.count("/") <= depth]
    if loose:
        raise UserError(
            f"data {data}: {loose[0]} lies in no class folder; wanted "
            f"{'train/CLASS/image' if has_splits else 'CLASS/image'}"
        )
    class_names = tuple(sorted({file.split("/")[depth] for file in images}))
    indices = {name: index for index, name in enumerate(class_names)}
    return Source(
        [
            RawImage(
                file,
                indices[file.split("/")[depth]],
                _SPLITS[file.split("/")[0].lower()] if has_splits else None,
                partial(_open_file, filesystem, f"{root}/{file}"),
            )
            for file in images
        ],
        class_names,
    )


def local_file(image: RawImage) -> str | None:
    """Return the path that opens an image; None: it is no file of this machine."""
    match image.open:
        case partial(func=func, args=(pafs.LocalFileSystem(), path)) if func is _open_file:
            return str(path)
    return None


def _open_file(filesystem: pafs.FileSystem, path: str) -> Image.Image:
    try:
        content = patiently(lambda: _content(filesystem, path), f"--data: reading {path}")
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and is_final(error.__cause__):
            raise error.__cause__ from None  # this file alone; it counts as one that is broken
        raise
    return Image.open(io.BytesIO(content))


def _content(filesystem: pafs.FileSystem, path: str) -> bytes:
    with filesystem.open_input_file(path) as stream:
        content: bytes = stream.read()
    return content


def _parquet(data: str, filesystem: pafs.FileSystem, root: str, files: Sequence[str]) -> Source:
    """Parquet in the layout of Hugging Face: image is a struct {bytes, path}, label an int.

    The encoded bytes are read into memory: one row of a file cannot be had without its neighbours.
    """
    images: list[RawImage] = []
    names: tuple[str, ...] = ()
    for file in files:
        table = _read_table(data, filesystem, f"{root}/{file}")
        image_column, label_column = _columns(data, file, table)
        names = names or _class_names(table.schema, label_column)
        split = next((_SPLITS[w] for w in _words(file) if w in _SPLITS), None)
        contents = table[image_column].combine_chunks().field("bytes")
        labels = table[label_column].to_pylist()
        images += [
            RawImage(f"{file} row {row}", int(label), split, Row(contents, row))
            for row, label in enumerate(labels)
        ]
    found = {raw.label for raw in images}
    names = names or tuple(str(label) for label in range(max(found, default=-1) + 1))
    if not found <= set(range(len(names))):
        raise UserError(
            f"data {data}: it has label {(found - set(range(len(names)))).pop()}, wanted classes "
            f"counted from 0 to {len(names) - 1}"
        )
    return Source(images, names)


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


def _open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


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
            "(a struct with bytes) and label (an integer), as Hugging Face writes them"
        )
    if not pa.types.is_integer(schema.field(label).type) or table[label].null_count:
        raise UserError(
            f"data {data}: {file} has the column {label} of {schema.field(label).type} with "
            f"{table[label].null_count} empty entries; wanted an integer for every image"
        )
    return image, label


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # damaged metadata only costs the names
        return ()
    feature = described.get("info", {}).get("features", {}).get(label, {})
    return tuple(feature.get("names", ()))
