"""A data set: images of one size, split three ways, ready for batches.

Where the decoded images fit into memory they are decoded at the start and kept. Otherwise they stay
encoded where they are and are decoded whenever they are taken, to the same pixels; at the start
their headers are read, and the pixels of some of them.

Search and early stopping see train and validation only; the test part is read once, for
``outcomes.test_accuracy``. Splits that the data does not name are cut by the seed, class by class.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.data.bit_depths import Depth
from raynas.data.decoding import Pixels, Square, decode, decode_all
from raynas.data.encoded_images import Opener, Raws
from raynas.data.file_opening import local_file
from raynas.errors import StageError

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
        raws: N images that were there when the data set was loaded.
        labels: N, int64, an index into the class names.
        square: What they are decoded to.
        workers: Processes that decode them ahead for each consumer.
    """

    raws: Raws
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
