"""Pillow's modes: which are grey, and what each becomes as eight bits of grey or colour.

What is transparent is shown on white, as a page would: a file may hide any colour there.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


def is_grey(image: Image.Image) -> bool:
    """Return whether an image, decoded or not, has no colour."""
    return image.mode in {"1", "L", "LA", "La", "I", "F"} or image.mode.startswith("I;16")


def upright(image: Image.Image) -> Image.Image:
    """Return a decoded image turned as its camera says; a damaged header turns nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - whatever a broken header makes Pillow raise
        return image
    # not ImageOps.exif_transpose, which writes the header anew and fails where it is odd
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def eight_bits(image: Image.Image, channels: int, bits: int | None = None) -> Image.Image:
    """Return an image as grey (one channel) or RGB (three).

    16 bits lose their lower eight; floats in [0, 1] are taken as shares of white.

    Args:
        image: A decoded one.
        channels: 1 or 3.
        bits: How many of 16 grey ones hold numbers, if not all: 12 of many cameras and scanners.

    Raises:
        ValueError: Numbers that are no brightness by any of these readings.
    """
    mode = "L" if channels == 1 else "RGB"
    if is_grey(image) and image.mode not in {"1", "L", "LA", "La"}:
        image = Image.fromarray(_brightness(image, bits))
    elif image.mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _brightness(image: Image.Image, bits: int | None) -> npt.NDArray[np.uint8]:
    """Return 16-bit, 32-bit and float grey as bytes; Pillow would cut all off at 255."""
    numbers = np.asarray(image)
    if image.mode.startswith("I;16"):
        return _upper(numbers.astype(np.uint16), bits or 16)
    low, high = float(numbers.min()), float(numbers.max())
    most = 255 if image.mode == "F" else 65535
    if not 0 <= low <= high <= most:  # NaN is in no interval
        wanted = "[0, 1] or [0, 255]" if image.mode == "F" else "[0, 255] or [0, 65535]"
        raise ValueError(f"its numbers lie in [{low:g}, {high:g}], wanted them in {wanted}")
    if image.mode == "F" and high <= 1:
        numbers = numbers * 255
    elif image.mode == "I" and (bits or high > 255):
        return _upper(numbers, bits or 16)
    brightness: npt.NDArray[np.uint8] = np.rint(numbers).astype(np.uint8)
    return brightness


def _upper(numbers: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    """Return the upper eight of some bits; what is beyond them is white."""
    upper: npt.NDArray[np.uint8] = np.minimum(numbers >> (bits - 8), 255).astype(np.uint8)
    return upper
