"""Which images train, validate and test: as the data say, or cut by the seed, class by class.

Data with a validation part and no test part keep it for the final test, as papers on ImageNet do:
its ``val/`` is what they report accuracies on, so the search has to choose on other images. Source:
the published code of BN-NAS trains on 1,231,167 images of ImageNet's 1,281,167, and so leaves about
50 of each class to choose on.
"""

import numpy as np
import numpy.typing as npt

from raynas.data.image_index import PARTS, ImageIndex
from raynas.seeds import Stream, random_numbers
from raynas.settings.images import ImageSettings

_LEAST = 3  # images that a share leaves to a class: to train, to validate, to test
_MOST = 50  # of a class that are cut off to choose on where the data keep theirs for the test
_TRAIN, _VAL, _TEST = map(PARTS.index, PARTS)


def keeps_val(named: npt.NDArray[np.int64]) -> bool:
    """Return whether a validation part that the data name is kept for the final test.

    Args:
        named: The part of each image as the data say it, as ``ImageIndex.parts``.
    """
    return bool((named == _VAL).any() and not (named == _TEST).any())


def share_of(images: ImageIndex, share: float, seed: int) -> ImageIndex:
    """Return all images of the final test, and a random share of the others, of each class some."""
    if share == 1:
        return images
    drawn = random_numbers(seed, Stream.SHARE).random(len(images))
    kept = drawn < share
    groups = 2 * images.labels + (images.parts == _VAL)
    order = np.lexsort((drawn, groups))
    ranks = np.arange(len(images)) - np.searchsorted(groups[order], groups[order])
    kept[order[ranks < _LEAST]] = True  # of those drawn lowest, so a larger share keeps them, too
    tested = _VAL if keeps_val(images.parts) else _TEST
    return images.take(np.flatnonzero(kept | (images.parts == tested)))


def split(
    named: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    settings: ImageSettings,
    seed: int,
    *,
    kept: bool = False,
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the indices of train, val and test; what is not named is cut off from train.

    Args:
        named: The part of each image as the data say it, as ``ImageIndex.parts``.
        labels: The class of each image.
        settings: Fractions that are cut off.
        seed: Decides which.
        kept: Whether what they call validation is kept for the test (``keeps_val``); choices are
            then made on a slice of the training part, of at most 50 images a class.
    """
    named = np.where(named == -1, _TRAIN, named)
    if kept:
        named = np.where(named == _VAL, _TEST, named)
    parts: dict[str, npt.NDArray[np.int64]] = {
        part: np.flatnonzero(named == number) for number, part in enumerate(PARTS)
    }
    rng = random_numbers(seed, Stream.SPLIT)
    if not len(parts["test"]) and not kept:
        leave = 1 if len(parts["val"]) else 2  # of each class: one to train, one to validate
        parts["train"], parts["test"] = _cut(
            parts["train"], labels, settings.test_fraction, leave, rng
        )
    if not len(parts["val"]):
        most = _MOST if kept else None
        parts["train"], parts["val"] = _cut(
            parts["train"], labels, settings.val_fraction, 1, rng, most
        )
    return parts


def _cut(  # noqa: PLR0913 - what is cut off, and how much
    indices: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    fraction: float,
    leave: int,
    rng: np.random.Generator,
    most: int | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what stays and what is cut off: a share of every class that leaves some of it.

    Args:
        indices: Of the images.
        labels: Of all images.
        fraction: The share.
        leave: Images that stay of each class, if it has so many.
        rng: Decides which.
        most: Images of a class that are cut off; None: however many the share is.
    """
    kept, taken = [], []
    for label in np.unique(labels[indices]):
        members = rng.permutation(indices[labels[indices] == label])
        wanted = max(round(fraction * len(members)), 1)
        count = max(min(wanted, len(members) - leave, len(members) if most is None else most), 0)
        taken.append(members[:count])
        kept.append(members[count:])
    empty = np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([empty, *kept])), np.sort(np.concatenate([empty, *taken]))
