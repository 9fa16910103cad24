"""Of networks in the order of their size, the largest one that keeps the upper limits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from raynas.costs.costs import Cost, Kind, Limits, show_amount
from raynas.errors import UserError

Network = TypeVar("Network")


def largest_within(
    networks: Sequence[Network],
    cost_of: Callable[[Network], Cost],
    limits: Limits,
    latency_of: Callable[[Network], int] | None = None,
    shown: Callable[[Network], str] = str,
) -> tuple[Network, Cost]:
    """Return the largest of some networks that keeps the upper limits, and its cost.

    Args:
        networks: The smallest first: costs rise from each to the next.
        cost_of: What one costs.
        limits: Of which the lower ones do not count: who costs less is a rival, too.
        latency_of: Times a network, nanoseconds; None: latencies are as ``cost_of`` says.
        shown: What a network is called where none keeps the limits.

    Raises:
        UserError: Even the smallest one costs too much.
    """
    low, high = 0, len(networks) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if excess(_cost(networks[middle], cost_of, limits, latency_of), limits) is None:
            low = middle
        else:
            high = middle - 1
    cost = _cost(networks[low], cost_of, limits, latency_of)
    if found := excess(cost, limits):
        raise UserError(f"{shown(networks[low])} has {found}")
    return networks[low], cost


def excess(cost: Cost, limits: Limits) -> str | None:
    """Return by what a cost exceeds the upper limits, in words; None: it keeps them.

    Args:
        cost: Of a network; a latency that is not known exceeds none.
        limits: The limits.
    """
    for kind, limit in _known(cost, limits):
        if cost.of(kind) > limit:
            found, allowed = (show_amount(kind, number) for number in (cost.of(kind), limit))
            return f"{found}, and {allowed} are allowed"
    return None


def times_the_limit(cost: Cost, limits: Limits) -> str:
    """Return how often a cost is the upper limit that it exceeds most; empty: it keeps them.

    Args:
        cost: Of a network; a latency that is not known exceeds none.
        limits: The limits.
    """
    shares = ((cost.of(kind) / limit, kind, limit) for kind, limit in _known(cost, limits))
    share, kind, limit = max(shares, default=(0.0, "macs", 0))
    return f"{share:.2f} times the limit of {show_amount(kind, limit)}" if share > 1 else ""


def _known(cost: Cost, limits: Limits) -> list[tuple[Kind, int]]:
    """Return the upper limits of what is known of a cost."""
    unknown = cost.latency is None
    return [pair for pair in limits.most.items() if not (unknown and pair[0] == "latency")]


def _cost(
    network: Network,
    cost_of: Callable[[Network], Cost],
    limits: Limits,
    latency_of: Callable[[Network], int] | None,
) -> Cost:
    """Return what a network costs; it is timed last, and only where all else keeps the limits."""
    cost = cost_of(network)
    if latency_of is None or excess(cost, limits) is not None:
        return cost
    return replace(cost, latency=latency_of(network))
