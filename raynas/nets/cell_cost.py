"""What the nodes of cells cost: sums over all cells of a kind, so that costs add up over nodes.

A network costs its stem, its head and the preprocessing of every cell, whatever its genotype;
that of a state that no node reads counts, too, as in the published evaluation networks.
"""

import math
from functools import partial

import torch

from raynas.costs.costs import Cost, CostTable
from raynas.errors import UserError
from raynas.nets.cells import Preprocessing, cell_head, cell_stem, stride_of
from raynas.nets.measured import fitting, measure, measure_candidate
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import Operation
from raynas.spaces.node_choices import CellPlace, NodeChoice

Placed = list[tuple[CellPlace, int]]
"""The place of every cell, and the side in pixels of the maps that it receives."""


def cell_cost_table(
    space: CellSpace, resolution: int, in_channels: int, num_classes: int
) -> CostTable:
    """Return what every candidate of every node costs for images of that shape.

    Args:
        space: The space of cells.
        resolution: Height and width of the images in pixels.
        in_channels: Channels of the images.
        num_classes: Classes of the task.

    Raises:
        UserError: An operation that such images do not fit.
    """
    where = partial(fitting, space, resolution)
    placed = list(zip(space.layout, cell_sides(space, resolution, in_channels), strict=True))
    with torch.device("meta"):
        with where("the stem"):
            images = torch.empty(1, in_channels, resolution, resolution)
            fixed = [measure(cell_stem(space, in_channels), images)[0]]
        fixed += [_preprocessing(place, side) for place, side in placed]
        with where("the head"):
            last = torch.empty(1, space.out_channels, *2 * [_side_after(*placed[-1])])
            fixed.append(measure(cell_head(space, num_classes), (last, last))[0])
        costs: dict[tuple[bool, bool, Operation], Cost] = {}
        for operation in space.selectable:
            with where(f"operation {operation.name}"):
                for is_reduction in (False, True):
                    for on_state in (False, True):
                        found = _summed(space, placed, operation, is_reduction, on_state)
                        costs[is_reduction, on_state, operation] = found
    rows = [
        [_of_pair(block, choice, costs) for choice in range(block.size)] for block in space.blocks
    ]
    return CostTable(
        macs=tuple(tuple(cost.macs for cost in row) for row in rows),
        params=tuple(tuple(cost.params for cost in row) for row in rows),
        fixed=_total(fixed),
    )


def cell_sides(space: CellSpace, resolution: int, in_channels: int) -> list[int]:
    """Return the side in pixels of the feature maps that each cell receives from the last one."""
    with torch.device("meta"), torch.no_grad(), fitting(space, resolution, "the stem"):
        stem = cell_stem(space, in_channels).eval()
        side = stem(torch.empty(1, in_channels, resolution, resolution))[1].shape[-1]
    sides = []
    for place in space.layout:
        sides.append(side)
        side = _side_after(place, side)
    return sides


def _side_after(place: CellPlace, side: int) -> int:
    return math.ceil(side / 2) if place.is_reduction else side


def _preprocessing(place: CellPlace, side: int) -> Cost:
    before = 2 * side if place.follows_reduction else side  # 2 side - 1 costs the same
    states = (
        torch.empty(1, place.before, before, before),
        torch.empty(1, place.last, side, side),
    )
    return measure(Preprocessing(place), states)[0]


def _summed(
    space: CellSpace, placed: Placed, operation: Operation, is_reduction: bool, on_state: bool
) -> Cost:
    """Return what an operation costs in all cells of a kind.

    Args:
        space: The space.
        placed: Its cells.
        operation: The operation.
        is_reduction: Which kind of cell.
        on_state: Whether it reads a state; otherwise it reads a node.
    """
    costs = []
    for place, side in placed:
        if place.is_reduction != is_reduction:
            continue
        stride = stride_of(0 if on_state else 2, is_reduction=is_reduction)
        after = _side_after(place, side)
        arriving = side if on_state else after
        shape = (1, place.channels, arriving, arriving)
        cost, output = measure_candidate(operation, place.channels, stride, shape)
        wanted = (1, place.channels, after, after)
        if output != wanted:
            raise UserError(
                f"{space.name}: operation {operation.name} maps {shape[1:]} at stride {stride} to "
                f"{output[1:]}, wanted {wanted[1:]} (channels, height, width); mend its build()"
            )
        costs.append(cost)
    return _total(costs)


def _of_pair(
    block: NodeChoice, choice: int, costs: dict[tuple[bool, bool, Operation], Cost]
) -> Cost:
    inputs = block.candidates[choice].inputs
    return _total(
        [costs[block.is_reduction, source < 2, operation] for source, operation in inputs]
    )


def _total(costs: list[Cost]) -> Cost:
    return Cost(sum(cost.macs for cost in costs), sum(cost.params for cost in costs))
