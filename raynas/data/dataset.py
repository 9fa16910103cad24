"""A data set: images of one size, split three ways, ready for batches.

Where the decoded images fit into memory they are decoded at the start and kept. Otherwise they stay
encoded where they are and are decoded whenever they are taken, to the same pixels; at the start
their headers are read, and the pixels of some of them.

Search and early stopping see train and validation only; the test part is read once, for
``outcomes.test_accuracy``. Splits that the data does not name are cut by the seed, class by class;
a validation part without a test part is the test (``raynas.data.splits``).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from raynas.data.batch_requests import Request, decoded
from raynas.data.bit_depths import Depth
from raynas.data.crops import CENTRE, Crops
from raynas.data.decoding import Pixels, Square, why_broken
from raynas.data.encoded_images import Raws
from raynas.data.file_opening import local_file
from raynas.data.image_index import taken
from raynas.data.joined_images import JoinedImages
from raynas.data.lost_images import LostImages
from raynas.errors import StageError
from raynas.storage.run_store import RunStore

_LOG = logging.getLogger(__name__)
_SUBSTITUTES = 8  # images that are tried in the place of one that is gone


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

    some = take


@dataclass(frozen=True)
class EncodedImages:
    """Images that are decoded when they are taken, for they do not fit into memory.

    Attributes:
        raws: N images that were there when the data set was loaded.
        labels: N, int64, an index into the class names.
        square: What they are decoded to.
        workers: Processes that decode them ahead for each consumer.
        max_corrupt: Share of them that may turn out to be unreadable.
        lost: Those that did, in this process, and why, by name.
        recorder: Told of them; None: nobody is.
    """

    raws: Raws
    labels: npt.NDArray[np.int64]
    square: Square
    workers: int = 0
    max_corrupt: float = 1.0
    lost: dict[str, str] = field(default_factory=dict, compare=False)
    recorder: LostImages | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, indices: npt.NDArray[np.int64]) -> "EncodedImages":
        """Return the images of those indices, still encoded."""
        return replace(self, raws=taken(self.raws, indices), labels=self.labels[indices])

    def request(
        self,
        indices: npt.NDArray[np.int64],
        crops: Crops | None = None,
        key: tuple[int, ...] = (),
    ) -> Request:
        """Return what decodes the images of those indices, wherever it is carried out.

        Args:
            indices: Which ones.
            crops: How training images are cut; None: as evaluation sees them.
            key: Seed, stream and place of the random numbers.
        """
        openers = [raw.open for raw in taken(self.raws, indices)]
        return Request(openers, self.square, crops, key)

    def take(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images of those indices as evaluation sees them.

        Raises:
            StageError: Too many images cannot be read.
        """
        request = self.request(indices)
        return self.completed(request, indices, *decoded(request))

    def completed(
        self,
        request: Request,
        indices: npt.NDArray[np.int64],
        pixels: Pixels,
        readable: npt.NDArray[np.bool_],
    ) -> Images:
        """Return the images of a request, others of their classes in the places of broken ones.

        Args:
            request: What was asked for.
            indices: Of which images.
            pixels: What came of it.
            readable: Which of them could be read.

        Raises:
            StageError: Too many images cannot be read.
        """
        if not readable.all():
            pixels = pixels.copy()
        for place in np.flatnonzero(~readable):
            pixels[place] = self._substitute(request, int(place), int(indices[place]))
        return Images(pixels, self.labels[indices])

    def _substitute(self, request: Request, place: int, lost: int) -> Pixels:
        """Return the pixels of the next image of the same class that can be read."""
        self._note(lost)
        alike = np.flatnonzero(self.labels == self.labels[lost])
        others = np.roll(alike, -1 - np.searchsorted(alike, lost))
        for other in others[:_SUBSTITUTES]:
            pixels, readable = decoded(request.at(place, self.raws[other].open), [place])
            if readable[0]:
                found: Pixels = pixels[0]
                return found
        raise StageError(
            f"data: {self.raws[lost].name} and {min(len(alike), _SUBSTITUTES)} more of its class "
            "cannot be read; bring them back and run the same command again"
        )

    def _note(self, lost: int) -> None:
        """Count an image that cannot be read, and end the stage where there are too many.

        Raises:
            StageError: There are.
        """
        name = self.raws[lost].name
        if name not in self.lost:
            self.lost[name] = why_broken(self.raws[lost].open, self.square)
            _LOG.warning(
                "%s cannot be read (%s); the next image of its class takes its place",
                name,
                self.lost[name],
            )
            if self.recorder is not None:
                self.recorder.note(name, self.lost[name])
        of_run = self.recorder.count if self.recorder else len(self.lost)
        images = self.recorder.images if self.recorder else len(self)
        if of_run > self.max_corrupt * images:
            raise StageError(
                f"data: {of_run} of {images} images cannot be read, such as {name} "
                f"({self.lost[name]}); mend or remove them, or raise --images.max-corrupt, and run "
                "the same command again"
            )


Part = Images | EncodedImages | JoinedImages


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
        crops: How its training images are cut.
        evaluation_ratio: Side of the square that evaluation sees, as a share of the shorter side.
        keeps_val: Whether ``test`` is what the data call validation, kept for the end since they
            name no test; ``val`` is then cut off what they train on.
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
    crops: Crops = CENTRE
    evaluation_ratio: float = 1.0
    keeps_val: bool = False

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

    def normalised_by(self, mean: Sequence[float], std: Sequence[float]) -> "Dataset":
        """Return it with a mean and a deviation of each channel that are not its own."""
        return replace(self, mean=np.array(mean, np.float32), std=np.array(std, np.float32))

    @property
    def class_counts(self) -> dict[str, list[int]]:
        """The number of images of each class in each part."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {
            name: np.bincount(part.labels, minlength=self.num_classes).tolist()
            for name, part in parts.items()
        }

    def decoded_by(self, processes: int) -> "Dataset":
        """Return the same, decoded by so many processes of each consumer, if not in memory."""
        train, val, test = (
            replace(part, workers=processes) if isinstance(part, EncodedImages) else part
            for part in (self.train, self.val, self.test)
        )
        return replace(self, train=train, val=val, test=test)

    def recording(self, store: RunStore) -> "Dataset":
        """Return the same, whose broken images are written into a run's table of lost ones."""
        images = self.train, self.val, self.test
        lost = LostImages(store, sum(map(len, images)))
        train, val, test = (
            replace(part, recorder=lost) if isinstance(part, EncodedImages) else part
            for part in images
        )
        return replace(self, train=train, val=val, test=test)

    @property
    def file_to_read(self) -> str | None:
        """A file on a local path that workers will open; None: images come to them."""
        raws = self.train.raws if isinstance(self.train, EncodedImages) else ()
        return next(filter(None, map(local_file, raws)), None)
