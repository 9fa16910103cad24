"""Exact costs by torch's own counter on the meta device: no memory, no data, no convention.

``FlopCounterMode`` counts a multiply-add as two; its total halved is what papers call FLOPs
(``ALGORITHMS`` 4.1 and 13.4). Batch norms, activations, pooling and additions count zero.
"""

import math
from functools import partial

import torch
from torch import nn

from raynas.costs.costs import Cost, CostTable
from raynas.errors import UserError
from raynas.nets.cell_cost import cell_cost_table, cell_sides
from raynas.nets.measured import Value, fitting, measure, measure_candidate
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space


def cost_table(space: Space, resolution: int, in_channels: int, num_classes: int) -> CostTable:
    """Return what every candidate of every choice costs for images of that shape.

    Args:
        space: The search space.
        resolution: Height and width of the images in pixels.
        in_channels: Channels of the images.
        num_classes: Classes of the task.

    Raises:
        UserError: An operation that such images do not fit.
    """
    if isinstance(space, CellSpace):
        return cell_cost_table(space, resolution, in_channels, num_classes)
    chain = chain_of(space, "costs")
    return _chain_cost_table(chain, resolution, in_channels, num_classes)


def _chain_cost_table(
    space: SearchSpace, resolution: int, in_channels: int, num_classes: int
) -> CostTable:
    where = partial(fitting, space, resolution)
    with torch.device("meta"):
        images = torch.empty(1, in_channels, resolution, resolution)
        with where("the stem"):
            stem, features = measure(space.stem.build(in_channels), images)
        rows: list[list[Cost]] = []
        for layer, block in enumerate(space.blocks):
            shape = tuple(features.shape)
            row = []
            for candidate in block.candidates:
                with where(f"operation {candidate.name} of layer {layer}"):
                    measured = measure_candidate(candidate, block.out_channels, block.stride, shape)
                row.append(measured)
            _check_shapes(space, layer, [output for _, output in row], features)
            features = torch.empty(row[0][1])
            rows.append([cost for cost, _ in row])
        with where("the head"):
            head, _ = measure(space.head.build(features.shape[1], num_classes), features)
    return CostTable(
        macs=tuple(tuple(cost.macs for cost in row) for row in rows),
        params=tuple(tuple(cost.params for cost in row) for row in rows),
        fixed=Cost(stem.macs + head.macs, stem.params + head.params),
    )


def map_sides(space: Space, resolution: int, in_channels: int) -> list[int]:
    """Return the side in pixels of the feature maps that each layer, or each cell, receives."""
    if isinstance(space, CellSpace):
        return cell_sides(space, resolution, in_channels)
    space = chain_of(space, "maps")
    with torch.device("meta"), torch.no_grad():
        stem = space.stem.build(in_channels).eval()
        side = stem(torch.empty(1, in_channels, resolution, resolution)).shape[-1]
    sides = []
    for block in space.blocks:
        sides.append(side)
        side = math.ceil(side / block.stride)
    return sides


def _check_shapes(
    space: SearchSpace, layer: int, outputs: list[tuple[int, ...]], features: torch.Tensor
) -> None:
    """Refuse candidates that do not map to the block's shape: paths would not fit together."""
    block = space.blocks[layer]
    height, width = (math.ceil(side / block.stride) for side in features.shape[2:])
    wanted = (1, block.out_channels, height, width)
    for candidate, output in zip(block.candidates, outputs, strict=True):
        if output != wanted:
            raise UserError(
                f"{space.name}, layer {layer}: operation {candidate.name} maps to {output[1:]}, "
                f"wanted {wanted[1:]} (channels, height, width); mend its build(), or choose a "
                "--resolution that the strides divide"
            )


def module_cost(module: nn.Module, value: Value) -> Cost:
    """Return the cost of a module for the given input, N = 1."""
    return measure(module, value)[0]
