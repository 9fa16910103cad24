"""How accurate an export is on images whose classes are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console

from raynas.data.image_index import PARTS, ImageIndex
from raynas.data.part_names import PartName
from raynas.data.sources import open_source
from raynas.errors import UserError
from raynas.export.classifiers import Classify, Unreadable
from raynas.reporting.confidence import wilson
from raynas.reporting.confusion import class_accuracies, confusion_matrix, worst_pairs
from raynas.storage.uris import shown
from raynas.terminal.text_tables import Column, TextTable

_MATRIX, _PAIRS = 12, 10  # classes up to which all is shown, and pairs that are beyond
Classes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class LabelledImages:
    """Images whose classes are known.

    Attributes:
        images: Where each lies.
        labels: N indices into the classes of the export.
        part: Which part of the data they are; None: the data name none.
        passed_over: How many images of other parts there are.
    """

    images: ImageIndex
    labels: Classes
    part: PartName | None
    passed_over: int


def labelled_images(data: str, classes: Sequence[str]) -> LabelledImages:
    """Return images in folders of their classes, or of Parquet files.

    Of data with parts the test part is taken, else the validation part, else the training part.

    Args:
        data: The folder, or a URI.
        classes: Names that the export knows, in its order.

    Raises:
        UserError: There are no images, or some are of a class that it does not know.
    """
    source = open_source(data, one_class=True)
    strange = [name for name in source.class_names if name not in classes]
    if strange:
        known = ", ".join(classes[:_MATRIX]) + (", ..." if len(classes) > _MATRIX else "")
        raise UserError(
            f"images {shown(data)}: the export knows no class {strange[0]!r}; wanted folders or "
            f"labels called as its classes are ({known})"
        )
    parts = source.images.parts
    best = parts.max()  # train, val, test, in this order; -1: no part is named
    part = None if best < 0 else PARTS[best]
    chosen = np.flatnonzero(parts == best)
    images = source.images.take(chosen)
    places = np.array([classes.index(name) for name in source.class_names], dtype=np.int32)
    return LabelledImages(images, places[images.labels], part, len(parts) - len(chosen))


@dataclass(frozen=True)
class LabelledAnswers:
    """What an export makes of such images.

    Attributes:
        classes: Names of the classes.
        labels: N indices, of the images that could be read.
        answers: N indices of the most probable classes.
        unreadable: How many images could not be read.
    """

    classes: tuple[str, ...]
    labels: Classes
    answers: Classes
    unreadable: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float((self.labels == self.answers).mean())

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the accuracies of those classes that have images."""
        known = class_accuracies(self.labels, self.answers, len(self.classes))
        return float(np.mean([each.share for each in known if each.share is not None]))

    def to_json(self) -> dict[str, object]:
        """Return all of it as values of JSON; a row of the matrix is a class."""
        matrix = confusion_matrix(self.labels, self.answers, len(self.classes))
        return {
            "images": len(self.labels),
            "unreadable": self.unreadable,
            "accuracy": self.accuracy,
            "interval": wilson(self.accuracy, len(self.labels)),
            "balanced_accuracy": self.balanced_accuracy,
            "classes": self.classes,
            "confusion": matrix.tolist(),
        }

    def show(self, console: Console) -> None:
        """Print accuracies, and the confusion matrix or its worst pairs."""
        images, right = len(self.labels), int((self.labels == self.answers).sum())
        low, high = wilson(self.accuracy, images)
        console.print(
            f"accuracy {self.accuracy:.4f} ({right:,} of {images:,} images), 95 % interval "
            f"{low:.4f} to {high:.4f}\nbalanced accuracy {self.balanced_accuracy:.4f}"
        )
        console.print()
        console.print(self._matrix() if len(self.classes) <= _MATRIX else self._pairs())

    def _matrix(self) -> TextTable:
        matrix = confusion_matrix(self.labels, self.answers, len(self.classes))
        found = class_accuracies(self.labels, self.answers, len(self.classes))
        rows = [
            (f"{at} {name}", *map(str, matrix[at]), _share(found[at].share))
            for at, name in enumerate(self.classes)
        ]
        heads = [str(at) for at, _ in enumerate(self.classes)]
        columns = [Column("class", folds=True), *map(Column, heads), Column("right")]
        return TextTable(columns, rows, "images of each class (a row) by answer (a column)")

    def _pairs(self) -> TextTable:
        sizes = np.bincount(self.labels, minlength=len(self.classes))
        rows = [
            (self.classes[of], self.classes[taken], str(count), str(sizes[of]))
            for of, taken, count in worst_pairs(self.labels, self.answers, _PAIRS)
        ]
        columns = [Column("class", folds=True), Column("taken for", folds=True)]
        columns += [Column("images"), Column("of")]
        return TextTable(columns, rows, "classes that are taken for others most often")


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def answers_of(
    given: LabelledImages,
    classify: Classify,
    classes: Sequence[str],
    complain: Callable[[str], None],
) -> LabelledAnswers:
    """Return what an export makes of images.

    Args:
        given: The images.
        classify: Tells the class of one.
        classes: Names of the classes.
        complain: Hears of each image that cannot be read.

    Raises:
        UserError: None can be read.
    """
    labels, answers = [], []
    for image, label in zip(given.images, given.labels.tolist(), strict=True):
        try:
            ranking = classify(image.open)
        except Unreadable as error:
            complain(f"{image.name}: cannot be read ({error})")
            continue
        labels.append(label)
        answers.append(classes.index(ranking[0][0]))
    if not labels:
        raise UserError(f"images: none of {len(given.images):,} could be read; check the paths")
    truth, said = (np.array(each, dtype=np.int32) for each in (labels, answers))
    unreadable = len(given.images) - len(labels)
    return LabelledAnswers(tuple(classes), truth, said, unreadable)
