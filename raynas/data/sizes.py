"""Whether images, resolution and space fit each other, as sentences for a person."""

from collections.abc import Iterator

from raynas.data.dataset import Dataset
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
    resolution, channels = dataset.resolution, dataset.channels
    sides = map_sides(space, resolution, channels)
    single = sides.count(1)
    if not single:
        return
    larger = range(resolution // 8 * 8 + 8, resolution + _FITTING + 1, 8)
    enough = next((side for side in larger if 1 not in map_sides(space, side, channels)), None)
    advice = f"--resolution {enough} is enough" if enough else "raise --resolution"
    yield (
        f"at {resolution} pixels {single} of {len(sides)} {space.part}s of {space.name} see maps "
        f"of one pixel, where kernels of all sizes do the same; {advice}, or use a smaller space"
    )
