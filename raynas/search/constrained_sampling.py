"""Uniform draws among the architectures that keep the limits.

The cost is additive over layers, so legal completions can be counted by a knapsack recursion.
Costs are rounded *down* to the grid: every legal architecture can be drawn, and the few drawn
ones that break an exact limit are drawn again, which keeps the draw uniform.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import WORDS, CostTable, Kind, Limits, show_amount, show_limit
from raynas.errors import UserError
from raynas.search.integer_program import Row, above_least, at_most, least, membership
from raynas.spaces.architecture import Architecture

_CELLS = (1, 90_000, 90_000, 262_144)  # of the grid, by how many costs it counts: 64 x 64 x 64


class LegalSampler:
    """Draws architectures within limits; holds the table of counts, no random state."""

    def __init__(self, costs: CostTable, limits: Limits) -> None:
        """Count the legal completions of every beginning.

        Raises:
            UserError: No architecture keeps the limits; names the smallest possible cost.
        """
        refuse_impossible(costs, limits)
        self.costs = costs
        self.limits = limits
        self.sizes = [len(row) for row in costs.macs]
        self._weights, self._budget = _grid(costs, limits)
        self._counts = _count(self._weights, self._budget)

    def allows(self, architecture: Architecture) -> bool:
        """Return whether the architecture keeps the exact limits."""
        return self.limits.allow(self.costs.of(architecture))

    def draw(self, rng: np.random.Generator, attempts: int = 100) -> Architecture | None:
        """Return a uniform legal architecture, or None after too many near misses."""
        candidates = (self._proposal(rng) for _ in range(attempts))
        return next(filter(self.allows, candidates), None)

    def _proposal(self, rng: np.random.Generator) -> Architecture:
        left: tuple[int, ...] = tuple(self._budget)
        choices = []
        for weights, following in zip(self._weights, self._counts[1:], strict=True):
            rest = list(map(tuple, (left - weights).tolist()))
            counts = np.array(
                [following[cell] if min(cell, default=0) >= 0 else 0.0 for cell in rest]
            )
            total = np.cumsum(counts)
            choice = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
            choices.append(choice)
            left = rest[choice]
        return Architecture(choices)


def refuse_impossible(costs: CostTable, limits: Limits) -> None:
    """Raise a UserError that names the smallest possible cost if no architecture is legal."""
    for kind, limit in limits.given.items():
        least_cost = costs.smallest.of(kind)
        if least_cost > limit:
            raise UserError(
                f"--max-{kind} {show_limit(kind, limit)}: the smallest architecture of the space "
                f"needs {show_limit(kind, least_cost)} ({least_cost}); raise the limit or take "
                "another space"
            )
    kept = Limits()
    for kind in ("params", "macs", "latency"):
        if kind not in limits.given:
            continue
        least_cost = _least_cost(costs, kind, kept)
        if least_cost > limits.given[kind]:
            raise _excluding(kind, limits.given[kind], kept, least_cost)
        kept = kept.within(kind, limits.given[kind])


def _excluding(kind: Kind, limit: int, kept: Limits, least_cost: int) -> UserError:
    """Return how to say that limits which can be kept one by one cannot be kept together."""
    others = " and ".join(f"--max-{of} {show_limit(of, most)}" for of, most in kept.given.items())
    names = " and ".join(WORDS[of] for of in kept.given)
    return UserError(
        f"--max-{kind} {show_limit(kind, limit)} with {others}: architectures within the {names} "
        f"need at least {show_amount(kind, least_cost)} ({least_cost}); raise one of the limits"
    )


def limit_rows(costs: CostTable, limits: Limits) -> list[Row]:
    """Return limits as rows of an integer program over all candidates."""
    return [
        at_most(above_least(costs.rows(kind)), limit - costs.smallest.of(kind))
        for kind, limit in limits.given.items()
    ]


def _least_cost(costs: CostTable, kind: Kind, limits: Limits) -> int:
    """Return the least cost of a kind within limits that can be kept."""
    if not limits.given:
        return costs.smallest.of(kind)
    sizes = [len(row) for row in costs.macs]
    chosen = least(above_least(costs.rows(kind)), limit_rows(costs, limits), membership(sizes))
    assert chosen is not None, "the limits before can be kept"
    starts = np.cumsum([0, *sizes[:-1]])
    return costs.of(int(i) for i in chosen - starts).of(kind)


def _grid(costs: CostTable, limits: Limits) -> tuple[list[npt.NDArray[np.int64]], list[int]]:
    """Return cost in grid steps per layer (candidates x K), and the budget in steps (K).

    Counted is what a candidate costs beyond the cheapest of its layer, in shares of what the limit
    leaves beyond the smallest architecture. K is the number of limits that bind: 0 to 3.
    """
    smallest, largest = costs.smallest, costs.largest
    rows = [
        (costs.rows(kind), limit - smallest.of(kind))
        for kind, limit in limits.given.items()
        if limit < largest.of(kind)
    ]
    steps = round(_CELLS[len(rows)] ** (1 / max(len(rows), 1)))
    weights = [
        np.array(
            [
                [
                    (table[layer][i] - min(table[layer])) * steps // max(slack, 1)
                    for table, slack in rows
                ]
                for i in range(size)
            ],
            dtype=np.int64,
        ).reshape(size, len(rows))
        for layer, size in enumerate(len(row) for row in costs.macs)
    ]
    return weights, [steps] * len(rows)


def _count(
    weights: Sequence[npt.NDArray[np.int64]], budget: Sequence[int]
) -> list[npt.NDArray[np.float64]]:
    """Return N[l][b]: how many completions of layers l.. fit into what is left, b.

    N[L][b] = 1;  N[l][b] = sum over i with w[l][i] <= b of N[l+1][b - w[l][i]]. Floats hold the
    counts (6^21 exceeds 2^53); a count that is 0 stays exactly 0.
    """
    shape = tuple(steps + 1 for steps in budget)
    counts = [np.ones(shape)]
    for layer in reversed(weights):
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
