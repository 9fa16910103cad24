"""Decoding: an encoded image becomes a square of bytes, the same one wherever that happens."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from raynas.data.bit_depths import is_deep, peak_of
from raynas.data.encoded_images import Opener, RawImage
from raynas.data.pixel_formats import eight_bits, is_grey, upright
from raynas.storage.retry import StorageError

Pixels = npt.NDArray[np.uint8]

Say = Callable[[str], None]

_BLOCK = 32  # images that a thread decodes at a time
_SILENCE = 10.0  # seconds after which a person wants to hear how far it is


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Square:
    """What every image of a data set is made into.

    Attributes:
        resolution: Height and width in pixels.
        channels: 1 for grey, 3 for colour.
        bits: As ``ImageSettings.bits``.
    """

    resolution: int
    channels: int
    bits: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.resolution, self.resolution


@dataclass(frozen=True)
class Survey:
    """What one look at every image found out.

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


class Decoded(NamedTuple):
    """The pixels of an image, C x H x W, and its peak as ``Survey.peaks``."""

    pixels: Pixels
    peak: int


def inspect(raws: Sequence[RawImage], say: Say = silent) -> list[tuple[int, int, int] | None]:
    """Return channels, height and width of each, not decoded; None where even that fails."""
    shapes: list[tuple[int, int, int] | None] = [None] * len(raws)

    def look(block: slice) -> None:
        shapes[block] = [_shape(raw.open) for raw in raws[block]]

    _in_threads(look, len(raws), "looking at", say)
    return shapes


def survey(raws: Sequence[RawImage], square: Square, keep: bool, say: Say = silent) -> Survey:
    """Decode every image once, on all cores; keep the pixels or forget them at once."""
    found = Survey(
        np.zeros(len(raws), dtype=np.bool_),
        np.zeros((len(raws), square.channels, 2), dtype=np.int64),
        np.zeros(len(raws), dtype=np.int64),
        np.empty((len(raws), *square.shape), dtype=np.uint8) if keep else None,
    )

    def look(block: slice) -> None:
        openers = [raw.open for raw in raws[block]]
        pixels, found.readable[block], found.peaks[block] = _decode_block(openers, square)
        squares = np.multiply(pixels, pixels, dtype=np.uint16)
        found.sums[block, :, 0] = pixels.sum(axis=(2, 3), dtype=np.int64)
        found.sums[block, :, 1] = squares.sum(axis=(2, 3), dtype=np.int64)
        if found.pixels is not None:
            found.pixels[block] = pixels

    _in_threads(look, len(raws), "decoding", say)
    return found


def decode_all(openers: Sequence[Opener], square: Square) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Return N x C x H x W pixels and which images were readable; the others are black."""
    pixels, readable, _ = _decode_block(openers, square)
    return pixels, readable


def _decode_block(
    openers: Sequence[Opener], square: Square
) -> tuple[Pixels, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the same, and the images' peaks."""
    pixels = np.zeros((len(openers), *square.shape), dtype=np.uint8)
    readable = np.zeros(len(openers), dtype=np.bool_)
    peaks = np.zeros(len(openers), dtype=np.int64)
    for place, opener in enumerate(openers):
        decoded = _try(opener, square)
        if isinstance(decoded, Decoded):
            (pixels[place], peaks[place]), readable[place] = decoded, True
    return pixels, readable, peaks


def decode(opener: Opener, square: Square) -> Pixels | None:
    """Return C x H x W pixels: the middle square, resized; None where the file is broken."""
    return decoded.pixels if isinstance(decoded := _try(opener, square), Decoded) else None


def why_broken(opener: Opener, square: Square) -> str:
    """Return in a few words why an image cannot be decoded."""
    match _try(opener, square):
        case UnidentifiedImageError():
            return "no image of a kind that Pillow knows"
        case Exception() as error:
            return str(error).partition("\n")[0] or type(error).__name__
    return "it can be read now"


def _try(opener: Opener, square: Square) -> Decoded | Exception:
    """Return what was decoded, or what was raised; where the storage failed nothing is known."""
    try:
        return _decode(opener, square)
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a broken file makes a decoder raise
        return error


def _decode(opener: Opener, square: Square) -> Decoded:
    sides = square.resolution, square.resolution
    image = opener()
    deep = is_deep(image)
    image.draft(None, sides)  # a large JPEG shrinks by 2, 4 or 8 while it is decoded
    image.load()
    peak = peak_of(image) if deep else 0
    image = eight_bits(upright(image), square.channels, square.bits)
    if image.size != sides:
        image = ImageOps.fit(image, sides, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return Decoded(pixels[None] if square.channels == 1 else pixels.transpose(2, 0, 1), peak)


def _shape(opener: Opener) -> tuple[int, int, int] | None:
    try:
        image = opener()
    except StorageError:
        raise  # nothing is known of the image
    except Exception:  # noqa: BLE001 - whatever a broken file makes a decoder raise
        return None
    return 1 if is_grey(image) else 3, image.height, image.width


def _in_threads(look: Callable[[slice], None], count: int, doing: str, say: Say) -> None:
    """Call for one block after another; Pillow lets go of Python's lock while it decodes."""
    spoken = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        blocks = [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
        for block, _ in zip(blocks, threads.map(look, blocks), strict=True):  # raises what they do
            if time.monotonic() >= spoken + _SILENCE:
                say(f"{'data':<9} {doing} {block.stop:,} of {count:,} images")
                spoken = time.monotonic()
