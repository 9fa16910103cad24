"""Which images train, validate and test: as the data say, or cut by the seed, class by class."""

import numpy as np
import numpy.typing as npt

from raynas.data.image_index import PARTS, ImageIndex
from raynas.seeds import Stream, random_numbers
from raynas.settings.images import ImageSettings

_LEAST = 3  # images that a share leaves to a class: to train, to validate, to test


def share_of(images: ImageIndex, share: float, seed: int) -> ImageIndex:
    """Return all test images, and a random share of the others, but some of each class."""
    if share == 1:
        return images
    drawn = random_numbers(seed, Stream.SHARE).random(len(images))
    kept = drawn < share
    groups = 2 * images.labels + (images.parts == PARTS.index("val"))
    order = np.lexsort((drawn, groups))
    ranks = np.arange(len(images)) - np.searchsorted(groups[order], groups[order])
    kept[order[ranks < _LEAST]] = True  # of those drawn lowest, so a larger share keeps them, too
    return images.take(np.flatnonzero(kept | (images.parts == PARTS.index("test"))))


def split(
    named: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    settings: ImageSettings,
    seed: int,
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the indices of train, val and test; what is not named is cut off from train.

    Args:
        named: The part of each image as the data say it, as ``ImageIndex.parts``.
        labels: The class of each image.
        settings: Fractions that are cut off.
        seed: Decides which.
    """
    named = np.where(named == -1, PARTS.index("train"), named)
    parts: dict[str, npt.NDArray[np.int64]] = {
        part: np.flatnonzero(named == number) for number, part in enumerate(PARTS)
    }
    rng = random_numbers(seed, Stream.SPLIT)
    if not len(parts["test"]):
        leave = 1 if len(parts["val"]) else 2  # of each class: one to train, one to validate
        parts["train"], parts["test"] = _cut(
            parts["train"], labels, settings.test_fraction, leave, rng
        )
    if not len(parts["val"]):
        parts["train"], parts["val"] = _cut(parts["train"], labels, settings.val_fraction, 1, rng)
    return parts


def _cut(
    indices: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    fraction: float,
    leave: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what stays and what is cut off: a share of every class that leaves some of it."""
    kept, taken = [], []
    for label in np.unique(labels[indices]):
        members = rng.permutation(indices[labels[indices] == label])
        count = max(min(max(round(fraction * len(members)), 1), len(members) - leave), 0)
        taken.append(members[:count])
        kept.append(members[count:])
    empty = np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([empty, *kept])), np.sort(np.concatenate([empty, *taken]))
