"""A data set: images of one size, split three ways, ready for batches.

Every image is decoded once at the start, which finds the broken ones and the pixels' mean and
standard deviation. Where the decoded images fit into memory they are kept; otherwise they stay
encoded and are decoded again whenever they are taken, to the same pixels.

Search and early stopping see train and validation only; the test part is read once, for
``outcomes.test_accuracy``. Splits that the data does not name are cut by the seed, class by class.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.data.bit_depths import Depth, depth_of
from raynas.data.decoding import (
    Pixels,
    Say,
    Square,
    Survey,
    decode,
    decode_all,
    inspect,
    silent,
    survey,
)
from raynas.data.encoded_images import Opener, RawImage
from raynas.data.memory import is_held_in_memory
from raynas.data.sources import local_file, open_source
from raynas.data.splits import share_of, split
from raynas.data.validation import refuse_corrupt, refuse_parts, refuse_unusable
from raynas.errors import StageError
from raynas.settings.stages import ImageSettings
from raynas.storage.uris import shown

_LOG = logging.getLogger(__name__)
_SUBSTITUTES = 8  # images that are tried in the place of one that is gone

DecodeAll = Callable[[Sequence[Opener], Square], tuple[Pixels, npt.NDArray[np.bool_]]]


@dataclass(frozen=True)
class Images:
    """Decoded images and their classes.

    Attributes:
        pixels: N x C x H x W, uint8.
        labels: N, int64, an index into the class names.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def square(self) -> Square:
        """The form of each image."""
        _, channels, resolution, _ = self.pixels.shape
        return Square(resolution, channels)

    def take(self, indices: npt.NDArray[np.int64]) -> "Images":
        """Return the images of those indices, copied."""
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class EncodedImages:
    """Images that are decoded when they are taken, for they do not fit into memory.

    Attributes:
        raws: N images that could be decoded when the data set was loaded.
        labels: N, int64, an index into the class names.
        square: What they are decoded to.
        workers: Processes that decode them ahead for each consumer.
    """

    raws: Sequence[RawImage]
    labels: npt.NDArray[np.int64]
    square: Square
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.int64], decode_them: DecodeAll = decode_all) -> Images:
        """Return the images of those indices, decoded.

        Args:
            indices: Which ones.
            decode_them: Who decodes; no influence on the result.

        Raises:
            StageError: Too many of them are gone since the data set was loaded.
        """
        openers = [self.raws[index].open for index in indices]
        pixels, readable = decode_them(openers, self.square)
        for place in np.flatnonzero(~readable):
            pixels[place] = self._substitute(int(indices[place]))
        return Images(pixels, self.labels[indices])

    def _substitute(self, lost: int) -> Pixels:
        """Return the pixels of the next image of the same class that can still be read."""
        _LOG.warning("%s could be read before and cannot be now", self.raws[lost].name)
        alike = np.flatnonzero(self.labels == self.labels[lost])
        others = np.roll(alike, -1 - np.searchsorted(alike, lost))
        for other in others[:_SUBSTITUTES]:
            pixels = decode(self.raws[other].open, self.square)
            if pixels is not None:
                return pixels
        raise StageError(
            f"data: {self.raws[lost].name} and {min(len(alike), _SUBSTITUTES)} more of its class "
            "could be read before and cannot be now; bring them back and run the same command again"
        )


Part = Images | EncodedImages


