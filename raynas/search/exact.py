"""The best architectures within limits, proven: an integer program solved by HiGHS.

Scores are sums over layers (``raynas.search.indicators``), and so are costs
(``raynas.search.integer_program``):

    maximise sum T[l][i] x[l][i],  sum over i of x[l][i] = 1,  min <= sum cost[l][i] x[l][i] <= max.

Optimal is to a billionth of the distance between the best and the worst score of the whole space.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from raynas.costs.costs import CostTable, Kind, Limits
from raynas.errors import UserError
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.search.integer_program import (
    LARGEST,
    Row,
    above_least,
    apart,
    at_most,
    least,
    membership,
)
from raynas.search.possible_limits import limit_rows, refuse_impossible
from raynas.spaces.architecture import Architecture

_TIE = 1e-9  # scores this near each other, as a share of their spread, are equal


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
        found.append(program.architecture(chosen))
        rows.append(program.apart(chosen, min_distance))
    if not found:
        refuse_impossible(program.costs, limits)
        raise UserError("limits: no architecture with a finite score keeps them; widen a limit")
    return list(zip(found, map(float, AdditiveScorer(table)(found)), strict=True))


def front(
    table: Sequence[Array], costs: CostTable, limits: Limits, kind: Kind, k: int
) -> list[tuple[Architecture, float]]:
    """Return up to k points of the exact front of score and one cost, the highest score first.

    The epsilon-constraint method: the best score within each of k evenly spaced budgets, from the
    cost of the best of all down to the cheapest. Of equal scores the cheapest is taken, so nothing
    dominates what is found; a budget that finds nothing new is lowered until it does, so there are
    fewer than k only where the rest of the front lies between two budgets, or ends.

    Source: Haimes, Lasdon, Wismer 1971 (IEEE TSMC 1:3); Mavrotas 2009 for the ties.

    Args:
        table: T[l][i] as of ``score_table``.
        costs: What candidates cost.
        limits: What every point must keep.
        kind: The cost beside the score.
        k: Points wanted.

    Raises:
        UserError: No architecture with a finite score keeps the limits.
    """
    program = _Program(table, costs, (kind, "macs"))
    highest = _found(program, limits)
    cheapest = program.cheapest(kind, limits)
    most = costs.of(highest).of(kind)
    points = [highest]
    for share in np.arange(1, k) / max(k - 1, 1):
        budget = min(
            most - round((most - cheapest) * float(share)), costs.of(points[-1]).of(kind) - 1
        )
        chosen = program.first(program.limited(limits.within(kind, budget)))
        if chosen is None:
            break
        points.append(program.architecture(chosen))
    return list(zip(points, map(float, AdditiveScorer(table)(points)), strict=True))


def _found(program: "_Program", limits: Limits) -> Architecture:
    """Return the best architecture within limits.

    Raises:
        UserError: There is none.
    """
    chosen = program.first(program.limited(limits))
    if chosen is None:
        refuse_impossible(program.costs, limits)
        raise UserError("limits: no architecture with a finite score keeps them; widen a limit")
    return program.architecture(chosen)


class _Program:
    """The columns, one per candidate with a finite score, layer by layer (n in all)."""

    def __init__(
        self, table: Sequence[Array], costs: CostTable, ties: Sequence[Kind] = ("macs",)
    ) -> None:
        """Leave out what has no score; of equal scores the cheapest by ``ties`` comes first."""
        known = [np.flatnonzero(np.isfinite(row)) for row in table]
        for layer, columns in enumerate(known):
            if not columns.size:
                raise UserError(f"scores: no candidate of layer {layer} has a finite score")
        self._sizes = list(map(len, known))
        self._layers = membership(self._sizes)
        self._ties = ties
        self.candidate = np.concatenate(known)
        self.costs = costs.only(known)
        lost = [np.max(row[of]) - row[of] for row, of in zip(table, known, strict=True)]
        spread = sum(float(row.max()) for row in lost)
        self._lost = np.concatenate(lost) * (LARGEST / (spread or 1.0))

    def architecture(self, chosen: Sequence[int]) -> Architecture:
        """Return the architecture of chosen columns."""
        return Architecture(map(int, self.candidate[chosen]))

    def limited(self, limits: Limits) -> list[Row]:
        """Return the rows of the limits."""
        return limit_rows(self.costs, limits)

    def apart(self, chosen: Sequence[int], min_distance: int) -> Row:
        """Return the row of architectures this many layers or more from a chosen one."""
        return apart(self._layers, chosen, min_distance)

    def other_than(self, architecture: Architecture) -> Row:
        """Return the row of all architectures but this one."""
        shared = self.candidate == np.array(architecture) @ self._layers
        return self.apart(np.flatnonzero(shared).tolist(), 1)

    def cheapest(self, kind: Kind, limits: Limits) -> int:
        """Return the least cost of a kind within limits that can be kept."""
        chosen = least(above_least(self.costs.rows(kind)), self.limited(limits), self._layers)
        assert chosen is not None, "some architecture keeps the limits"
        rows = np.concatenate([np.array(row) for row in self.costs.rows(kind)])
        return self.costs.fixed.of(kind) + int(rows[chosen].sum())

    def first(self, rows: Sequence[Row]) -> list[int] | None:
        """Return the best columns, or None: one aim after another is met and then kept."""
        chosen = least(self._lost, rows, self._layers)
        if chosen is None:
            return None
        rows = [*rows, (self._lost, self._lost[chosen].sum() + _TIE * LARGEST)]
        cheap = (above_least(self.costs.rows(kind)) for kind in dict.fromkeys(self._ties))
        for aim in (*cheap, *self._orders()):
            chosen = least(aim, rows, self._layers) or chosen  # the rows hold for the one before
            rows = [*rows, at_most(aim, aim[chosen].sum())]
        return chosen

    def _orders(self) -> list[Array]:
        """Return aims of lexicographic order: some layers' choices as digits of one number."""
        orders, end, scale = [np.zeros(len(self.candidate))], len(self.candidate), 1
        for size in reversed(self._sizes):
            if scale * size > LARGEST:
                orders, scale = [np.zeros(len(self.candidate)), *orders], 1
            orders[0][end - size : end] = scale * np.arange(size)
            end, scale = end - size, scale * size
        return orders
