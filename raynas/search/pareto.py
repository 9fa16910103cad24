"""The order of NSGA-II: front by front, and within a front the least crowded first.

Source: Deb, Pratap, Agarwal, Meyarivan 2002, sections III-A and III-B; FairNAS picks its models
so. Objectives f are N x M and all to be minimised; a point dominates another if it is nowhere
more and somewhere less.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def best_first(objectives: Array) -> Iterator[int]:
    """Yield the indices of all points, best first; ties in the order of the points.

    Args:
        objectives: N x M, finite, to be minimised.
    """
    for front in fronts(objectives):
        crowding = crowding_distances(objectives[front])
        yield from map(int, front[np.argsort(-crowding, kind="stable")])


def fronts(objectives: Array) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the fronts: the indices, ascending, that only points of earlier fronts dominate.

    A front costs at most N vectors of length N, and nothing before it is asked for.

    Args:
        objectives: N x M, finite, to be minimised.
    """
    left = np.lexsort(objectives.T[::-1])  # nothing is dominated by what comes after it
    while left.size:
        is_first = _undominated(objectives[left])
        yield np.sort(left[is_first])
        left = left[~is_first]


def _undominated(points: Array) -> npt.NDArray[np.bool_]:
    """Return which of the points, in lexicographic order, no other one dominates (N)."""
    undominated = np.zeros(len(points), dtype=np.bool_)
    columns, rest = points.T, np.arange(len(points))  # columns: M x N
    while rest.size:
        best = columns[:, rest[0], None]
        left = columns[:, rest]
        undominated[rest[(left == best).all(axis=0)]] = True
        rest = rest[(left < best).any(axis=0)]  # the others are equal or dominated
    return undominated


def crowding_distances(front: Array) -> Array:
    """Return how far apart the neighbours of each point of a front are (N).

    d[i] = sum over m of (f_m[i + 1] - f_m[i - 1]) / (max f_m - min f_m), in the order of f_m;
    the first and the last of each order are infinitely far, and so are two points or one.

    Args:
        front: N x M, finite.
    """
    if len(front) <= 2:
        return np.full(len(front), np.inf)
    distances = np.zeros(len(front))
    for values in front.T:
        order = np.argsort(values, kind="stable")
        spread = values[order[-1]] - values[order[0]]
        if spread > 0:  # an objective that is the same for all says nothing
            padded = np.concatenate([[-np.inf], values[order], [np.inf]])
            distances[order] += (padded[2:] - padded[:-2]) / spread
    return distances


def along(front: Array, count: int) -> list[int]:
    """Return points spread evenly along a front: both its ends, and others between them.

    The front is walked in the order of its first objective. Its length is that of the polyline
    through its points, with each objective in units of its range on the front; wanted are the
    points nearest to even shares of it, each once.

    Args:
        front: N x M, finite, to be minimised.
        count: Points wanted; fewer are returned where the front has fewer.
    """
    order = np.lexsort(front.T[::-1])
    points = front[order]
    spread = np.ptp(points, axis=0) if len(points) else np.ones(front.shape[1])
    steps = np.linalg.norm(np.diff(points, axis=0) / np.where(spread > 0, spread, 1.0), axis=1)
    places = np.concatenate([[0.0], np.cumsum(steps)])[: len(points)]
    count = min(count, len(points))
    chosen: list[int] = []
    for number, target in enumerate(np.linspace(0.0, places[-1] if count else 0.0, count)):
        first = chosen[-1] + 1 if chosen else 0
        last = len(points) - count + number  # what is left must do for the others
        chosen.append(first + int(np.argmin(np.abs(places[first : last + 1] - target))))
    return [int(order[place]) for place in chosen]
