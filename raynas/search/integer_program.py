"""A choice in each layer at the least sum, as an integer program that HiGHS solves exactly.

One column x[l][i] (0 or 1) stands for candidate i of layer l; a row holds the sum of the chosen
columns' weights at or below a limit:

    minimise sum a[l][i] x[l][i],  sum over i of x[l][i] = 1,  sum w[l][i] x[l][i] <= u.

Source: multiple-choice knapsack (Kellerer, Pferschy, Pisinger 2004, chapter 11). The solver
tolerates 1e-6, so rows of whole numbers have wider margins, and a solution that breaks one is
cut off.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize

from raynas.errors import StageError

LARGEST = 1e6  # of the coefficients that the solver sees
_SECONDS = 600.0  # for one solution; a band that hardly any sum meets could take for ever
Array = npt.NDArray[np.float64]
Row = tuple[Array, float]
"""Weights (n) and a limit: the chosen columns' weights add up to no more."""


def membership(sizes: Sequence[int]) -> Array:
    """Return which columns are a layer's (L x n), as zeros and ones."""
    members: Array = np.repeat(np.eye(len(sizes)), sizes, axis=1)
    return members


def above_least(table: Sequence[Sequence[int]]) -> Array:
    """Return what each candidate costs beyond the cheapest of its layer (n)."""
    return np.array([float(cost - min(row)) for row in table for cost in row])


def below_most(table: Sequence[Sequence[int]]) -> Array:
    """Return what each candidate costs less than the dearest of its layer (n).

    Sums of costs at or above a limit are sums of these at or below what is left to the most.
    """
    return np.array([float(max(row) - cost) for row in table for cost in row])


def at_most(weights: Array, limit: float) -> Row:
    """Return the row of whole weights: half a unit over the limit, where no sum lies."""
    unit = max(math.gcd(*map(int, weights)), 1)
    scale = 1 / max(unit, weights.max() / LARGEST)
    return weights * scale, (limit // unit + 0.5) * unit * scale


def apart(layers: Array, chosen: Sequence[int], min_distance: int) -> Row:
    """Return the row of choices this many layers or more from a chosen one."""
    shared = np.zeros(layers.shape[1])
    shared[chosen] = 1
    return shared, len(layers) - min_distance + 0.5


def least(aim: Array, rows: Sequence[Row], layers: Array) -> list[int] | None:
    """Return the columns of the least sum of ``aim`` within the rows, or None if there are none.

    Args:
        aim: What each column adds (n).
        rows: What the sums must keep.
        layers: Which columns are a layer's (L x n).

    Raises:
        StageError: The solver gave up.
    """
    rows, one_each = list(rows), optimize.LinearConstraint(layers, 1, 1)
    while True:
        solution = optimize.milp(
            aim / max(1.0, aim.max() / LARGEST),
            integrality=np.ones(len(aim), dtype=np.int64),
            bounds=optimize.Bounds(0, 1),
            constraints=[one_each, *(optimize.LinearConstraint(w, ub=u) for w, u in rows)],
            # by itself HiGHS is content with a ten-thousandth
            options={"mip_rel_gap": 0, "time_limit": _SECONDS},
        )
        if solution.status == 2:  # infeasible
            return None
        if solution.status != 0:
            raise StageError(
                f"search: the integer program was not solved: {solution.message}; limits that "
                "hardly leave anything take long, so widen them"
            )
        chosen = [int(column) for column in np.argmax(layers * solution.x, axis=1)]
        if all(weights[chosen].sum() <= limit for weights, limit in rows):
            return chosen
        rows.append(apart(layers, chosen, 1))
