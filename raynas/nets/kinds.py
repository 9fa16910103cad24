"""What torch makes of each kind of space: the one place that tells kinds apart.

Whatever does not need torch, a space says itself (``raynas.spaces.protocol.Space``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from raynas.costs.costs import CostTable
from raynas.nets.cell_cost import cell_cost_table, cell_sides
from raynas.nets.cells import cell_network
from raynas.nets.chains import chain_cost_table, chain_network, chain_sides
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import chain_of
from raynas.spaces.protocol import Space


@dataclass(frozen=True)
class Kind:
    """How networks of a kind of space are built, and what they cost."""

    network: Callable[[Any, Any, int, int], nn.Sequential]
    """Space, architecture, image channels and classes to a network: stem, parts, head."""
    cost_table: Callable[[Any, int, int, int], CostTable]
    """Space, resolution, image channels and classes to costs that add up over choices."""
    sides: Callable[[Any, int, int], list[int]]
    """Space, resolution and image channels to the side of the maps that each part receives."""


CHAIN = Kind(chain_network, chain_cost_table, chain_sides)
CELLS = Kind(cell_network, cell_cost_table, cell_sides)


def kind_of(space: Space) -> Kind:
    """Return how the networks of a space are built and measured.

    Raises:
        UserError: It is of no kind that is known.
    """
    if isinstance(space, CellSpace):
        return CELLS
    chain_of(space, "a network")
    return CHAIN
