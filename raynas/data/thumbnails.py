"""Small pictures of images, as networks see them."""

import io

from PIL import Image

from raynas.data.decoding import Pixels

SIDE = 96
"""Pixels of the longest side."""
_EXACT = 48  # up to this many pixels JPEG's blocks of eight would be what is seen most


def thumbnail(pixels: Pixels) -> bytes:
    """Return an image as a PNG file if it is tiny, else as a JPEG file.

    Args:
        pixels: C x H x W bytes; of grey images C is 1.
    """
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    image.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    if max(image.size) <= _EXACT:
        image.save(content, "PNG", optimize=True)
    else:
        image.save(content, "JPEG", quality=85, optimize=True)
    return content.getvalue()
