"""How two networks compare that answered the same test images: difference, interval, p.

Images that both got right, or both wrong, do not tell them apart, so a paired comparison knows a
difference better than two intervals side by side do.

Sources: McNemar (Psychometrika 12:153, 1947), in its exact form; the bootstrap's percentile
interval (Efron and Tibshirani 1993, section 13.3), over images; one more image won by each side, as
the pseudo-observations of Agresti and Min (Statistics in Medicine 24:729, 2005), without which
networks that never differ would be known to be equal.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.seeds import Stream, random_numbers

DRAWS = 10_000
"""Of the bootstrap."""
Right = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """A network compared with another one on the same images.

    Attributes:
        difference: Its accuracy less the other one's, in [-1, 1].
        low: Lower end of the 95 % interval of that.
        high: Upper end.
        p_value: Of the exact McNemar test that they are equally accurate.
        images: How many images there were.
        only_first: Images that it alone got right.
        only_second: Images that the other one alone got right.
    """

    difference: float
    low: float
    high: float
    p_value: float
    images: int
    only_first: int
    only_second: int

    @property
    def is_settled(self) -> bool:
        """Whether the interval excludes zero: these images tell the two apart."""
        return self.low > 0 or self.high < 0


def compare_paired(first: Right, second: Right, seed: int = 0) -> Paired:
    """Return how a network compares with another one.

    Args:
        first: N, whether it got each image right.
        second: The same of the other network, image by image.
        seed: Of the bootstrap.

    Raises:
        ValueError: No images, or not the same number for both.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} and {len(second)} answers; wanted as many, of some images")
    differences = first.astype(np.float64) - second
    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    interval = bootstrap_interval(differences, seed)
    mean = float(differences.mean())
    return Paired(mean, *interval, mcnemar(won, lost), len(first), won, lost)


def bootstrap_interval(differences: Numbers, seed: int = 0) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean difference, images drawn anew.

    Images of equal differences are drawn together, by their number: a draw is multinomial.

    Args:
        differences: N, in [-1, 1]; for several runs on the same images an image's mean over them,
            so that a run's answers to it stay together.
        seed: Of the draws.
    """
    with_wins = np.append(differences, (1.0, -1.0))  # one more image won by each side
    values, counts = np.unique(with_wins, return_counts=True)
    images = len(with_wins)
    drawn = random_numbers(seed, Stream.PAIRED_IMAGES).multinomial(images, counts / images, DRAWS)
    low, high = np.quantile(drawn @ values / images, (0.025, 0.975))
    return float(low), float(high)


def mcnemar(won: int, lost: int) -> float:
    """Return the exact two-sided p of as many images won and lost, if both are equally likely.

    p = min(1, 2 P[X <= min(won, lost)]) for X binomial of won + lost draws of probability 1/2.

    Args:
        won: Images that one network alone got right.
        lost: Images that the other one alone got right.
    """
    draws, least = won + lost, min(won, lost)
    taken = np.arange(1, least + 1)
    steps = np.log(draws - taken + 1) - np.log(taken)  # C(n, k) / C(n, k - 1) = (n - k + 1) / k
    logs = np.concatenate([[0.0], np.cumsum(steps)]) - draws * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))
