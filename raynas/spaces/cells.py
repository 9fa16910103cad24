"""Spaces of cells: networks that repeat a normal and a reduction cell, as NASNet and DARTS do.

A choice is a node with *both* of its inputs, an unordered pair of different (state, operation)
pairs. So an architecture has one index per node and kind of cell, costs add up over them, and
the order of a node's inputs cannot make two architectures of one network. Nodes that do not read
each other may still change places, which permutes channels alone: of DARTS' 4,298,030,100 cells
about 31 % differ in more than that (counted by the linear extensions of what nodes read). These
stay apart. Source: DARTS (Liu et al. 2019, arXiv 1806.09055).
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import Head, Operation, PairStem, Stem
from raynas.spaces.genotype import Genotype, Node
from raynas.spaces.node_choices import STATES, CellPlace, NodeChoice, Pair, node_choices, places_of

NONE = "none"
"""The name of the operation that a differentiable search may choose and a network has not."""


@dataclass(frozen=True)
class CellSpace:
    """All networks that repeat a normal and a reduction cell of so many nodes.

    Attributes:
        name: The name in tables.
        stem: The fixed part before the cells; its output is both states of the first cell, unless
            it makes two, of which the first cell halves the larger one as after a reduction.
        operations: What may stand between two states; ``none`` is for differentiable searches
            alone, which read the order of their columns here.
        head: The fixed part after the cells.
        resolution: Height and width in pixels for which the space was made.
        channels: Of each node of the first cell; reduction cells double them.
        cells: Their number; those at one and at two thirds of the depth are reductions.
        nodes: Of a cell; their concatenation is its output.
        in_channels: Channels of the images.
        num_classes: Classes of the task.
        genotypes: Published ones by name, which ``parse`` takes.
    """

    name: str
    stem: Stem | PairStem
    operations: tuple[Operation, ...]
    head: Head
    resolution: int
    channels: int = 36
    cells: int = 20
    nodes: int = 4
    in_channels: int = 3
    num_classes: int = 10
    genotypes: tuple[tuple[str, Genotype], ...] = ()

    def __post_init__(self) -> None:
        names = [operation.name for operation in self.operations]
        for what, number, least in (("cells", self.cells, 3), ("nodes", self.nodes, 1)):
            if number < least:
                raise UserError(
                    f"search space {self.name}: got {number} {what}, wanted at least {least}"
                )
        if self.channels < 2 or self.channels % 2:
            raise UserError(
                f"search space {self.name}: got {self.channels} channels, wanted an even number: "
                "half of them come from even pixels where a skip connection halves the resolution"
            )
        if odd := [name for name in names if not re.fullmatch(r"[^\s()|;]+", name)]:
            raise UserError(
                f"search space {self.name}: got an operation {odd[0]!r}, wanted a name without "
                "spaces, parentheses, bars and semicolons, which have a meaning in genotypes"
            )
        if len(set(names)) < len(names) or not self.selectable:
            raise UserError(
                f"search space {self.name}: got operations {', '.join(names) or 'none at all'}, "
                "wanted different names, and one at least beside none"
            )

    @property
    def part(self) -> str:
        """What a network is a sequence of."""
        return "cell"

    @property
    def shape_text(self) -> str:
        """How large its networks are."""
        return f"{self.cells} cells of {self.nodes} nodes"

    def part_operations(self, architecture: Architecture) -> list[str]:
        """Return the kind of each cell: normal or reduction, whatever the architecture."""
        del architecture
        return [place.kind for place in self.layout]

    def genotype_text(self, architecture: Architecture) -> str:
        """Return the genotype as people read it."""
        return str(self.genotype(architecture))

    def with_identity(self, identity: Operation) -> "CellSpace":
        """Return the space itself: cells have skip connections of their own."""
        del identity
        return self

    @property
    def selectable(self) -> tuple[Operation, ...]:
        """The operations that a network may have: all but ``none``."""
        return tuple(operation for operation in self.operations if operation.name != NONE)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The source and the node (from 0) of every edge of a cell, node by node."""
        nodes = range(self.nodes)
        return tuple((source, node) for node in nodes for source in range(STATES + node))

    @property
    def blocks(self) -> tuple[NodeChoice, ...]:
        """The choices in order: the nodes of the normal cell, then those of the reduction cell."""
        return node_choices(self.nodes, self.selectable)

    @property
    def size(self) -> int:
        """The number of architectures."""
        return math.prod(block.size for block in self.blocks)

    @property
    def num_layers(self) -> int:
        """The number of choices."""
        return len(self.blocks)

    @property
    def layout(self) -> tuple[CellPlace, ...]:
        """The place of every cell."""
        reductions = {self.cells // 3, 2 * self.cells // 3}
        halved = reductions | ({-1} if isinstance(self.stem, PairStem) else set())
        places: list[CellPlace] = []
        channels, before, last = self.channels, self.stem.out_channels, self.stem.out_channels
        for number in range(self.cells):
            channels *= 2 if number in reductions else 1
            follows = number - 1 in halved
            places.append(CellPlace(number in reductions, channels, before, last, follows))
            before, last = last, self.nodes * channels
        return tuple(places)

    @property
    def out_channels(self) -> int:
        """The number of channels that the head receives."""
        return self.nodes * self.layout[-1].channels

    def check(self, architecture: Iterable[int]) -> Architecture:
        """Return the architecture if it lies in the space.

        Raises:
            UserError: A wrong number of indices, or one that a node does not have.
        """
        choices = Architecture(architecture)
        if len(choices) != self.num_layers:
            raise UserError(
                f"architecture {choices}: got {len(choices)} indices, but {self.name} has "
                f"{self.num_layers}, one for each of {self.nodes} nodes of two kinds of cell"
            )
        for block, choice in zip(self.blocks, choices, strict=True):
            if not 0 <= choice < block.size:
                raise UserError(
                    f"{self.name}, node {block.node} of the {block.cell} cell: got candidate "
                    f"{choice}, wanted 0 to {block.size - 1}"
                )
        return choices

    def parse(self, text: str) -> Architecture:
        """Read and check an architecture, ``12-7-...``, or a genotype in a form for people.

        The name of a published genotype stands for it.

        Raises:
            UserError: The text is malformed or names an architecture outside the space.
        """
        if text.strip() in dict(self.genotypes):
            return self.architecture(dict(self.genotypes)[text.strip()])
        if text.strip().startswith(("normal:", "Genotype(")):
            return self.architecture(Genotype.parse(text))
        return self.check(Architecture.parse(text))

    def chosen(self, architecture: Architecture, *, reduction: bool) -> tuple[Pair, ...]:
        """Return what the nodes of one kind of cell are."""
        pairs = zip(self.blocks, architecture, strict=True)
        return tuple(
            block.candidates[choice] for block, choice in pairs if block.is_reduction == reduction
        )

    def genotype(self, architecture: Architecture) -> Genotype:
        """Return the form of an architecture for people."""
        return Genotype(
            *(
                tuple(pair.node for pair in self.chosen(architecture, reduction=reduction))
                for reduction in (False, True)
            )
        )

    def architecture(self, genotype: Genotype) -> Architecture:
        """Return the architecture of a genotype.

        Raises:
            UserError: It has other nodes, states or operations than the space.
        """
        for cell, nodes in (("normal", genotype.normal), ("reduction", genotype.reduction)):
            if len(nodes) != self.nodes:
                raise UserError(
                    f"genotype: got {len(nodes)} nodes in its {cell} cell, but {self.name} has "
                    f"{self.nodes}"
                )
        nodes = (*genotype.normal, *genotype.reduction)
        return Architecture(map(self._index, self.blocks, nodes))

    def _index(self, block: NodeChoice, node: Node) -> int:
        places = places_of(STATES + block.node, self.selectable)
        if node in places:
            return places[node]
        where = f"genotype: node {block.node} of the {block.cell} cell is {node[0]} {node[1]}"
        if node[0] == node[1]:
            raise UserError(f"{where}, the same input twice; wanted two that differ")
        names = ", ".join(operation.name for operation in self.selectable)
        raise UserError(
            f"{where}; wanted states 0 to {STATES - 1 + block.node} and operations of {names}"
        )
