"""From weights of operations to a genotype, and how deep and how full of skip connections it is.

Sources: DARTS (Liu et al. 2019, arXiv 1806.09055, section 2.3); PR-DARTS (Zhou et al. 2020, arXiv
2006.16537) and its published code. Legend: E edges of a cell, O operations.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import CostTable, Limits
from raynas.search.exact import best
from raynas.search.formulas import Array
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import NONE, CellSpace
from raynas.spaces.genotype import Genotype, Input, Node
from raynas.spaces.node_choices import STATES, NodeChoice

Weights = npt.NDArray[np.floating]
Rule = Literal["pairs", "edges"]
Inputs = Sequence[Sequence[Input]]
"""What each node of a cell adds up."""


class CellWeights(NamedTuple):
    """What a genotype is chosen by, E x O of each kind of cell."""

    normal: Weights
    reduction: Weights


def best_within(
    space: CellSpace, weights: CellWeights, rule: Rule, costs: CostTable, limits: Limits
) -> Architecture:
    """Return the genotype by a rule, or the best one that keeps the limits, as an architecture.

    A rule chooses for each node the two inputs of the largest sum of weights, and a genotype has
    the largest sum over its nodes. So with limits it is the solution of an integer program
    (``raynas.search.exact``), which of all that keep them has that sum.

    Args:
        space: Where genotypes come from.
        weights: Of both kinds of cell.
        rule: Whether both inputs of a node may stand on one edge (pairs) or not (edges).
        costs: What architectures cost.
        limits: What it may cost.

    Raises:
        UserError: No network keeps the limits.
    """
    of = best_pairs if rule == "pairs" else best_edges
    free = space.architecture(Genotype(of(space, weights.normal), of(space, weights.reduction)))
    if limits.allow(costs.of(free)):
        return free
    table = [
        _sums(space, weights.reduction if block.is_reduction else weights.normal, block, rule)
        for block in space.blocks
    ]
    return best(table, costs, limits)[0]


def _sums(space: CellSpace, weights: Weights, block: NodeChoice, rule: Rule) -> Array:
    """Return for everything that a node may be the sum of the weights of its inputs."""
    of = {each: weight for weight, each in _weighed(space, weights, block.node)}
    sums = [
        -np.inf if rule == "edges" and first.source == second.source else of[first] + of[second]
        for first, second in (pair.node for pair in block.candidates)
    ]
    return np.array(sums, np.float64)


def best_pairs(space: CellSpace, weights: Weights) -> tuple[Node, ...]:
    """Return the nodes of a cell by PR-DARTS: the best two (operation, edge) pairs of each.

    Both may stand on one edge; none is never chosen. Of equal weights the first ones win.

    Args:
        space: Tells the edges and operations.
        weights: E x O, the softmax of alpha over O.
    """
    return tuple(_two_best(_weighed(space, weights, node)) for node in range(space.nodes))


def best_edges(space: CellSpace, weights: Weights) -> tuple[Node, ...]:
    """Return the nodes of a cell by DARTS: the best operation of each of the best two edges.

    An edge is as good as its best operation but none. Arguments as for ``best_pairs``; where
    edges are weighed, too, the weights are those products.
    """
    nodes = []
    for node in range(space.nodes):
        best: dict[int, tuple[float, Input]] = {}
        for weight, each in _weighed(space, weights, node):
            if each.source not in best or weight > best[each.source][0]:
                best[each.source] = weight, each
        nodes.append(_two_best(list(best.values())))
    return tuple(nodes)


def inputs_of(space: CellSpace, chosen: Weights) -> Inputs:
    """Return what the nodes of a cell add up where some gates of each edge are open.

    Args:
        space: Tells the edges and operations.
        chosen: E x O, not 0 where a gate is open; none connects nothing.
    """
    nodes = range(space.nodes)
    return [[each for open_, each in _weighed(space, chosen, node) if open_] for node in nodes]


def skip_share(inputs: Inputs, skips: Collection[str]) -> float:
    """Return the share of skip connections among the inputs of a cell's nodes, in [0, 1].

    Args:
        inputs: By node.
        skips: The names of operations that pass on what they read.
    """
    names = [each.operation for node in inputs for each in node]
    return sum(name in skips for name in names) / max(len(names), 1)


def path_depth(inputs: Inputs, counted: Collection[str]) -> float:
    """Return how many operations lie on a path through a cell, on average over all its paths.

    A path leads from an output of an earlier cell to any node, since all nodes are the output of
    the cell. 0 if there is none.

    Args:
        inputs: By node.
        counted: The names of the operations that make a path deeper, such as those with weights.
    """
    paths, lengths = [1] * STATES, [0] * STATES  # to each state: how many, and how long in all
    for node in inputs:
        paths.append(sum(paths[each.source] for each in node))
        lengths.append(
            sum(
                lengths[each.source] + paths[each.source] * (each.operation in counted)
                for each in node
            )
        )
    return sum(lengths[STATES:]) / max(sum(paths[STATES:]), 1)


def _weighed(space: CellSpace, weights: Weights, node: int) -> list[tuple[float, Input]]:
    """Return what a node may read by which operation but none, with the weights."""
    return [
        (float(weight), Input(source, operation.name))
        for (source, reader), row in zip(space.edges, weights, strict=True)
        for operation, weight in zip(space.operations, row, strict=True)
        if reader == node and operation.name != NONE
    ]


def _two_best(weighed: Sequence[tuple[float, Input]]) -> Node:
    first, second = sorted(weighed, key=lambda each: -each[0])[:2]
    return first[1], second[1]
