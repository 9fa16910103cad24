"""The choices in a space of cells: what a node may be, and where cells stand.

A node adds up two operations on earlier states, so it is an unordered pair of different (state,
operation) pairs. Source: DARTS (Liu et al. 2019, arXiv 1806.09055).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from raynas.spaces.chain import Operation
from raynas.spaces.genotype import Input, Node

STATES = 2
"""Outputs of earlier cells that a cell reads."""


@dataclass(frozen=True)
class Pair:
    """What a node may be: two operations on states, whose results are added up.

    Attributes:
        node: Which states and operations.
        operations: These operations.
    """

    node: Node
    operations: tuple[Operation, Operation]

    @property
    def name(self) -> str:
        """For example sep3(0)+skip_connect(1)."""
        return "+".join(map(str, self.node))

    @property
    def inputs(self) -> Iterator[tuple[int, Operation]]:
        """The state that is read and the operation on it, for both inputs."""
        return zip((each.source for each in self.node), self.operations, strict=True)


@dataclass(frozen=True)
class NodeChoice:
    """One node of one kind of cell and all that it may be.

    Attributes:
        is_reduction: Whether it is a node of the reduction cell.
        node: Its number in the cell, from 0.
        candidates: What it may be, in the order of their indices.
    """

    is_reduction: bool
    node: int
    candidates: tuple[Pair, ...]

    @property
    def cell(self) -> str:
        """The kind of the cell: normal or reduction."""
        return _kind(self.is_reduction)

    @property
    def size(self) -> int:
        """The number of candidates."""
        return len(self.candidates)

    @property
    def identity(self) -> None:
        """No node can be left out."""
        return


@dataclass(frozen=True)
class CellPlace:
    """A cell's place in the network.

    Attributes:
        is_reduction: Whether it halves the resolution.
        channels: Of each of its nodes.
        before: Channels of state 0, the output of the cell before the last one.
        last: Channels of state 1, the output of the last cell.
        follows_reduction: Whether state 0 is twice as large as state 1.
    """

    is_reduction: bool
    channels: int
    before: int
    last: int
    follows_reduction: bool

    @property
    def kind(self) -> str:
        """Normal or reduction."""
        return _kind(self.is_reduction)


def _kind(is_reduction: bool) -> str:
    return "reduction" if is_reduction else "normal"


@cache
def node_choices(nodes: int, operations: tuple[Operation, ...]) -> tuple[NodeChoice, ...]:
    """Return the nodes of the normal cell and then those of the reduction cell.

    Args:
        nodes: Of a cell.
        operations: What may stand between two states.
    """
    return tuple(
        NodeChoice(is_reduction, node, _pairs(STATES + node, operations))
        for is_reduction in (False, True)
        for node in range(nodes)
    )


@cache
def _pairs(states: int, operations: tuple[Operation, ...]) -> tuple[Pair, ...]:
    by_name = {operation.name: operation for operation in operations}
    inputs = sorted(Input(state, name) for state in range(states) for name in by_name)
    return tuple(
        Pair((first, second), (by_name[first.operation], by_name[second.operation]))
        for first, second in combinations(inputs, 2)
    )


@cache
def places_of(states: int, operations: tuple[Operation, ...]) -> dict[Node, int]:
    """Return the index of each candidate of a node that may read so many states."""
    return {pair.node: index for index, pair in enumerate(_pairs(states, operations))}
