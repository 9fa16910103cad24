"""What open gates cost and earn: groups of operations, and the longest path through a cell.

Sources: PR-DARTS (Zhou et al. 2020, arXiv 2006.16537) and its published code, which is followed
where the two differ. All functions are pure. Legend: E edges of a cell, O
operations of an edge, Theta the probability that a gate is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from raynas.differentiable.gates import open_probability
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import NONE, CellSpace
from raynas.spaces.chain import Operation

Cells = Mapping[str, torch.Tensor]
"""E x O for the normal and for the reduction cell, by their names."""


@dataclass(frozen=True)
class Groups:
    """The columns of alpha by what their operations do.

    Attributes:
        skip: Those that pass on what they read.
        pooling: Those without weights that compute something of it.
        parametric: Those with weights.
        none: That of no connection.
        path: The rows of the edges from each node to the next, which make up the longest path.
    """

    skip: tuple[int, ...]
    pooling: tuple[int, ...]
    parametric: tuple[int, ...]
    none: tuple[int, ...]
    path: tuple[int, ...]


@dataclass(frozen=True)
class Terms:
    """What the gates of both cells pay, and what they earn; each a scalar in [0, 1].

    Attributes:
        skip: Mean Theta of the chosen skip connections.
        others: Likewise of what is in no other group.
        pooling: Likewise of pooling; 0 if that is among the others.
        path: Product along the longest path of the mean Theta of chosen operations with weights.
    """

    skip: torch.Tensor
    others: torch.Tensor
    pooling: torch.Tensor
    path: torch.Tensor


def groups_of(space: CellSpace) -> Groups:
    """Return the groups of a space, read off what its operations build."""
    kinds = _kinds(space.operations)
    found = {
        kind: tuple(column for column, other in enumerate(kinds) if other == kind)
        for kind in ("skip", "pooling", "parametric", "none")
    }
    edges = enumerate(space.edges)
    return Groups(**found, path=tuple(row for row, (source, node) in edges if source == node + 1))


@cache
def _kinds(operations: tuple[Operation, ...]) -> tuple[str, ...]:
    with torch.random.fork_rng(devices=[]):  # what is built here draws weights, too
        return tuple(map(_kind, operations))


def _kind(operation: Operation) -> str:
    if operation.name == NONE:
        return "none"
    built = operation.build(2, 2, 1)
    if isinstance(built, nn.Identity):
        return "skip"
    return "parametric" if any(True for _ in built.parameters()) else "pooling"


def group_term(theta: torch.Tensor, chosen: torch.Tensor, columns: tuple[int, ...]) -> torch.Tensor:
    """Return the mean Theta of the chosen gates of a group; 0 if none of them is chosen.

    Args:
        theta: E x O.
        chosen: E x O, 1 or 0.
        columns: The group.
    """
    count = chosen[:, columns].sum()
    return (theta * chosen)[:, columns].sum() / count.clamp(min=1)


def path_term(theta: torch.Tensor, chosen: torch.Tensor, groups: Groups) -> torch.Tensor:
    """Return the product over the edges of the longest path of a chosen operation's mean Theta.

    Edges on which no operation with weights is chosen are passed over; if there are no others, the
    term is 0. Arguments as for ``group_term``.
    """
    along, columns = list(groups.path), list(groups.parametric)
    counts = chosen[along][:, columns].sum(dim=1)
    sums = (theta * chosen)[along][:, columns].sum(dim=1)
    means = sums[counts > 0] / counts[counts > 0]
    return means.prod() if len(means) else theta.new_zeros(())


def terms(
    alphas: Cells,
    chosen: Cells,
    groups: Groups,
    temperature: float,
    settings: DifferentiableSettings,
) -> Terms:
    """Return the terms, each the mean of the normal and of the reduction cell.

    Args:
        alphas: What is learnt.
        chosen: 1 for the gates that are at work, 0 for the others.
        groups: Of the space.
        temperature: tau of this epoch.
        settings: The stretch, and whether pooling is a group of its own.
    """
    theta = {
        cell: open_probability(alpha, temperature, settings.low, settings.high)
        for cell, alpha in alphas.items()
    }
    others, pooling = (*groups.none, *groups.parametric), groups.pooling
    if settings.pooling == "others":
        others, pooling = (*others, *pooling), ()

    def mean(columns: tuple[int, ...]) -> torch.Tensor:
        return torch.stack([group_term(theta[c], chosen[c], columns) for c in theta]).mean()

    path = torch.stack([path_term(theta[c], chosen[c], groups) for c in theta]).mean()
    return Terms(mean(groups.skip), mean(others), mean(pooling), path)


def penalty(found: Terms, settings: DifferentiableSettings) -> torch.Tensor:
    """Return what is added to the cross-entropy of the architecture's batch, a scalar."""

    def hinge(term: torch.Tensor) -> torch.Tensor:
        return (term - settings.free_share).clamp(min=0)

    # l1 hinge(skip) + l2 (hinge(nonskip) + hinge(pool)) - l3 path
    groups = hinge(found.others) + hinge(found.pooling)
    return (
        settings.skip_weight * hinge(found.skip)
        + settings.group_weight * groups
        - settings.path_weight * found.path
    )
