"""How images are cut out and changed for training; random numbers decide, one batch at a time.

Source of random-resized crops: Szegedy et al. 2015 (arXiv 1409.4842), as torchvision does them;
its transforms draw from the global generator, so the draws are here and the pixels are its own.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from raynas.settings.images import ImageSettings

CropKind = Literal["centre", "shift", "random_resized"]
Policy = Literal["none", "trivial", "rand", "auto"]
_TRIES = 10  # boxes of which the first that fits into the image is taken
_LEAST_SIDE = 128  # pixels of photographs from which crops of any part still show something
_USUAL_RATIO = 0.875  # 224 of 256 pixels
_TINY = 16  # pixels of an image in which one more or less matters


@dataclass(frozen=True)
class Crops:
    """What is done to a training image.

    Attributes:
        kind: The middle square; that, shifted by up to an eighth of its side; or a box of random
            area, aspect and place in the original, resized.
        mirror: Whether half of the images are mirrored.
        jitter: Brightness, contrast and saturation are multiplied by a factor in 1 +- this.
        least_area: Of a random box, as a share of the image's.
        most_aspect: Of a random box, width by height or the reverse.
        lighting: Standard deviation of the light's colour, in principal components of pixels.
        policy: Which operations are drawn for each image: none, or those of TrivialAugmentWide,
            RandAugment or AutoAugment.
    """

    kind: CropKind = "centre"
    mirror: bool = False
    jitter: float = 0.0
    least_area: float = 0.08
    most_aspect: float = 4 / 3
    lighting: float = 0.0
    policy: Policy = "none"

    @property
    def are_of_originals(self) -> bool:
        """Whether they are cut out of the image as it is in its file."""
        return self.kind == "random_resized"


CENTRE = Crops()
"""As evaluation sees images."""


class Box(NamedTuple):
    """A part of an image, in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class RandomBoxes:
    """A box for each of N images, whatever their sizes.

    Attributes:
        areas: N x tries, shares of the image's area.
        aspects: N x tries, width by height.
        places: N x 2 in [0, 1): from left to right, and from top to bottom.
    """

    areas: list[list[float]]
    aspects: list[list[float]]
    places: list[list[float]]

    def of(self, number: int, width: int, height: int) -> Box:
        """Return the box of an image of a size: the first that fits, else the middle one."""
        x, y = self.places[number]
        for share, aspect in zip(self.areas[number], self.aspects[number], strict=True):
            w = round(math.sqrt(width * height * share * aspect))
            h = round(math.sqrt(width * height * share / aspect))
            if 0 < w <= width and 0 < h <= height:
                return Box(int(x * (width - w + 1)), int(y * (height - h + 1)), w, h)
        side = min(width, height)
        return Box((width - side) // 2, (height - side) // 2, side, side)


def random_boxes(crops: Crops, count: int, rng: np.random.Generator) -> RandomBoxes:
    """Return boxes for so many images."""
    reach = math.log(crops.most_aspect)
    areas = rng.uniform(crops.least_area, 1, (count, _TRIES))
    aspects = np.exp(rng.uniform(-reach, reach, (count, _TRIES)))
    return RandomBoxes(areas.tolist(), aspects.tolist(), rng.random((count, 2)).tolist())


def crops_of(settings: ImageSettings, channels: int, resolution: int, side: int) -> Crops:
    """Return what settings mean for images of that kind.

    Args:
        settings: What a person wants.
        channels: 1 for grey, 3 for colour.
        resolution: Pixels that a network sees.
        side: The median of the images' shorter sides.
    """
    kind = settings.crop
    if kind == "auto":
        kind = _usual(channels, resolution, side)
        if kind == "random_resized" and settings.in_memory == "yes":
            kind = "shift"
    # digits and letters have no mirror images
    mirror = kind != "centre" and channels == 3
    return Crops(
        kind,
        mirror if settings.mirror == "auto" else settings.mirror == "yes",
        settings.colour_jitter,
        settings.crop_area,
        settings.crop_aspect,
        settings.lighting if channels == 3 else 0.0,
    )


def evaluation_ratio(settings: ImageSettings, crops: Crops) -> float:
    """Return the side of the square that evaluation sees, as a share of the shorter side."""
    if settings.evaluation_ratio is not None:
        return settings.evaluation_ratio
    return _USUAL_RATIO if crops.are_of_originals else 1.0


def crop_words(crops: Crops, ratio: float) -> str:
    """Return in a few words how images are cut, where that is not the whole middle square."""
    words = []
    if crops.are_of_originals:
        words.append(f"cut to random parts ({crops.least_area:g} to 1 of the area)")
    elif crops.kind == "shift":
        words.append("shifted")
    if crops.mirror:
        words.append("mirrored")
    if crops.jitter:
        words.append(f"with other colours (by {crops.jitter:g})")
    if crops.lighting:
        words.append(f"in other light (by {crops.lighting:g})")
    seen = f"; evaluation sees the middle {ratio:g} of the shorter side" if ratio < 1 else ""
    return f"{', '.join(words)} for training{seen}" if words else seen.removeprefix("; ")


def _usual(channels: int, resolution: int, side: int) -> CropKind:
    """Return how images are mostly cut.

    Photographs that are larger than what a network sees lose nothing by being cut at random;
    in small images one pixel is too much, or a few are what there is.

    Args:
        channels: 1 for grey, 3 for colour.
        resolution: Pixels that a network sees.
        side: The median of the images' shorter sides.
    """
    if channels == 3 and resolution >= _LEAST_SIDE and side >= resolution:
        return "random_resized"
    return "centre" if resolution < _TINY else "shift"
