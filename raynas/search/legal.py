"""Uniform draws among the architectures that keep the limits (``ALGORITHMS`` section 4.3).

The cost is additive over layers, so legal completions can be counted by a knapsack recursion.
Costs are rounded *down* to the grid: every legal architecture can be drawn, and the few drawn
ones that break an exact limit are drawn again, which keeps the draw uniform.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize

from raynas.costs import CostTable, Limits, show_quantity
from raynas.errors import UserError
from raynas.space import Architecture

_CELLS = 90_000  # of the grid: 90,000 steps of one cost, or 300 x 300 of two


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
    smallest = costs.smallest
    for name, limit, least in (
        ("max-macs", limits.max_macs, smallest.macs),
        ("max-params", limits.max_params, smallest.params),
    ):
        if limit is not None and least > limit:
            raise UserError(
                f"--{name} {show_quantity(limit)}: the smallest architecture of the space needs "
                f"{show_quantity(least)} ({least}); raise the limit or take another space"
            )
    if limits.max_macs is not None and limits.max_params is not None:
        least_macs = _least_macs(costs, limits.max_params)
        if least_macs > limits.max_macs:
            raise UserError(
                f"--max-macs {show_quantity(limits.max_macs)} with --max-params "
                f"{show_quantity(limits.max_params)}: architectures within the parameters need at "
                f"least {show_quantity(least_macs)} MACs ({least_macs}); raise one of the limits"
            )


def _least_macs(costs: CostTable, max_params: int) -> int:
    """Return the fewest MACs within a limit of parameters: a small integer program (HiGHS)."""
    macs = np.concatenate([np.array(row, dtype=float) for row in costs.macs])
    params = np.concatenate([np.array(row, dtype=float) for row in costs.params])
    layers = np.concatenate([np.full(len(row), layer) for layer, row in enumerate(costs.macs)])
    one_each = (layers == np.arange(len(costs.macs))[:, None]).astype(float)
    solution = optimize.milp(
        macs,
        integrality=np.ones_like(macs),
        bounds=optimize.Bounds(0, 1),
        constraints=[
            optimize.LinearConstraint(one_each, 1, 1),
            optimize.LinearConstraint(params[None], ub=max_params - costs.fixed.params),
        ],
        options={"mip_rel_gap": 0},  # by itself HiGHS is content with a ten-thousandth
    )
    assert solution.x is not None, "the limit of parameters alone can be kept"
    chosen = np.flatnonzero(np.round(solution.x))
    return costs.of(int(i - np.searchsorted(layers, layers[i])) for i in chosen).macs


def _grid(costs: CostTable, limits: Limits) -> tuple[list[npt.NDArray[np.int64]], list[int]]:
    """Return cost in grid steps per layer (candidates x K), and the budget in steps (K).

    Counted is what a candidate costs beyond the cheapest of its layer, in shares of what the limit
    leaves beyond the smallest architecture. K is the number of limits that bind: 0, 1 or 2.
    """
    smallest, largest = costs.smallest, costs.largest
    rows: list[tuple[Sequence[Sequence[int]], int]] = []
    if limits.max_macs is not None and limits.max_macs < largest.macs:
        rows.append((costs.macs, limits.max_macs - smallest.macs))
    if limits.max_params is not None and limits.max_params < largest.params:
        rows.append((costs.params, limits.max_params - smallest.params))
    steps = round(_CELLS ** (1 / max(len(rows), 1)))
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
