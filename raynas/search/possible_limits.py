"""Whether any architecture keeps the limits, and what to say where none does.

Limits of one kind of cost are judged by all sums that its layers can have: bit s of a whole
number says that some architecture costs s steps beyond the least, and a candidate shifts them,

    reached[l + 1] = OR over i of reached[l] << w[l][i].

Limits of several kinds are judged by integer programs (``raynas.search.integer_program``).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raynas.costs.costs import WORDS, CostTable, Kind, Limits, show_amount, show_limit
from raynas.errors import UserError
from raynas.search.integer_program import (
    Array,
    Row,
    above_least,
    at_most,
    below_most,
    least,
    membership,
)

_MOST_SUMS = 2**27  # bits of a whole number that stay quick to shift: 16 MiB
_ORDER: tuple[Kind, ...] = ("params", "macs", "latency")  # in which limits exclude what is left


def refuse_impossible(costs: CostTable, limits: Limits) -> None:
    """Raise a UserError that names the nearest possible costs if no architecture is legal."""
    _refuse_out_of_range(costs, limits)
    for kind in limits.least:
        _refuse_gap(costs, limits, kind)
    kept: list[Kind] = []
    for kind in _ORDER:
        if kind not in limits.kinds:
            continue
        if kept and _extreme(costs, kind, limits.only([*kept, kind])) is None:
            raise _excluding(costs, kind, limits, limits.only(kept))
        kept.append(kind)


def limit_rows(costs: CostTable, limits: Limits) -> list[Row]:
    """Return limits as rows of an integer program over all candidates."""
    upper = [
        at_most(above_least(costs.rows(kind)), limit - costs.smallest.of(kind))
        for kind, limit in limits.most.items()
    ]
    lower = [
        at_most(below_most(costs.rows(kind)), costs.largest.of(kind) - limit)
        for kind, limit in limits.least.items()
    ]
    return upper + lower


def _refuse_out_of_range(costs: CostTable, limits: Limits) -> None:
    """Refuse a limit that the space's smallest or largest architecture breaks by itself."""
    for kind, limit in limits.most.items():
        least_cost = costs.smallest.of(kind)
        if least_cost > limit:
            raise UserError(
                f"--max-{kind} {show_limit(kind, limit)}: the smallest architecture of the space "
                f"needs {show_limit(kind, least_cost)} ({least_cost}); raise the limit or take "
                "another space"
            )
    for kind, limit in limits.least.items():
        most_cost = costs.largest.of(kind)
        if most_cost < limit:
            raise UserError(
                f"--min-{kind} {show_limit(kind, limit)}: the largest architecture of the space "
                f"has {show_limit(kind, most_cost)} ({most_cost}); lower the limit or take "
                "another space"
            )


