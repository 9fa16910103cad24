"""Every mode that Pillow reads, as files: grey or colour, brightness, transparency, rotation."""

import io
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raynas.data.decoding import Pixels, Square, decode, why_broken
from raynas.data.encoded_images import RawImage
from raynas.data.headers import read_headers
from raynas.data.pixel_formats import is_grey

GREY, COLOUR = Square(8, 1), Square(8, 3)


def saved(image: Image.Image, ending: str = "png", **how: Any) -> Callable[[], Image.Image]:
    """Return what opens an image that was written in that format."""
    stream = io.BytesIO()
    image.save(stream, ending, **how)
    return partial(reopened, stream.getvalue())


def reopened(content: bytes) -> Image.Image:
    """Open a file's content."""
    return Image.open(io.BytesIO(content))


def numbers(value: float, kind: str, side: int = 8) -> Image.Image:
    """Return an image of one number of that NumPy type, with a darker corner."""
    values = np.full((side, side), value, dtype=kind)
    values[0, 0] = 0
    return Image.fromarray(values)


def read(opener: Callable[[], Image.Image], square: Square = GREY) -> Pixels:
    """Return the pixels of an image that can be read."""
    pixels = decode(opener, square)
    assert pixels is not None
    return pixels


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "kind", "ending", "wanted"),
        [
            (40000, "uint16", "png", 156),
            (40000, "uint16", "tiff", 156),
            (200, "int32", "tiff", 200),
            (40000, "int32", "tiff", 156),
            (0.5, "float32", "tiff", 128),
            (1.0, "float32", "tiff", 255),
            (100.2, "float32", "tiff", 100),
        ],
    )
    def test_wide_numbers_keep_their_brightness(
        self, value: float, kind: str, ending: str, wanted: int
    ) -> None:
        assert read(saved(numbers(value, kind), ending))[0, 4, 4] == wanted

    @pytest.mark.parametrize(
        ("value", "kind", "ending", "bits", "wanted"),
        [
            (4095, "uint16", "png", 12, 255),
            (2048, "uint16", "tiff", 12, 128),
            (4096, "uint16", "png", 12, 255),
            (200, "uint16", "png", 8, 200),
            (1000, "uint16", "png", 10, 250),
            (40000, "uint16", "png", 16, 156),
            (2048, "int32", "tiff", 12, 128),
            (160, "int32", "tiff", 12, 10),
            (200, "uint8", "png", 12, 200),
        ],
    )
    def test_numbers_of_fewer_bits_keep_the_upper_eight_of_these(
        self, value: int, kind: str, ending: str, bits: int, wanted: int
    ) -> None:
        pixels = read(saved(numbers(value, kind), ending), Square(8, 1, bits))

        assert pixels[0, 4, 4] == wanted

    @pytest.mark.parametrize(
        ("value", "kind", "words"),
        [
            (-3, "int32", "its numbers lie in [-3, 0], wanted them in [0, 255] or [0, 65535]"),
            (70000, "int32", "wanted them in [0, 255] or [0, 65535]"),
            (-0.5, "float32", "its numbers lie in [-0.5, 0], wanted them in [0, 1] or [0, 255]"),
            (3000, "float32", "wanted them in [0, 1] or [0, 255]"),
            (np.nan, "float32", "wanted them in [0, 1] or [0, 255]"),
        ],
    )
    def test_numbers_that_are_no_brightness_make_a_broken_image_that_says_why(
        self, value: float, kind: str, words: str
    ) -> None:
        opener = saved(numbers(value, kind), "tiff")

        assert decode(opener, GREY) is None
        assert words in why_broken(opener, GREY)


class TestTransparency:
    def test_a_palette_with_transparent_colours_shows_white_there_without_a_warning(self) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([9, 9, 9, 200, 100, 50])
        image.paste(0, (0, 0, 4, 8))
        clear = saved(image, transparency=bytes([0, 255]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels = read(clear, COLOUR)

        assert pixels[:, 4, 0].tolist() == [255, 255, 255]
        assert pixels[:, 4, 7].tolist() == [200, 100, 50]

    @pytest.mark.parametrize(
        ("mode", "colour", "square"), [("L", 30, GREY), ("RGB", (30, 30, 30), COLOUR)]
    )
    def test_one_colour_that_stands_for_transparent_shows_white(
        self, mode: str, colour: Any, square: Square
    ) -> None:
        drawn = Image.new(mode, (8, 8), colour)
        drawn.paste(Image.new(mode, (4, 8)), (0, 0))
        pixels = read(saved(drawn, transparency=colour), square)

        assert (pixels[:, 4, 7] == 255).all()
        assert (pixels[:, 4, 0] == 0).all()

    def test_a_black_drawing_on_nothing_can_be_seen(self) -> None:
        drawing = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        drawing.paste((0, 0, 0, 255), (2, 2, 6, 6))

        assert set(read(saved(drawing), COLOUR).ravel().tolist()) == {0, 255}


class TestRotation:
    @pytest.mark.parametrize("ending", ["jpeg", "png", "webp", "tiff"])
    @pytest.mark.parametrize(
        ("orientation", "corner"),
        [
            (1, (0, 0)),
            (2, (0, -1)),
            (3, (-1, -1)),
            (4, (-1, 0)),
            (5, (0, 0)),
            (6, (0, -1)),
            (7, (-1, -1)),
            (8, (-1, 0)),
        ],
    )
    def test_all_eight_orientations_put_the_first_corner_where_it_belongs(
        self, ending: str, orientation: int, corner: tuple[int, int]
    ) -> None:
        image = Image.new("L", (16, 16))
        image.paste(255, (0, 0, 8, 8))
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = read(saved(image.convert("RGB"), ending, exif=exif))[0]

        assert pixels[corner] > 240
        assert int(pixels.astype(int).sum()) == pytest.approx(255 * 16, rel=0.1)

    def test_a_damaged_header_costs_the_rotation_only(self) -> None:
        opener = saved(Image.new("RGB", (8, 8), (90, 90, 90)), exif=b"Exif\0\0MM nonsense")

        assert read(opener)[0, 4, 4] == 90


class TestWhatIsBroken:
    def test_a_truncated_file_says_so(self) -> None:
        stream = io.BytesIO()
        Image.effect_noise((64, 64), 80).save(stream, "jpeg")
        cut = partial(reopened, stream.getvalue()[:-300])

        assert decode(cut, GREY) is None
        assert "truncated" in why_broken(cut, GREY)

    def test_what_is_no_image_says_so_without_addresses(self) -> None:
        words = why_broken(partial(reopened, b"no image"), GREY)

        assert words == "no image of a kind that Pillow knows"


def test_a_set_is_grey_where_all_its_modes_are() -> None:
    grey = [Image.new(mode, (8, 8)) for mode in ("1", "L", "LA")]
    grey += [numbers(1, kind) for kind in ("uint16", "int32", "float32")]
    raws = [RawImage("", 0, None, saved(image, "tiff")) for image in grey]

    assert all(map(is_grey, grey))
    assert set(read_headers(raws)["channels"].to_pylist()) == {1}
    assert not any(is_grey(Image.new(mode, (8, 8))) for mode in ("P", "RGB", "RGBA", "CMYK"))
