"""What images say of themselves before they are decoded, read once and kept."""

import contextlib
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import feather

from raynas.data.bit_depths import is_deep
from raynas.data.cache import write_whole
from raynas.data.encoded_images import Opener, Raws
from raynas.data.file_opening import FileOpener
from raynas.data.image_index import ImageIndex
from raynas.data.in_blocks import Say, Spread, in_threads, silent, with_progress
from raynas.data.pixel_formats import is_grey
from raynas.storage.retry import StorageError

_VERSION = 2  # of what is kept
HEADERS = pa.schema(
    {"width": pa.int32(), "height": pa.int32(), "channels": pa.int8(), "is_deep": pa.bool_()}
)
"""Pixels, 1 or 3 channels, and whether there may be more than eight bits; 0: cannot be read."""


def headers_of(
    images: ImageIndex, cache: str, say: Say = silent, spread: Spread = in_threads
) -> pa.Table:
    """Return a row of ``HEADERS`` for each image.

    Those of the same files, of the same sizes and times, are taken from the cache.

    Args:
        images: The images.
        cache: A folder; what lies there may be removed at any time.
        say: Hears now and then how far it is.
        spread: Who reads.
    """
    fingerprint = images.fingerprint
    kept = Path(cache).expanduser() / "headers" / f"{_VERSION}-{fingerprint}.arrow"
    if fingerprint is None:
        return _read(images, say, in_threads)
    with contextlib.suppress(OSError, pa.ArrowException):
        found = feather.read_table(kept)
        if found.schema.equals(HEADERS) and len(found) == len(images):
            return found
    found = _read(images, say, spread)
    write_whole(kept, lambda file: feather.write_feather(found, file))
    return found


def _read(images: ImageIndex, say: Say, spread: Spread) -> pa.Table:
    read = with_progress(spread(read_headers, images), len(images), "looking at", say)
    return pa.Table.from_batches([batch for _, batch in read], HEADERS)


def read_headers(images: Raws) -> pa.RecordBatch:
    """Return a row of ``HEADERS`` for each image."""
    rows = [_header(raw.open) for raw in images]
    columns = zip(*rows, strict=True) if rows else [()] * len(HEADERS)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, HEADERS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=HEADERS)


def _header(opener: Opener) -> tuple[int, int, int, bool]:
    try:
        image = opener.header() if isinstance(opener, FileOpener) else opener()
    except StorageError:
        raise  # nothing is known of the image
    except Exception:  # noqa: BLE001 - whatever a broken file makes a decoder raise
        return 0, 0, 0, False
    return _described(image)


def _described(image: Image.Image) -> tuple[int, int, int, bool]:
    return image.width, image.height, 1 if is_grey(image) else 3, is_deep(image)
