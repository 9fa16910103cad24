"""Where images come from: scikit-learn's digits, torchvision's sets, folders, Parquet files.

A source names its images and their classes and opens them one by one; decoding, resizing and
splitting happen elsewhere, the same way for all of them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
from PIL import Image

from raynas.data.cache import cache_folder
from raynas.data.class_folders import read_tree
from raynas.data.encoded_images import Opener
from raynas.data.file_listing import Listing, file_stamp, is_file, list_files, readable
from raynas.data.file_opening import Folder
from raynas.data.image_index import Source, image_index
from raynas.data.in_blocks import Say, silent
from raynas.data.parquet import read_parquet
from raynas.data.part_names import parts_said
from raynas.errors import UserError
from raynas.storage.uris import openable, shown

_NAMED = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "fashion-mnist": "FashionMNIST"}
_FORBIDDEN = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")  # of S3


def open_source(
    data: str,
    parts: str | None = None,
    cache: str | None = None,
    say: Say = silent,
    one_class: bool = False,
) -> Source:
    """Return the source that ``--data`` names.

    Args:
        data: A name, a folder or a URI.
        parts: Which folders of it are parts, as ``--images.parts`` says it.
        cache: As ``--images.cache``.
        say: Hears now and then how far a long listing is.
        one_class: Whether a single folder in a folder may be a class.

    Raises:
        UserError: No such name, folder or URI, or nothing usable in it.
    """
    named = data == "digits" or (data in _NAMED and not Path(data).exists())
    if parts_said(parts) and named:
        raise UserError(f"--images.parts {parts}: {data} has no folders; leave the flag out")
    if data == "digits":
        return _digits()
    folder = cache_folder(cache)
    if named:
        return _torchvision(data, folder)
    return _folder(data, parts, folder, say, one_class)


def _digits() -> Source:
    """scikit-learn's digits: 1,797 grey images of 8 x 8 pixels with values 0 to 16."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, rarely needed

    bunch = load_digits()
    pixels = np.minimum(bunch.images * 16, 255).astype(np.uint8)
    names = tuple(str(name) for name in bunch.target_names)
    return _arrays("digits", names, [(None, pixels, bunch.target)])


def _torchvision(data: str, cache: str) -> Source:
    """A set that torchvision downloads into the cache, if the network allows it."""
    from torchvision import datasets  # noqa: PLC0415 - slow to import, rarely needed

    root = Path(cache).expanduser()
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
    place = Arrays(data, {(split or "").encode(): pixels for split, pixels, _ in parts})
    counts = [len(labels) for _, _, labels in parts]
    splits = [split for split, _, labels in parts for _ in labels]
    images = image_index(
        place,
        [(split or "").encode() for split in splits],
        np.concatenate([labels for _, _, labels in parts]),
        splits,
        np.concatenate([np.arange(count) for count in counts]),
    )
    return Source(images, class_names)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images that are in memory, in arrays of N x H x W or N x H x W x C bytes.

    Attributes:
        data: What the data set is called.
        pixels: By part.
    """

    data: str
    pixels: Mapping[bytes, npt.NDArray[np.uint8]]

    def name(self, path: bytes, row: int | None) -> str:
        """Return the part and the row."""
        return f"{self.data} {path.decode()} {row}"

    def opener(self, path: bytes, group: int | None, row: int | None) -> Opener:
        """Return what makes an image of a row."""
        del group
        return partial(Image.fromarray, self.pixels[path][row])


def _folder(data: str, parts: str | None, cache: str, say: Say, one_class: bool) -> Source:
    """A folder of class folders, with or without part folders above, or of Parquet files."""
    words = readable(shown(data))
    try:
        filesystem, root = _locate(data)
        if is_file(filesystem, root):
            root, listing = _file(words, filesystem, root)
        else:
            listing = list_files(filesystem, root, say)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unread(words, error) from error
    if any(file.endswith(".parquet") for file in listing.paths):
        source = read_parquet(words, filesystem, root, listing, cache, parts)
    else:
        source = read_tree(words, Folder(filesystem, root), listing, parts, one_class)
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


def _file(data: str, filesystem: pafs.FileSystem, path: str) -> tuple[str, Listing]:
    """Return the folder of a Parquet file and a list of that file; no other file holds classes."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(".parquet"):
        raise UserError(
            f"data {data}: it is a file; wanted a folder of images, or of Parquet files; unpack it "
            "first if it is an archive"
        )
    name = readable(name)
    if isinstance(filesystem, pafs.LocalFileSystem):  # Arrow's names must be UTF-8
        stamp = file_stamp(path)
    else:
        info = filesystem.get_file_info(path)
        stamp = info.size or 0, info.mtime_ns or 0
    return folder, Listing({name: path}, {name: stamp}, ())