@dataclass(frozen=True)
class Dataset:
    """The three parts of the data, and what a network must know about them.

    Attributes:
        train: Images that weights and batch norms are trained on.
        val: Images that choices are made on.
        test: Images that are looked at once, at the end.
        class_names: In the order of the labels.
        skipped: Names of images that could not be read.
        mean: Of the training pixels per channel, in [0, 1].
        std: Likewise the standard deviation.
        ignored: Files that were passed over, by ending, such as "30 heic".
        passed_over: Folders and links that were, such as "@eaDir/ (2)".
        parts: Where parts lie whose folders are called otherwise, such as "train: training_set".
        sides: Smallest, median and largest of the images' own shorter sides in pixels, where known.
        depth: What its images of more than eight bits are like, where known.
    """

    train: Part
    val: Part
    test: Part
    class_names: tuple[str, ...]
    skipped: tuple[str, ...]
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    ignored: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    sides: tuple[int, int, int] | None = None
    depth: Depth | None = None

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.train.square.channels

    @property
    def resolution(self) -> int:
        """Height and width in pixels."""
        return self.train.square.resolution

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """The number of images of each class in each part."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {
            name: np.bincount(part.labels, minlength=self.num_classes).tolist()
            for name, part in parts.items()
        }

    @property
    def file_to_read(self) -> str | None:
        """A file on a local path that workers will open; None: images come to them."""
        raws = self.train.raws if isinstance(self.train, EncodedImages) else ()
        return next(filter(None, map(local_file, raws)), None)


def load_dataset(
    data: str,
    settings: ImageSettings,
    seed: int,
    usual_resolution: int,
    say: Say = silent,
) -> Dataset:
    """Read, decode, resize and split the images.

    Args:
        data: A name, a folder or a URI, as ``--data`` takes it.
        settings: Resolution, split fractions and how many corrupt images are bearable.
        seed: Seed of the split.
        usual_resolution: Pixels to resize to where images differ in size and none was asked for.
        say: Hears now and then how far it is.

    Raises:
        UserError: No such data, a single class, or too many images that cannot be read.
    """
    source, data = open_source(data, settings.parts), shown(data)
    refuse_unusable(data, source)
    raws = share_of(source.images, settings.share, seed)
    looked_at = inspect(raws, say)
    shapes = [shape for shape in looked_at if shape]
    square = _square(shapes, settings, usual_resolution)
    held = is_held_in_memory(data, len(raws) * int(np.prod(square.shape)), settings)
    found = survey(raws, square, held, say)
    skipped = [raw for raw, good in zip(raws, found.readable, strict=True) if not good]
    refuse_corrupt(data, skipped, len(raws), settings.max_corrupt, square)
    kept = np.flatnonzero(found.readable)
    labels = np.array([raws[index].label for index in kept], dtype=np.int64)
    parts = split([raws[index].split for index in kept], labels, settings, seed)
    refuse_parts(data, parts, labels, source.class_names)
    workers = 2 if settings.loader_workers is None else settings.loader_workers
    train, val, test = (
        _part(raws, kept[parts[name]], found, square, workers) for name in ("train", "val", "test")
    )
    mean, std = _mean_and_std(found.sums[kept[parts["train"]]], square.resolution**2)
    sides = sorted(min(shape[1:]) for shape in shapes)
    return Dataset(
        train,
        val,
        test,
        source.class_names,
        tuple(raw.name for raw in skipped),
        mean,
        std,
        source.ignored,
        source.passed_over,
        source.parts,
        (sides[0], sides[len(sides) // 2], sides[-1]),
        depth_of(
            found.peaks.tolist(),
            [bool(shape and shape[0] > 1) for shape in looked_at],
            settings.bits,
        ),
    )


def _square(shapes: Sequence[tuple[int, int, int]], settings: ImageSettings, usual: int) -> Square:
    """Return what the images become: colour if one of them is, their own size if they agree.

    Args:
        shapes: Channels, height and width of each.
        settings: Resolution and bits that a person wants.
        usual: Those of the space.
    """
    sides = {side for shape in shapes for side in shape[1:]}
    own = sides.pop() if len(sides) == 1 else None
    grey = all(shape[0] == 1 for shape in shapes)
    return Square(settings.resolution or own or usual, 1 if grey else 3, settings.bits)


def _part(
    raws: Sequence[RawImage],
    indices: npt.NDArray[np.int64],
    found: Survey,
    square: Square,
    workers: int,
) -> Part:
    labels = np.array([raws[index].label for index in indices], dtype=np.int64)
    if found.pixels is not None:
        return Images(found.pixels[indices], labels)
    return EncodedImages([raws[index] for index in indices], labels, square, workers)


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
