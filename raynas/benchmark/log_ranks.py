"""One score of several: networks that all of them rank high come first.

Source: AZ-NAS (Lee and Ham, CVPR 2024, arXiv 2403.19232), section 3, non-linear ranking
aggregation. It ranks within a set: what a network gets depends on the others in it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]


def log_ranks(scores: Sequence[Array]) -> Array:
    """Return per network the sum over scores of log(rank / N), at best 0.

    Args:
        scores: Several scores of the same N networks, higher is better. The worst has rank 1,
            equal ones share the mean of their ranks, and what is NaN comes last.
    """
    ranks = [stats.rankdata(np.nan_to_num(each, nan=-np.inf)) for each in scores]
    total: Array = np.log(np.array(ranks) / len(scores[0])).sum(axis=0)
    return total
