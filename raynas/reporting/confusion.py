"""Which classes are taken for which, of answers to test images."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.reporting.confidence import wilson

Classes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ClassAccuracy:
    """How many images of a class are right.

    Attributes:
        label: The class.
        right: Images of it that are right.
        images: Images of it.
        interval: Wilson's 95 % interval of their share.
    """

    label: int
    right: int
    images: int
    interval: tuple[float, float]

    @property
    def share(self) -> float | None:
        """The accuracy, in [0, 1]; None without images."""
        return self.right / self.images if self.images else None


def class_accuracies(label: Classes, answer: Classes, classes: int) -> list[ClassAccuracy]:
    """Return the accuracy of each class, in the order of labels.

    Args:
        label: N class indices.
        answer: N class indices.
        classes: How many there are.
    """
    sizes = np.bincount(label, minlength=classes).tolist()
    rights = np.bincount(label[answer == label], minlength=classes).tolist()
    return [
        ClassAccuracy(of, right, images, wilson(right / max(images, 1), images))
        for of, (right, images) in enumerate(zip(rights, sizes, strict=True))
    ]


def confusion_matrix(label: Classes, answer: Classes, classes: int) -> npt.NDArray[np.int64]:
    """Return how many images of each class, a row, got each answer, a column.

    Args:
        label: N class indices.
        answer: N class indices.
        classes: How many there are.
    """
    places = label.astype(np.int64) * classes + answer
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


def worst_pairs(label: Classes, answer: Classes, most: int) -> list[tuple[int, int, int]]:
    """Return class, answer and number of images of the pairs that are confused most often.

    Args:
        label: N class indices.
        answer: N class indices.
        most: How many pairs, at most.
    """
    wrong = answer != label
    pairs, counts = np.unique(np.stack([label[wrong], answer[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    found = zip(*pairs[:, order].tolist(), counts[order].tolist(), strict=True)
    return [(int(of), int(taken_for), int(count)) for of, taken_for, count in found]
