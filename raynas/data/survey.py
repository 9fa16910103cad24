"""What only pixels show of a data set: which images are broken, their mean, and their depth."""

import contextlib
import hashlib
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from raynas.data.cache import write_whole
from raynas.data.decoding import Pixels, Square, decode_block
from raynas.data.encoded_images import Raws
from raynas.data.image_index import ImageIndex
from raynas.data.in_blocks import Say, Spread, in_threads, silent, with_progress

_VERSION = 2  # of what is kept


class Survey(NamedTuple):
    """What decoding each of some images found out.

    Attributes:
        readable: N, whether the image could be decoded.
        sums: N x C x 2, int64: the sums of an image's pixels and of their squares.
        peaks: N, int64: the highest number of an image of more than eight bits, of others 0.
        pixels: N x C x H x W, or None where they were not kept.
    """

    readable: npt.NDArray[np.bool_]
    sums: npt.NDArray[np.int64]
    peaks: npt.NDArray[np.int64]
    pixels: Pixels | None


def survey(  # noqa: PLR0913 - what is decoded, to what, and who decodes
    images: ImageIndex,
    square: Square,
    keep: bool,
    cache: str,
    say: Say = silent,
    spread: Spread = in_threads,
) -> Survey:
    """Decode every image once; keep the pixels, or only what they show.

    What was found out of the same files before is taken from the cache, but not the pixels.

    Args:
        images: The images.
        square: What they become.
        keep: Whether to keep the pixels.
        cache: As ``--images.cache``.
        say: Hears now and then how far it is.
        spread: Who decodes.
    """
    path = _path(images, square, cache)
    kept = None if keep or path is None else _read(path)
    found = kept or _survey(images, square, keep, say, spread)
    if path is not None and not keep and kept is None:
        write_whole(path, lambda file: _write(found, file))
    return found


def _survey(images: ImageIndex, square: Square, keep: bool, say: Say, spread: Spread) -> Survey:
    found = Survey(
        np.zeros(len(images), dtype=np.bool_),
        np.zeros((len(images), square.channels, 2), dtype=np.int64),
        np.zeros(len(images), dtype=np.int64),
        np.empty((len(images), *square.shape), dtype=np.uint8) if keep else None,
    )
    results = spread(partial(survey_block, square=square, keep=keep), images)
    for block, part in with_progress(results, len(images), "decoding", say):
        found.readable[block], found.sums[block], found.peaks[block] = (
            part.readable,
            part.sums,
            part.peaks,
        )
        if found.pixels is not None and part.pixels is not None:
            found.pixels[block] = part.pixels
    return found


def survey_block(raws: Raws, square: Square, keep: bool) -> Survey:
    """Decode some images once, and keep their pixels or not."""
    pixels, readable, peaks = decode_block([raw.open for raw in raws], square)
    squares = np.multiply(pixels, pixels, dtype=np.uint16)
    sums = [each.sum(axis=(2, 3), dtype=np.int64) for each in (pixels, squares)]
    return Survey(readable, np.stack(sums, axis=-1), peaks, pixels if keep else None)


def _path(images: ImageIndex, square: Square, cache: str) -> Path | None:
    """Return where a survey is kept; None: there are no files by which to know the images."""
    fingerprint = images.fingerprint
    if fingerprint is None:
        return None
    digest = hashlib.sha256(f"{_VERSION} {square} {fingerprint}".encode()).hexdigest()
    return Path(cache).expanduser() / "surveys" / f"{digest}.npz"


def _write(found: Survey, file: IO[bytes]) -> None:
    np.savez_compressed(file, readable=found.readable, sums=found.sums, peaks=found.peaks)


def _read(path: Path) -> Survey | None:
    with contextlib.suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path) as kept:
        return Survey(kept["readable"], kept["sums"], kept["peaks"], None)
    return None
