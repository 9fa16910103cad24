"""The training images in two halves: one for weights, one for what is chosen by them.

Source: DARTS (Liu et al. 2019, arXiv 1806.09055), section 3.1; here class by class.
"""

from dataclasses import replace

import numpy as np

from raynas.data.dataset import Dataset
from raynas.seeds import Stream, random_numbers


def halves(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Return the data set twice, its training part cut in two by the seed.

    Every class has as many images in both, but for one where its number is odd; these go to one
    half and to the other in turns.
    """
    rng = random_numbers(seed, Stream.HALVES)
    labels = dataset.train.labels
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class
    first, second = (dataset.train.some(np.sort(order[start::2])) for start in (0, 1))
    return replace(dataset, train=first), replace(dataset, train=second)
