"""Uniform draws among the architectures that keep the limits.

The cost is additive over layers, so legal completions can be counted by a knapsack recursion.
Costs are rounded *down* to the grid: every legal architecture can be drawn, and the few drawn
ones that break an exact limit are drawn again, which keeps the draw uniform.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import CostTable, Kind, Limits
from raynas.search.possible_limits import refuse_impossible, some_legal
from raynas.spaces.architecture import Architecture

_CELLS = (1, 90_000, 90_000, 262_144)  # of the grid, by how many costs it counts: 64 x 64 x 64


class LegalSampler:
    """Draws architectures within limits; holds the table of counts, no random state."""

    def __init__(self, costs: CostTable, limits: Limits) -> None:
        """Count the legal completions of every beginning.

        Raises:
            UserError: No architecture keeps the limits; names the nearest possible costs.
        """
        refuse_impossible(costs, limits)
        self.costs = costs
        self.limits = limits
        self.sizes = [len(row) for row in costs.macs]
        self._grid = _grid(costs, limits)
        self._counts = _count(self._grid)

    def allows(self, architecture: Architecture) -> bool:
        """Return whether the architecture keeps the exact limits."""
        return self.limits.allow(self.costs.of(architecture))

    def draw(self, rng: np.random.Generator, attempts: int = 100) -> Architecture | None:
        """Return a uniform legal architecture, or None after too many near misses.

        Within a band there is no None: after them it is the best one by random sums, which is
        legal, but not uniform. A band of one kind of cost has none where its grid is exact.
        """
        candidates = (self._proposal(rng) for _ in range(attempts))
        found = next(filter(self.allows, candidates), None)
        if found is None and self.limits.least:
            return Architecture(some_legal(self.costs, self.limits, rng))
        return found

    def _proposal(self, rng: np.random.Generator) -> Architecture:
        left: tuple[int, ...] = tuple(self._grid.budget)
        choices = []
        for weights, following in zip(self._grid.weights, self._counts[1:], strict=True):
            rest = list(map(tuple, (left - weights).tolist()))
            counts = np.array(
                [following[cell] if min(cell, default=0) >= 0 else 0.0 for cell in rest]
            )
            total = np.cumsum(counts)
            choice = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
            choices.append(choice)
            left = rest[choice]
        return Architecture(choices)


def _grid(costs: CostTable, limits: Limits) -> "_Grid":
    """Return the grid of the limits that bind: 0 to 3 kinds of cost."""
    kinds = [kind for kind in limits.kinds if _binds(costs, limits, kind)]
    steps = round(_CELLS[len(kinds)] ** (1 / max(len(kinds), 1)))
    axes = [_axis(costs, limits, kind, steps) for kind in kinds]
    weights = [
        np.array(
            [[axis.weights[layer][i] for axis in axes] for i in range(len(row))], dtype=np.int64
        ).reshape(len(row), len(axes))
        for layer, row in enumerate(costs.macs)
    ]
    return _Grid(weights, [axis.budget for axis in axes], [axis.left_over for axis in axes])


def _binds(costs: CostTable, limits: Limits, kind: Kind) -> bool:
    """Return whether some architecture breaks a limit of that kind."""
    most, least = costs.largest.of(kind), costs.smallest.of(kind)
    return limits.most.get(kind, most) < most or limits.least.get(kind, least) > least


def _axis(costs: CostTable, limits: Limits, kind: Kind, steps: int) -> "_Axis":
    """Return one kind of cost in steps.

    Counted is what a candidate costs beyond the cheapest of its layer. A step is a share of what
    the limit leaves beyond the smallest architecture; within a band it is the unit of all costs
    where so many steps do, for then nothing is rounded. Where it is, a sum of L layers lies less
    than L steps below the true one, and so does the lower end of the band.
    """
    table, smallest = costs.rows(kind), costs.smallest.of(kind)
    above = [[cost - min(row) for cost in row] for row in table]
    slack = limits.most.get(kind, costs.largest.of(kind)) - smallest
    if kind not in limits.least:
        return _Axis(
            [[cost * steps // max(slack, 1) for cost in row] for row in above], steps, steps
        )
    low = max(limits.least[kind] - smallest, 0)
    unit = max(math.gcd(*itertools.chain.from_iterable(above)), 1)
    if slack // unit <= steps:
        budget = slack // unit
        weights = [[cost // unit for cost in row] for row in above]
        return _Axis(weights, budget, budget - -(-low // unit))
    weights = [[cost * steps // slack for cost in row] for row in above]
    return _Axis(weights, steps, steps - low * steps // slack + len(table) - 1)


class _Axis(NamedTuple):
    """One kind of cost in whole steps: ``weights[layer][candidate]``, and what they may sum to."""

    weights: list[list[int]]
    budget: int
    left_over: int
    """Of the budget, no more than this may be left at the end."""


class _Grid(NamedTuple):
    """All limited kinds of cost in steps, K of them."""

    weights: list[npt.NDArray[np.int64]]
    """Per layer, candidates x K."""
    budget: list[int]
    left_over: list[int]


def _count(grid: _Grid) -> list[npt.NDArray[np.float64]]:
    """Return N[l][b]: how many completions of layers l.. fit into what is left, b.

    N[L][b] = 1 where b <= what may be left over, else 0;  N[l][b] = sum over i with w[l][i] <= b
    of N[l+1][b - w[l][i]]. Floats hold the counts (6^21 exceeds 2^53); a count that is 0 stays
    exactly 0.
    """
    shape = tuple(steps + 1 for steps in grid.budget)
    ends = np.zeros(shape)
    ends[tuple(slice(0, left + 1) for left in grid.left_over)] = 1
    counts = [ends]
    for layer in reversed(grid.weights):
        here = np.zeros(shape)
        for weight in layer:
            if np.all(weight < shape):
                to = tuple(slice(int(w), None) for w in weight)
                source = tuple(
                    slice(0, size - int(w)) for w, size in zip(weight, shape, strict=True)
                )
                here[to] += counts[-1][source]
        counts.append(here)
    return counts[::-1]


def all_legal(costs: CostTable, limits: Limits) -> Iterator[Architecture]:
    """Yield every legal architecture; for small spaces only."""
    for choices in itertools.product(*(range(len(row)) for row in costs.macs)):
        if limits.allow(costs.of(choices)):
            yield Architecture(choices)
