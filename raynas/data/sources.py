"""Where images come from: scikit-learn's digits, torchvision's sets, folders, Parquet files.

A source names its images and their classes and opens them one by one; decoding, resizing and
splitting happen elsewhere, the same way for all of them.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
from PIL import Image

from raynas.data.class_folders import read_tree
from raynas.data.encoded_images import Beside, Opener, RawImage, Source
from raynas.data.file_listing import is_file, list_files, readable
from raynas.data.parquet import read_parquet
from raynas.data.part_names import parts_said
from raynas.errors import UserError
from raynas.storage.retry import StorageError, is_final, patiently
from raynas.storage.uris import openable, shown

_NAMED = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "fashion-mnist": "FashionMNIST"}
_FORBIDDEN = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")  # of S3


def open_source(data: str, parts: str | None = None) -> Source:
    """Return the source that ``--data`` names.

    Args:
        data: A name, a folder or a URI.
        parts: Which folders of it are parts, as ``--images.parts`` says it.

    Raises:
        UserError: No such name, folder or URI, or nothing usable in it.
    """
    named = data == "digits" or (data in _NAMED and not Path(data).exists())
    if parts_said(parts) and named:
        raise UserError(f"--images.parts {parts}: {data} has no folders; leave the flag out")
    if data == "digits":
        return _digits()
    return _torchvision(data) if named else _folder(data, parts)


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

    root = Path.home() / ".cache" / "raynas"
    kind = getattr(datasets, _NAMED[data])
    try:
        parts = [(s, kind(root, train=s == "train", download=True)) for s in ("train", "test")]
    except (OSError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"data {data}: torchvision could not download it to {root} ({why}); put its files "
            "there as torchvision does elsewhere, or give a folder of images"
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


def _folder(data: str, parts: str | None) -> Source:
    """A folder of class folders, with or without part folders above, or of Parquet files."""
    words = readable(shown(data))
    try:
        filesystem, root = _locate(data)
        if is_file(filesystem, root):
            return _file(words, filesystem, root, parts)
        listing = list_files(filesystem, root)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unread(words, error) from error
    opener = _opener(filesystem, root, listing.paths)
    tables = [file for file in listing.paths if file.endswith(".parquet")]
    if tables:
        source = read_parquet(words, tables, _stream(filesystem, listing.paths), opener, parts)
    else:
        source = read_tree(words, list(listing.paths), opener, parts)
    return replace(source, passed_over=(*listing.passed_over, *source.passed_over))


def _locate(data: str) -> tuple[pafs.FileSystem, str]:
    """Return where a path or URI leads."""
    if "://" not in data:  # Arrow would read what follows a # as something else
        return pafs.LocalFileSystem(), str(Path(data).expanduser().absolute())
    filesystem, root = pafs.FileSystem.from_uri(openable(data))
    return filesystem, root.rstrip("/")


def _unread(data: str, error: Exception) -> UserError:
    """Return why a folder, or one in it, is not read: forbidden is not the same as missing."""
    why = shown(getattr(error, "strerror", None) or str(error).splitlines()[0])
    place = getattr(error, "filename", None)
    where = readable(os.fsdecode(place)) if place else "it"
    if isinstance(error, PermissionError) or any(code in str(error) for code in _FORBIDDEN):
        return UserError(
            f"data {data}: {where} may not be read ({why}); allow it to the user who runs this, or "
            "move it out of the data"
        )
    if isinstance(error, OSError) and not _is_missing(error):
        return UserError(
            f"data {data}: {where} cannot be read ({why}); bring the storage back, or check the "
            "path"
        )
    why = "" if isinstance(error, FileNotFoundError) else f" ({why})"
    return UserError(
        f"data {data}: no such folder{why}, nor one of {', '.join(('digits', *_NAMED))}; "
        "check the path"
    )


def _is_missing(error: OSError) -> bool:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return missing or "NO_SUCH_BUCKET" in str(error)


def _file(data: str, filesystem: pafs.FileSystem, path: str, parts: str | None) -> Source:
    """One Parquet file; no other file holds images with their classes."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(".parquet"):
        raise UserError(
            f"data {data}: it is a file; wanted a folder of images, or of Parquet files; unpack it "
            "first if it is an archive"
        )
    paths, name = {readable(name): path}, readable(name)
    return read_parquet(
        data, [name], _stream(filesystem, paths), _opener(filesystem, folder, paths), parts
    )


def _stream(
    filesystem: pafs.FileSystem, paths: Mapping[str, str]
) -> Callable[[str], pa.NativeFile]:
    """Return what opens a file by its path in the data as people can read it."""
    if isinstance(filesystem, pafs.LocalFileSystem):  # which takes no names but UTF-8
        return lambda file: pa.OSFile(os.fsencode(paths[file]))
    return lambda file: filesystem.open_input_file(paths[file])


def _opener(
    filesystem: pafs.FileSystem, root: str, paths: Mapping[str, str]
) -> Callable[[str], Opener]:
    """Return what returns what opens the image at such a path, or at one that a table holds."""
    return lambda file: partial(_open_file, filesystem, paths.get(file, f"{root}/{file}"))


def local_file(image: RawImage) -> str | None:
    """Return the path that opens an image; None: it is no file of this machine."""
    match image.open.file if isinstance(image.open, Beside) else image.open:
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
    if isinstance(filesystem, pafs.LocalFileSystem):  # Arrow's names must be UTF-8
        return Path(path).read_bytes()
    with filesystem.open_input_file(path) as stream:
        content: bytes = stream.read()
    return content
