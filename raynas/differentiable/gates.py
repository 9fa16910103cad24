"""Hard-concrete gates: weights in [0, 1] that are random, often exactly 0 or 1, and have gradients.

Sources: hard concrete (Louizos et al. 2018, arXiv 1712.01312); PR-DARTS (Zhou et al. 2020, arXiv
2006.16537) and its published code. Legend: E edges of a cell, O operations of
an edge. Nothing here has a state: what is random comes in as numbers or as a generator.
"""

import math
from typing import NamedTuple

import torch

from raynas.settings.differentiable import DifferentiableSettings


class Drawn(NamedTuple):
    """Gates of one kind of cell.

    Attributes:
        chosen: E x O, 1 for the operations of an edge that are at work, 0 for the others.
        gates: E x O, the same numbers with the gradients of the soft gates.
    """

    chosen: torch.Tensor
    gates: torch.Tensor


def soft_gates(
    alpha: torch.Tensor, noise: torch.Tensor, temperature: float, low: float, high: float
) -> torch.Tensor:
    """Return g in [0, 1], of the shape of alpha.

    Args:
        alpha: What is learnt; a gate with a larger one is open more often.
        noise: Uniform on [0, 1), of the same shape.
        temperature: tau; towards 0 gates are 0 or 1, and large ones are all (low + high) / 2.
        low: a < 0, what an entirely closed gate is stretched to before it is clipped.
        high: b > 1, likewise for an open one.
    """
    logistic = noise.log() - (-noise).log1p()  # log u - log(1 - u); u = 0 gives a closed gate
    s = torch.sigmoid((alpha + logistic) / temperature)
    return (low + (high - low) * s).clamp(0, 1)  # g = clip(a + (b - a) s, 0, 1)


def open_probability(
    alpha: torch.Tensor, temperature: float, low: float, high: float
) -> torch.Tensor:
    """Return Theta = P(g > 0), of the shape of alpha; arguments as for ``soft_gates``.

    g > 0 where s > -a / (b - a), hence alpha + log u - log(1 - u) > tau ln(-a / b).
    """
    return torch.sigmoid(alpha - temperature * math.log(-low / high))


def straight_through(
    gates: torch.Tensor, dropped: torch.Tensor, order: torch.Tensor, count: int
) -> Drawn:
    """Return the largest gates of every edge as 1 and the others as 0.

    Args:
        gates: E x O, soft ones.
        dropped: E x O of bool; these are taken only where others do not suffice.
        order: A permutation of the O columns; of equal gates those that come first in it win.
        count: How many of an edge to take.
    """
    rank = (gates.detach() - dropped.to(gates.dtype))[:, order]
    best = order[rank.argsort(dim=1, descending=True, stable=True)[:, :count]]
    chosen = torch.zeros_like(rank).scatter_(1, best, 1.0)
    # h - stopgrad(g) + g; in this order the value is h to the bit
    return Drawn(chosen, chosen + (gates - gates.detach()))


def draw_gates(
    alpha: torch.Tensor,
    temperature: float,
    settings: DifferentiableSettings,
    generator: torch.Generator,
) -> Drawn:
    """Return hard gates of random soft ones.

    Args:
        alpha: E x O.
        temperature: tau of this epoch.
        settings: The stretch, how many to open and how often one is dropped.
        generator: Where random numbers come from.
    """
    noise = torch.rand(alpha.shape, generator=generator)
    dropped = torch.rand(alpha.shape, generator=generator) < settings.operation_dropout
    order = torch.randperm(alpha.shape[1], generator=generator)
    gates = soft_gates(alpha, noise, temperature, settings.low, settings.high)
    return straight_through(gates, dropped, order, settings.open_gates)


def edge_softmax(beta: torch.Tensor, nodes: int) -> torch.Tensor:
    """Return weights of the edges, E, that add up to 1 over those that enter a node.

    Args:
        beta: E, what is learnt, node by node.
        nodes: Of a cell; node n has n + 2 edges.
    """
    entering = beta.split([node + 2 for node in range(nodes)])
    return torch.cat([edges.softmax(dim=0) for edges in entering])
