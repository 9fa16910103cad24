"""Images of 16 bits: what of their numbers is left as eight, and which setting keeps more.

Cameras and scanners of 10, 12 or 14 bits write files of 16 and mostly leave the upper ones empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile

_FULL = 15  # bits; who uses so many of 16 has lost half of the levels at most
_AS_EIGHT = "write them as 8 bits"


@dataclass(frozen=True)
class Depth:
    """What numbers the images of more than eight bits hold.

    Attributes:
        images: How many there are.
        colour: How many of them are in colour, of which Pillow reads the upper eight bits alone.
        dark: How many hold none that is left in the upper eight bits.
        over: How many hold some beyond the bits that a person says they have.
        highest: The highest number of all.
        looked_at: Of how many images this is told; None: of all.
    """

    images: int = 0
    colour: int = 0
    dark: int = 0
    over: int = 0
    highest: int = 0
    looked_at: int | None = None


def is_deep(image: Image.Image) -> bool:
    """Return whether an image that is not decoded yet may have more than eight bits."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    # by its place: a tile has names from Pillow 11 on
    return image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in tiles)


def peak_of(image: Image.Image) -> int:
    """Return the highest number of a decoded deep image; 0: it has eight bits, as they are.

    In colour the lower eight bits are gone, and what they may have been at most is taken.
    """
    if image.mode.startswith("I"):
        peak = int(np.asarray(image).max())
        return 0 if image.mode == "I" and peak <= 255 else peak
    bands = np.asarray(image.convert("RGB"))
    return 256 * int(bands.max()) + 255


def depth_of(
    peaks: Sequence[int], colours: Sequence[bool], bits: int | None, looked_at: int | None = None
) -> Depth:
    """Return what the deep ones among some images are like.

    Args:
        peaks: Of each image by ``peak_of``, and 0 of all that are not deep.
        colours: Whether each is in colour.
        bits: As ``ImageSettings.bits``.
        looked_at: How many they are, where they are not all.
    """
    deep = [(peak, colour) for peak, colour in zip(peaks, colours, strict=True) if peak]
    return Depth(
        len(deep),
        sum(colour for _, colour in deep),
        sum(peak < 256 for peak, _ in deep),
        sum(peak >= 1 << bits for peak, colour in deep if not colour) if bits else 0,
        max((peak for peak, _ in deep), default=0),
        looked_at,
    )


def depth_warnings(depth: Depth, bits: int | None) -> list[str]:
    """Return a sentence for each way in which levels are lost.

    Args:
        depth: What the images are like.
        bits: As ``ImageSettings.bits``.
    """
    said = _said_bits(depth, bits) if bits else _upper_bits(depth)
    if depth.looked_at is None:
        return list(said)
    return [f"among {depth.looked_at:,} images that were looked at, {each}" for each in said]


def _upper_bits(depth: Depth) -> Iterator[str]:
    what = f"{depth.images:,} images of 16 bits"
    if 0 < depth.highest < 1 << (_FULL - 1):
        used = max(depth.highest.bit_length(), 8)
        remedy = f"--images.bits {used} keeps what they have"
        if depth.colour:
            grey = depth.colour < depth.images
            remedy = f"{remedy} in grey; write those in colour as 8 bits" if grey else _AS_EIGHT
        yield (
            f"{what} hold no number above {depth.highest:,}, so their upper eight bits keep "
            f"{(depth.highest >> 8) + 1} of 256 levels; {remedy}"
        )
    elif depth.dark:
        yield (
            f"{depth.dark:,} of {what} hold no number above 255 and become black; write all of "
            "them on one scale"
        )


def _said_bits(depth: Depth, bits: int) -> Iterator[str]:
    if depth.over:
        yield (
            f"{depth.over:,} images hold numbers above {(1 << bits) - 1:,}, which become white; "
            f"--images.bits {depth.highest.bit_length()} keeps them apart"
        )
    if depth.colour:
        yield (
            f"{depth.colour:,} images of 16 bits are in colour, of which the upper eight bits are "
            f"taken in spite of --images.bits {bits}; {_AS_EIGHT}"
        )
