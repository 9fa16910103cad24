"""From ``--data`` to a data set: which images there are, which can be read, what they become."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raynas.data.bit_depths import Depth, depth_of
from raynas.data.cache import cache_folder
from raynas.data.crops import Crops, crops_of, evaluation_ratio
from raynas.data.dataset import Dataset, EncodedImages, Images, Part
from raynas.data.decoding import Square
from raynas.data.headers import HEADERS, headers_of
from raynas.data.image_index import PARTS, ImageIndex, Source
from raynas.data.in_blocks import Say, Spread, in_threads, silent
from raynas.data.listed import listed
from raynas.data.memory import is_held_in_memory
from raynas.data.sources import open_source
from raynas.data.splits import keeps_val, share_of, split
from raynas.data.survey import Survey, survey
from raynas.data.validation import refuse_corrupt, refuse_parts, refuse_unusable
from raynas.seeds import Stream, random_numbers
from raynas.settings.images import ImageSettings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.uris import shown

Numbers = npt.NDArray[np.int64]
_SAMPLE = 1000  # images that are decoded for what only pixels show, where not all of them are


class _Input(NamedTuple):
    """Images as they lie, and what they become."""

    data: str
    source: Source
    images: ImageIndex
    headers: pa.Table
    square: Square
    crops: Crops


class _Looked(NamedTuple):
    """What decoding showed.

    Attributes:
        numbers: Of the images that were decoded.
        survey: What each of them is like.
        readable: One for each image; without decoding, its header decides.
    """

    numbers: Numbers
    survey: Survey
    readable: npt.NDArray[np.bool_]


def load_dataset(
    data: str, settings: ImageSettings, seed: int, usual_resolution: int, say: Say = silent
) -> Dataset:
    """Return the data set of ``read_images``, read by this process."""
    return read_images(data, settings, seed, usual_resolution, say)[0]


def as_recorded(dataset: Dataset, facts: PlanFacts) -> Dataset:
    """Return the images of a run with the mean and the deviation that it recorded.

    They may be those of trained weights, and another machine may look at other images for them.
    """
    if facts.mean is None or facts.std is None:
        return dataset
    return dataset.normalised_by(facts.mean, facts.std)


def read_images(  # noqa: PLR0913 - what is read, and who reads
    data: str,
    settings: ImageSettings,
    seed: int,
    usual_resolution: int,
    say: Say = silent,
    spread: Spread = in_threads,
) -> tuple[Dataset, pa.Table]:
    """Find the images, look at them, and split them; decode them where they fit into memory.

    Args:
        data: A name, a folder or a URI, as ``--data`` takes it.
        settings: Resolution, split fractions and how many corrupt images are bearable.
        seed: Seed of the split.
        usual_resolution: Pixels to resize to where images differ in size and none was asked for.
        say: Hears now and then how far it is.
        spread: Who looks at files.

    Returns:
        The data set, and what is known of each image, as ``listed`` has it.

    Raises:
        UserError: No such data, a single class, or too many images that cannot be read.
    """
    cache = cache_folder(settings.cache)
    source, data = open_source(data, settings.parts, cache, say), shown(data)
    refuse_unusable(data, source)
    images = share_of(source.images, settings.share, seed)
    headers = headers_of(images, cache, say, spread)
    given = _Input(data, source, images, headers, *_form(headers, settings, usual_resolution))
    look = partial(survey, square=given.square, cache=cache, say=say, spread=spread)
    looked, parts = _surveyed(given, settings, seed, look)
    dataset = _dataset(given, looked, parts, settings)
    return dataset, listed(images, headers, parts, source.class_names)


def _surveyed(
    given: _Input, settings: ImageSettings, seed: int, look: Callable[..., Survey]
) -> tuple[_Looked, dict[str, Numbers]]:
    """Decode all images, or some of them where all would take long, and split what is readable."""
    images, square = given.images, given.square
    size = len(images) * int(np.prod(square.shape))
    held = not given.crops.are_of_originals and is_held_in_memory(given.data, size, settings)
    if held or settings.verify or len(images) <= _SAMPLE or not images.are_files:
        found = look(images, keep=held)
        parts = _parts(given, found.readable, settings, seed)
        return _Looked(np.arange(len(images)), found, found.readable), parts
    readable = given.headers["width"].to_numpy() > 0
    parts = _parts(given, readable, settings, seed)
    numbers = _sample(parts["train"], seed)
    found = look(images.take(numbers), keep=False)
    broken = images.take(numbers[~found.readable])
    refuse_corrupt(given.data, broken, len(numbers), settings.max_corrupt, square)
    return _Looked(numbers, found, readable), parts


def _dataset(
    given: _Input, looked: _Looked, parts: dict[str, Numbers], settings: ImageSettings
) -> Dataset:
    """Return the data set of images that were looked at and split."""
    images, square, (numbers, found, readable) = given.images, given.square, looked
    train, val, test = (_part(images, parts[part], found, square, settings) for part in PARTS)
    trained = found.readable & np.isin(numbers, parts["train"])
    mean, std = _mean_and_std(found.sums[trained], square.resolution**2)
    return Dataset(
        train,
        val,
        test,
        given.source.class_names,
        skipped=tuple(raw.name for raw in images.take(np.flatnonzero(~readable))),
        mean=mean,
        std=std,
        ignored=given.source.ignored,
        passed_over=given.source.passed_over,
        parts=given.source.parts,
        sides=_sides(given.headers),
        depth=_depth(given.headers, numbers, found, settings.bits),
        crops=given.crops,
        evaluation_ratio=square.ratio,
        keeps_val=keeps_val(images.parts),
    )


def _parts(
    given: _Input, readable: npt.NDArray[np.bool_], settings: ImageSettings, seed: int
) -> dict[str, Numbers]:
    """Return the images of each part by number, without those that cannot be read."""
    data, images = given.data, given.images
    broken = images.take(np.flatnonzero(~readable))
    refuse_corrupt(data, broken, len(images), settings.max_corrupt, given.square)
    kept = np.flatnonzero(readable)
    labels, is_kept = images.labels[kept], keeps_val(images.parts)
    parts = split(images.parts[kept], labels, settings, seed, kept=is_kept)
    last = "val" if is_kept else "test"
    refuse_parts(data, parts, labels, given.source.class_names, last)
    return {part: kept[indices] for part, indices in parts.items()}


def _depth(headers: pa.Table, looked: Numbers, found: Survey, bits: int | None) -> Depth:
    """Return what the images of more than eight bits are like, of those that were decoded."""
    colours = headers["channels"].to_numpy()[looked] > 1
    among = None if len(looked) == len(headers) else len(looked)
    return depth_of(found.peaks.tolist(), colours.tolist(), bits, among)


def _form(headers: pa.Table, settings: ImageSettings, usual: int) -> tuple[Square, Crops]:
    """Return what the images become: colour if one of them is, their own size if they agree.

    Args:
        headers: Those of the images.
        settings: Resolution and bits that a person wants.
        usual: The resolution of the space.
    """
    width, height, channels = (headers[name].to_numpy() for name in HEADERS.names[:3])
    sides = np.union1d(width[width > 0], height[height > 0])
    own = int(sides[0]) if len(sides) == 1 else None
    depth = 1 if (channels[width > 0] == 1).all() else 3
    resolution = settings.resolution or own or usual
    side = _sides(headers)[1] if len(sides) else 0
    crops = crops_of(settings, depth, resolution, side)
    return Square(resolution, depth, settings.bits, evaluation_ratio(settings, crops)), crops


def _sides(headers: pa.Table) -> tuple[int, int, int]:
    """Return the smallest, the median and the largest of the images' shorter sides."""
    width, height = headers["width"].to_numpy(), headers["height"].to_numpy()
    sides = np.sort(np.minimum(width, height)[width > 0])
    return int(sides[0]), int(sides[len(sides) // 2]), int(sides[-1])


def _sample(train: Numbers, seed: int) -> Numbers:
    """Return some training images, which stand for all of them."""
    drawn = random_numbers(seed, Stream.LOOKED_AT).permutation(len(train))[:_SAMPLE]
    return np.sort(train[drawn])


def _part(
    images: ImageIndex, numbers: Numbers, found: Survey, square: Square, settings: ImageSettings
) -> Part:
    if found.pixels is not None:
        return Images(found.pixels[numbers], images.labels[numbers])
    workers = 2 if settings.loader_workers is None else settings.loader_workers
    part = images.take(numbers)
    return EncodedImages(part, part.labels, square, workers, settings.max_corrupt)


def _mean_and_std(
    sums: npt.NDArray[np.int64], area: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return both per channel, for pixels in [0, 1], from sums that are exact.

    Args:
        sums: N x C x 2, an image's sum of pixels and of their squares.
        area: Pixels of an image.
    """
    first, second = (sums.sum(axis=0) / (len(sums) * area)).T  # E[p] and E[p^2], C each
    std = np.sqrt(np.maximum(second - first**2, 0)) / 255
    return (first / 255).astype(np.float32), np.maximum(std, 1e-3).astype(np.float32)
