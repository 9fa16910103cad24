"""Decoding: an encoded image becomes a square of bytes, the same one wherever that happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from raynas.data.bit_depths import is_deep, peak_of
from raynas.data.encoded_images import Opener
from raynas.data.pixel_formats import eight_bits, upright
from raynas.storage.retry import StorageError

Pixels = npt.NDArray[np.uint8]


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


class Decoded(NamedTuple):
    """An image.

    Attributes:
        pixels: C x H x W.
        peak: The highest number of one of more than eight bits; of others 0.
    """

    pixels: Pixels
    peak: int


def decode_all(openers: Sequence[Opener], square: Square) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Return N x C x H x W pixels and which images were readable; the others are black."""
    pixels, readable, _ = decode_block(openers, square)
    return pixels, readable


def decode_block(
    openers: Sequence[Opener], square: Square
) -> tuple[Pixels, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the same, and the images' peaks as in a ``Survey``."""
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
