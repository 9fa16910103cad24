"""Whether a network's confidences are what they say: of answers given with 80 %, 80 % are right.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2: the expected
calibration error over 15 bins of equal width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 15
"""Of confidences, of equal width."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of their confidence.

    Attributes:
        images: B, how many fell into each bin.
        accuracy: B, the share of them that is right; NaN in an empty bin.
        confidence: B, their mean confidence; NaN in an empty bin.
    """

    images: npt.NDArray[np.int64]
    accuracy: Numbers
    confidence: Numbers

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]; NaN of no images.

        sum over b of (images_b / images) |accuracy_b - confidence_b|
        """
        if not self.images.sum():
            return float("nan")
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.images * gaps).sum() / self.images.sum())


def reliability(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Return how often answers were right, by how confident they were.

    Args:
        confidence: N probabilities of answers, in [0, 1]; a bin is (low, high].
        right: N, whether they were right.
        bins: Of equal width.
    """
    shares = np.asarray(confidence, dtype=np.float64)
    place = np.clip(np.ceil(shares * bins).astype(np.int64) - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, np.asarray(of, dtype=np.float64), bins) for of in (right, shares)]
    with np.errstate(invalid="ignore"):
        accuracy, mean = (each / images for each in sums)
    return Reliability(images, accuracy, mean)
