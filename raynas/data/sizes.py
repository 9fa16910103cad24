"""Whether images, resolution and space fit each other, as sentences for a person."""

from collections.abc import Iterator

from raynas.data.dataset import Dataset
from raynas.errors import UserError
from raynas.nets.cost import map_sides
from raynas.spaces.protocol import Space

_TINY = 32  # pixels; photographs of fewer are hard to tell even for people
_LARGE = 256  # pixels; more are rarely needed to classify
_PHOTOGRAPH = 64  # pixels; smaller ones are icons, digits or crops
_MANY = 100_000  # images from which networks learn well from random weights
_FITTING = 128  # pixels above the present ones up to which a resolution that fits is sought


def size_words(dataset: Dataset) -> str:
    """Return what sizes the images have by themselves, if they are resized."""
    if dataset.sides is None or set(dataset.sides) == {dataset.resolution}:
        return ""
    low, middle, high = dataset.sides
    if low == high:
        return f"images of {low} pixels, cut to squares and resized"
    return f"images of {low} to {high} pixels (half above {middle}), cut to squares and resized"


def are_photographs(dataset: Dataset) -> bool:
    """Return whether images are so many pixels of colour that weights of ImageNet help with them.

    Hundreds of thousands teach a network as much by themselves.
    """
    is_large = dataset.channels == 3 and dataset.resolution >= _PHOTOGRAPH
    return is_large and len(dataset.train) < _MANY


def size_warnings(space: Space, dataset: Dataset, asked: int | None) -> list[str]:
    """Return a sentence for each thing about the sizes that a person would want to change.

    Args:
        space: The space.
        dataset: The images, as they are after resizing.
        asked: The resolution that a person asked for; what they asked for is not questioned.
    """
    said = list(_maps(space, dataset))
    if asked is None and dataset.sides is not None:
        said += _resizing(space, dataset.resolution, dataset.sides[1])
    return said


def _resizing(space: Space, resolution: int, middle: int) -> Iterator[str]:
    if resolution < _TINY and middle > 2 * resolution:
        yield (
            f"images of {middle} pixels become {resolution} x {resolution}, for which space "
            f"{space.name} was made; choose --resolution 64 or more, or a space for larger images"
        )
    elif resolution > _LARGE and middle == resolution:
        yield (
            f"images are used at their own {resolution} x {resolution} pixels; --resolution 224 "
            f"would be about {(resolution / 224) ** 2:.0f} times as fast and is mostly enough"
        )
    elif resolution > 2 * middle:
        yield (
            f"images of {middle} pixels are enlarged to {resolution} x {resolution}, for which "
            f"space {space.name} was made; --resolution {middle} would be about "
            f"{(resolution / middle) ** 2:.0f} times as fast and may do as well"
        )


def _maps(space: Space, dataset: Dataset) -> Iterator[str]:
    """Say where feature maps are single pixels: kernels of all sizes do the same there."""
    single, layers = _single_pixels(space, dataset)
    if single:
        yield (
            f"at {dataset.resolution} pixels {single} of {layers} {space.part}s of {space.name} "
            "see maps of one pixel, where kernels of all sizes do the same; "
            f"{_enough(space, dataset)}, or use a smaller space"
        )


def refuse_tiny_images(space: Space, dataset: Dataset, start: str) -> None:
    """Refuse images of whose maps most trained kernels would see a single pixel.

    Args:
        space: The searched space.
        dataset: The images, as they are after resizing.
        start: What a person called the trained weights, without keys.

    Raises:
        UserError: Says how many layers would, and which resolution is enough.
    """
    single, layers = _single_pixels(space, dataset)
    if 2 * single > layers:
        raise UserError(
            f"--start {start}: at {dataset.resolution} pixels {single} of {layers} {space.part}s "
            f"of {space.name} see maps of one pixel, where trained kernels are worth nothing but "
            f"in their middle; {_enough(space, dataset)}"
        )


def _single_pixels(space: Space, dataset: Dataset) -> tuple[int, int]:
    """Return how many layers see maps of one pixel, and how many there are."""
    sides = map_sides(space, dataset.resolution, dataset.channels)
    return sides.count(1), len(sides)


def _enough(space: Space, dataset: Dataset) -> str:
    """Return which resolution leaves no layer with a map of one pixel."""
    resolution = dataset.resolution
    larger = range(resolution // 8 * 8 + 8, resolution + _FITTING + 1, 8)
    for side in larger:
        if 1 not in map_sides(space, side, dataset.channels):
            return f"--resolution {side} is enough"
    return "raise --resolution"
