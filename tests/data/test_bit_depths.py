"""Images of 16 bits: what is said of their numbers, and how they keep their levels."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile

from raynas.data.bit_depths import Depth, depth_warnings, is_deep
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.settings.images import ImageSettings
from tests.data.samples import picture, write_tree


def tree(root: Path, highest: int, others: int | None = None) -> str:
    """Write a tree of grey images of 16 bits whose highest numbers are those."""
    ramps = [np.linspace(0, high or highest, 256) for high in (highest, others)]
    images = [Image.fromarray(ramp.reshape(16, 16).astype(np.uint16)) for ramp in ramps]
    return write_tree(root, dict.fromkeys("ab", images[:1] * 6 + images[1:] * 2))


def load(data: str, bits: int | None = None) -> Dataset:
    """Load a data set as a run does."""
    return load_dataset(data, ImageSettings(bits=bits), 0, 16)


def said(dataset: Dataset, bits: int | None = None) -> list[str]:
    """Return what the plan warns of."""
    assert dataset.depth is not None
    return depth_warnings(dataset.depth, bits)


def levels(dataset: Dataset) -> int:
    """Return how many different pixels there are."""
    return len(np.unique(dataset.train.take(np.arange(len(dataset.train))).pixels))


@pytest.mark.parametrize(
    ("highest", "left", "bits"),
    [(255, 1, 8), (100, 1, 8), (1023, 4, 10), (4095, 16, 12), (3000, 12, 12), (16383, 64, 14)],
)
def test_numbers_that_leave_the_upper_bits_empty_are_warned_of_with_the_setting_that_keeps_them(
    tmp_path: Path, highest: int, left: int, bits: int
) -> None:
    data = tree(tmp_path, highest)
    numbers = np.linspace(0, highest, 256).astype(int)

    (warning,) = said(load(data))
    assert warning == (
        f"16 images of 16 bits hold no number above {highest:,}, so {KEPT} {left} of 256 levels; "
        f"--images.bits {bits} keeps what they have"
    )
    assert levels(load(data)) == left
    assert levels(load(data, bits)) == len(np.unique(numbers >> bits - 8)) > 100
    assert said(load(data, bits), bits) == []


def test_ordinary_images_of_16_bits_are_read_as_ever_and_not_talked_about(tmp_path: Path) -> None:
    dataset = load(tree(tmp_path, 65535))

    assert said(dataset) == []
    assert levels(dataset) == 256
    assert levels(load(str(tmp_path), 16)) == 256


def test_dark_ones_among_others_are_counted(tmp_path: Path) -> None:
    (warning,) = said(load(tree(tmp_path, 65535, 255)))

    assert warning.startswith("4 of 16 images of 16 bits hold no number above 255 and become black")


def test_too_few_bits_are_warned_of_with_enough(tmp_path: Path) -> None:
    (warning,) = said(load(tree(tmp_path, 900, 4000), 10), 10)

    assert warning == (
        "4 images hold numbers above 1,023, which become white; --images.bits 12 keeps them apart"
    )


def test_images_of_eight_bits_are_never_talked_about(tmp_path: Path) -> None:
    modes = {"L": 9, "RGB": (9, 9, 9), "1": 1, "LA": (9, 255)}
    classes = {mode: [picture(colour, mode)] * 4 for mode, colour in modes.items()}
    dataset = load(write_tree(tmp_path, classes), 12)

    assert dataset.depth == Depth()
    assert said(dataset, 12) == said(dataset) == []


KEPT, TAKEN = "their upper eight bits keep", "the upper eight bits are taken"
REMEDY = "write them as 8 bits"


def colour_png(numbers: npt.NDArray[np.uint16]) -> bytes:
    """Return a PNG file of 16 bits in colour, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    height, width, _ = numbers.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("deep", [True, False])
def test_tiles_without_names_which_older_pillows_have_are_read_too(deep: bool) -> None:
    content = io.BytesIO(colour_png(np.full((8, 8, 3), 200, dtype=np.uint16)))
    if not deep:
        picture((9, 9, 9), "RGB").save(content := io.BytesIO(), "png")
    image = Image.open(content)
    assert isinstance(image, ImageFile.ImageFile)
    vars(image)["tile"] = [tuple(tile) for tile in image.tile]

    assert not hasattr(image.tile[0], "args")
    assert is_deep(image) == deep


def test_dark_images_in_colour_are_warned_of_though_only_their_upper_bits_can_be_read(
    tmp_path: Path,
) -> None:
    content = colour_png(np.full((8, 8, 3), 200, dtype=np.uint16))
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[number % 2] / f"{number}.png").write_bytes(content)

    assert said(load(str(tmp_path))) == [
        f"8 images of 16 bits hold no number above 255, so {KEPT} 1 of 256 levels; {REMEDY}",
    ]
    assert said(load(str(tmp_path), 8), 8) == [
        f"8 images of 16 bits are in colour, of which {TAKEN} in spite of --images.bits 8; {REMEDY}"
    ]
