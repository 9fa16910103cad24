"""The best architectures within limits, proven: an integer program solved by HiGHS.

Scores are sums over layers (``ALGORITHMS`` 10.3), and so are costs; one column x[l][i] (0 or 1)
stands for candidate i of layer l:

    maximise sum T[l][i] x[l][i],  sum over i of x[l][i] = 1,  sum cost[l][i] x[l][i] <= limit.

Source: multiple-choice knapsack (Kellerer, Pferschy, Pisinger 2004, chapter 11). The solver
tolerates 1e-6, so rows have wider margins, and a solution that breaks one is cut off. Optimal
is to a billionth of the distance between the best and the worst score of the whole space.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import optimize

from raynas.costs import CostTable, Limits
from raynas.errors import StageError, UserError
from raynas.search.indicators import AdditiveScorer, Array
from raynas.search.legal import refuse_impossible
from raynas.space import Architecture

_LARGEST = 1e6  # of the coefficients that the solver sees
_TIE = 1e-9  # scores this near each other, as a share of their spread, are equal
_Row = tuple[Array, float]  # weights and limit: sum of the chosen columns' weights <= limit


def best(table: Sequence[Array], costs: CostTable, limits: Limits) -> tuple[Architecture, float]:
    """Return the architecture of the highest score within the limits, and that score.

    It raises what ``k_best`` does.
    """
    return k_best(table, costs, limits, 1)[0]


def k_best(  # noqa: PLR0913 - what is wanted, and what not
    table: Sequence[Array],
    costs: CostTable,
    limits: Limits,
    k: int,
    min_distance: int = 1,
    excluded: Iterable[Architecture] = (),
) -> list[tuple[Architecture, float]]:
    """Return up to k architectures and their scores, best first; fewer if no more exist.

    Each is the best of those that differ from every earlier one in at least ``min_distance``
    layers. Of equal scores the one of fewer MACs comes first, then the lexicographically first.
    ``table`` holds ``T[l][i]`` as of ``score_table``; what is not finite is never taken, nor is
    what is ``excluded``.

    Raises:
        UserError: No architecture with a finite score keeps the limits.
    """
    assert min(k, min_distance) >= 1, f"got k {k} and min_distance {min_distance}, wanted 1 or more"
    program = _Program(table, costs)
    rows = [*program.limited(limits), *map(program.other_than, excluded)]
    found: list[Architecture] = []
    while len(found) < k and (chosen := program.first(rows)) is not None:
        found.append(Architecture(map(int, program.candidate[chosen])))
        rows.append(program.apart(chosen, min_distance))
    if not found:
        refuse_impossible(program.costs, limits)
        raise UserError("limits: no architecture with a finite score keeps them; raise a limit")
    return list(zip(found, map(float, AdditiveScorer(table)(found)), strict=True))


class _Program:
    """The columns, one per candidate with a finite score, layer by layer (n in all)."""

    def __init__(self, table: Sequence[Array], costs: CostTable) -> None:
        known = [np.flatnonzero(np.isfinite(row)) for row in table]
        for layer, columns in enumerate(known):
            if not columns.size:
                raise UserError(f"scores: no candidate of layer {layer} has a finite score")
        self._sizes = list(map(len, known))
        self._layers = np.repeat(np.eye(len(known)), self._sizes, axis=1)  # L x n
        self.candidate = np.concatenate(known)
        macs, params = (
            tuple(tuple(row[i] for i in of) for row, of in zip(each, known, strict=True))
            for each in (costs.macs, costs.params)
        )
        self.costs = CostTable(macs, params, costs.fixed)
        lost = [np.max(row[of]) - row[of] for row, of in zip(table, known, strict=True)]
        spread = sum(float(row.max()) for row in lost)
        self._lost = np.concatenate(lost) * (_LARGEST / (spread or 1.0))

    def limited(self, limits: Limits) -> list[_Row]:
        """Return the rows of the limits."""
        least = self.costs.smallest
        macs = (self.costs.macs, limits.max_macs, least.macs)
        params = (self.costs.params, limits.max_params, least.params)
        return [
            _at_most(_above_least(each), limit - smallest)
            for each, limit, smallest in (macs, params)
            if limit is not None
        ]

    def apart(self, chosen: Sequence[int], min_distance: int) -> _Row:
        """Return the row of architectures this many layers or more from a chosen one."""
        shared = np.zeros(len(self.candidate))
        shared[chosen] = 1
        return shared, len(self._sizes) - min_distance + 0.5

    def other_than(self, architecture: Architecture) -> _Row:
        """Return the row of all architectures but this one."""
        shared = self.candidate == np.array(architecture) @ self._layers
        return self.apart(np.flatnonzero(shared).tolist(), 1)

    def first(self, rows: Sequence[_Row]) -> list[int] | None:
        """Return the best columns, or None: one aim after another is met and then kept."""
        chosen = self._least(self._lost, rows)
        if chosen is None:
            return None
        rows = [*rows, (self._lost, self._lost[chosen].sum() + _TIE * _LARGEST)]
        for aim in (_above_least(self.costs.macs), *self._orders()):
            chosen = self._least(aim, rows) or chosen  # the rows hold for the one before
            rows = [*rows, _at_most(aim, aim[chosen].sum())]
        return chosen

    def _orders(self) -> list[Array]:
        """Return aims of lexicographic order: some layers' choices as digits of one number."""
        orders, end, scale = [np.zeros(len(self.candidate))], len(self.candidate), 1
        for size in reversed(self._sizes):
            if scale * size > _LARGEST:
                orders, scale = [np.zeros(len(self.candidate)), *orders], 1
            orders[0][end - size : end] = scale * np.arange(size)
            end, scale = end - size, scale * size
        return orders

    def _least(self, aim: Array, rows: Sequence[_Row]) -> list[int] | None:
        """Return the columns of the least sum of ``aim`` within the rows, or None."""
        rows, one_each = list(rows), optimize.LinearConstraint(self._layers, 1, 1)
        while True:
            solution = optimize.milp(
                aim / max(1.0, aim.max() / _LARGEST),
                integrality=np.ones(len(aim), dtype=np.int64),
                bounds=optimize.Bounds(0, 1),
                constraints=[one_each, *(optimize.LinearConstraint(w, ub=u) for w, u in rows)],
                options={"mip_rel_gap": 0},
            )
            if solution.status == 2:  # infeasible
                return None
            if solution.status != 0:
                raise StageError(f"search: the integer program was not solved: {solution.message}")
            chosen = [int(column) for column in np.argmax(self._layers * solution.x, axis=1)]
            if all(weights[chosen].sum() <= limit for weights, limit in rows):
                return chosen
            rows.append(self.apart(chosen, 1))


def _above_least(table: Sequence[Sequence[int]]) -> Array:
    """Return what each candidate costs beyond the cheapest of its layer (n)."""
    return np.array([float(cost - min(row)) for row in table for cost in row])


def _at_most(weights: Array, limit: float) -> _Row:
    """Return the row of whole weights: half a unit over the limit, where no sum lies."""
    unit = max(math.gcd(*map(int, weights)), 1)
    scale = 1 / max(unit, weights.max() / _LARGEST)
    return weights * scale, (limit // unit + 0.5) * unit * scale
