"""All images that a network may be trained on once nothing is left to choose."""

from dataclasses import replace

import numpy as np

from raynas.data.dataset import Dataset, EncodedImages, Images, Part
from raynas.data.image_index import JoinedRaws
from raynas.data.joined_images import JoinedImages


def with_whole_training_part(dataset: Dataset) -> Dataset:
    """Return the data set whose validation images are training images, too.

    None are left to validate on, so accuracies on them are not known. Mean and deviation stay those
    of the training part, by which exports and other networks of the run normalise as well.
    """
    nothing = dataset.val.some(np.empty(0, dtype=np.int64))
    return replace(dataset, train=_joined(dataset.train, dataset.val), val=nothing)


def _joined(first: Part, second: Part) -> Part:
    """Return two parts as one; no image is decoded or copied."""
    if isinstance(first, EncodedImages) and isinstance(second, EncodedImages):
        labels = np.concatenate([first.labels, second.labels])
        return replace(first, raws=JoinedRaws(first.raws, second.raws), labels=labels)
    assert isinstance(first, Images), "both parts are in memory, or neither is"
    assert isinstance(second, Images), "both parts are in memory, or neither is"
    return JoinedImages(first, second)
