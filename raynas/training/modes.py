"""Pillow's modes: which are grey, and what each becomes as eight bits of grey or colour.

What is transparent is shown on white, as a page would: a file may hide any colour there.
"""

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
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


def eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """Return an image as grey (one channel) or RGB (three).

    16 bits lose their lower eight; floats in [0, 1] are taken as shares of white.

    Raises:
        ValueError: Numbers that are no brightness by any of these readings.
    """
    mode = "L" if channels == 1 else "RGB"
    if is_grey(image) and image.mode not in {"1", "L", "LA", "La"}:
        image = Image.fromarray(_brightness(image))
    elif image.mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _brightness(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return 16-bit, 32-bit and float grey as bytes; Pillow would cut all off at 255."""
    numbers = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (numbers.astype(np.uint16) >> 8).astype(np.uint8)
    low, high = float(numbers.min()), float(numbers.max())
    most = 255 if image.mode == "F" else 65535
    if not 0 <= low <= high <= most:  # NaN is in no interval
        wanted = "[0, 1] or [0, 255]" if image.mode == "F" else "[0, 255] or [0, 65535]"
        raise ValueError(f"its numbers lie in [{low:g}, {high:g}], wanted them in {wanted}")
    if image.mode == "F" and high <= 1:
        numbers = numbers * 255
    elif high > 255:
        numbers = numbers >> 8
    brightness: npt.NDArray[np.uint8] = np.rint(numbers).astype(np.uint8)
    return brightness
