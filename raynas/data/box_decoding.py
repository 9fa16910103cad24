"""Boxes cut out of images at their own size, and resized."""

import io
import logging
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import ExifTags, Image
from torch.nn import functional

from raynas.data.crops import Box
from raynas.data.decoding import Square
from raynas.data.encoded_images import Opener
from raynas.data.pixel_formats import eight_bits, upright

_LOG = logging.getLogger(__name__)
_UPRIGHT = (None, 1)  # values of Orientation
_USUAL = {("L", 1), ("L", 3), ("RGB", 3)}  # modes, and channels that are wanted
BoxOf = Callable[[int, int], Box]


def decode_box(opener: Opener, square: Square, box_of: BoxOf) -> torch.Tensor:
    """Return a box of an image as C x H x W bytes; raise whatever a broken file makes raise.

    Args:
        opener: Opens the image.
        square: What the box becomes.
        box_of: Returns the box in an image of a width and a height.
    """
    image = opener()
    turned = _orientation(image) not in _UPRIGHT
    pixels = None if turned else _jpeg_pixels(image, square, box_of)
    if pixels is None:
        pixels = _pillow_pixels(image, square, None if turned else box_of)
    height, width = pixels.shape[1:]
    left, top, box_width, box_height = box_of(width, height)
    cut = pixels[:, top : top + box_height, left : left + box_width]
    if cut.shape[1:] == square.shape[1:]:
        return cut.contiguous()
    # as torchvision's resize does it; channels last, which takes less time than planes
    cut = cut[None].contiguous(memory_format=torch.channels_last)
    resized = functional.interpolate(cut, square.shape[1:], mode="bilinear", antialias=True)
    return resized[0].contiguous()


def _orientation(image: Image.Image) -> int | None:
    try:
        orientation: int | None = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - whatever a broken header makes Pillow raise
        return None
    return orientation


def _jpeg_pixels(image: Image.Image, square: Square, box_of: BoxOf) -> torch.Tensor | None:
    """Return the pixels of an ordinary JPEG by torchcodec; None: Pillow is to read it.

    Both give the same bits; torchcodec takes less time, but cannot shrink while it decodes.
    """
    decode, stream = _jpeg_decoder(), getattr(image, "fp", None)
    # grey of a colour JPEG would be its luma, which is not what Pillow makes of red, green and blue
    usual = image.format == "JPEG" and (image.mode, square.channels) in _USUAL
    if decode is None or not usual or not isinstance(stream, io.BytesIO):
        return None
    if _shrink(image.width, image.height, square, box_of) > 1:
        return None
    return decode(stream.getvalue(), mode="GRAY" if square.channels == 1 else "RGB")


def _shrink(width: int, height: int, square: Square, box_of: BoxOf) -> int:
    """Return by how much an image may shrink so that its box is still large enough."""
    box = box_of(width, height)
    return min(box.width, box.height) // square.resolution


def _pillow_pixels(image: Image.Image, square: Square, box_of: BoxOf | None) -> torch.Tensor:
    if box_of is not None and (shrink := _shrink(*image.size, square, box_of)) > 1:
        sides = math.ceil(image.width / shrink), math.ceil(image.height / shrink)
        image.draft(None, sides)  # a large JPEG shrinks by 2, 4 or 8 while it is decoded
    image.load()
    array = np.array(eight_bits(upright(image), square.channels, square.bits), dtype=np.uint8)
    pixels = torch.from_numpy(array)
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


@cache
def _jpeg_decoder() -> Callable[..., torch.Tensor] | None:
    """Return torchcodec's decoder; None: it is not installed, or not for this torch."""
    try:
        from torchcodec import decoders  # noqa: PLC0415 - may be missing
    except (ImportError, OSError, RuntimeError) as error:
        _LOG.info("JPEGs are decoded by Pillow, some 20 %% slower than by torchcodec: %s", error)
        return None
    decoder: Callable[..., torch.Tensor] | None = getattr(decoders, "decode_jpeg", None)
    return decoder