def _refuse_gap(costs: CostTable, limits: Limits, kind: Kind) -> None:
    """Refuse a band of one kind of cost between two that architectures have."""
    unit, reached = reachable(costs.rows(kind), _MOST_SUMS)
    if not reached:
        return  # too many sums: integer programs judge them
    smallest = costs.smallest.of(kind)
    first = -(-max(limits.least[kind] - smallest, 0) // unit)  # the first step of the band
    above = reached >> first
    nearest_above = first + (above & -above).bit_length() - 1 if above else None
    most = limits.most.get(kind)
    if nearest_above is not None and (most is None or smallest + nearest_above * unit <= most):
        return
    below = (reached & ((1 << first) - 1)).bit_length() - 1
    ends = [step for step in (below, nearest_above) if step is not None and step >= 0]
    raise _between(kind, limits.only([kind]), [smallest + step * unit for step in ends], Limits())


def reachable(rows: Sequence[Sequence[int]], most_sums: int) -> tuple[int, int]:
    """Return the unit of all sums of a candidate a layer, and which multiples of it they are.

    Args:
        rows: ``rows[layer][candidate]``; counted is what is beyond the cheapest of each layer.
        most_sums: Beyond so many multiples nothing is worked out.

    Returns:
        The unit; and a whole number with a bit for each multiple that is a sum, 0 if there are
        too many.
    """
    above = [[cost - min(row) for cost in row] for row in rows]
    unit = max(math.gcd(*(cost for row in above for cost in row)), 1)
    if sum(map(max, above)) // unit >= most_sums:
        return unit, 0
    reached = 1
    for row in above:
        before, reached = reached, 0
        for cost in set(row):
            reached |= before << (cost // unit)
    return unit, reached


def _extreme(costs: CostTable, kind: Kind, limits: Limits, sign: int = 1) -> int | None:
    """Return the least cost of a kind within limits, the most with sign -1, or None."""
    rows = costs.rows(kind)
    aim = above_least(rows) if sign > 0 else below_most(rows)
    chosen = _solved(costs, limits, aim)
    return None if chosen is None else costs.of(chosen).of(kind)


def _solved(costs: CostTable, limits: Limits, aim: Array) -> list[int] | None:
    """Return the choices of the least sum of ``aim`` within limits, or None if there are none."""
    sizes = [len(row) for row in costs.macs]
    chosen = least(aim, limit_rows(costs, limits), membership(sizes))
    return None if chosen is None else (chosen - np.cumsum([0, *sizes[:-1]])).tolist()


def some_legal(costs: CostTable, limits: Limits, rng: np.random.Generator) -> list[int]:
    """Return the choices of a legal architecture: the best by random sums, so not a uniform one.

    There must be one.
    """
    chosen = _solved(costs, limits, rng.random(sum(map(len, costs.macs))))
    assert chosen is not None, "some architecture keeps the limits"
    return chosen


def _excluding(costs: CostTable, kind: Kind, limits: Limits, kept: Limits) -> UserError:
    """Return how to say that limits which can be kept one by one cannot be kept together."""
    own, low = limits.only([kind]), limits.least.get(kind)
    from_low = replace(kept, min_macs=low) if kind == "macs" else replace(kept, min_params=low)
    least_cost = _extreme(costs, kind, kept if low is None else from_low)
    if not limits.least and least_cost is not None:
        others = " and ".join(
            f"--max-{of} {show_limit(of, most)}" for of, most in kept.most.items()
        )
        return UserError(
            f"--max-{kind} {show_limit(kind, limits.most[kind])} with {others}: architectures "
            f"within the {_names(kept)} need at least {show_amount(kind, least_cost)} "
            f"({least_cost}); raise one of the limits"
        )
    below = None if low is None else _extreme(costs, kind, kept.within(kind, low - 1), sign=-1)
    return _between(kind, own, [each for each in (below, least_cost) if each is not None], kept)


def _between(kind: Kind, limits: Limits, nearest: Sequence[int], kept: Limits) -> UserError:
    """Return how to say that no architecture lies within the limits of one kind of cost.

    Args:
        kind: The kind.
        limits: Those of that kind.
        nearest: The costs next to them that architectures have, one or two.
        kept: The limits that these architectures keep.
    """
    others = f" with {' and '.join(_flags(kept))}" if kept.kinds else ""
    which = f"of architectures within the {_names(kept)}" if kept.kinds else "of all architectures"
    amounts = " and ".join(f"{show_amount(kind, cost)} ({cost})" for cost in nearest)
    verb = "has" if len(nearest) == 1 else "have"
    return UserError(
        f"{' and '.join(_flags(limits))}{others}: none lies there; {which} the nearest {verb} "
        f"{amounts}; widen one of the limits"
    )


def _flags(limits: Limits) -> list[str]:
    """Return the flags of limits, as they are given."""
    sides = (("min", limits.least), ("max", limits.most))
    return [
        f"--{side}-{kind} {show_limit(kind, amounts[kind])}"
        for kind in limits.kinds
        for side, amounts in sides
        if kind in amounts
    ]


def _names(limits: Limits) -> str:
    return " and ".join(WORDS[kind] for kind in limits.kinds)
