"""Networks whose layers stand in a chain: how they are built, and what their candidates cost.

A chosen identity is a plain identity in a network of its own, without the batch norm of the layer
indicator: it costs nothing.
"""

import math
from functools import partial

import torch
from torch import nn

from raynas.costs.costs import Cost, CostTable
from raynas.errors import UserError
from raynas.nets.measured import fitting, measure, measure_candidate
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace


def chain_network(
    space: SearchSpace, architecture: Architecture, in_channels: int, num_classes: int
) -> nn.Sequential:
    """Return the network of an architecture: stem, a module for each layer, head."""
    chosen = zip(space.blocks, architecture, strict=True)
    layers = [
        block.candidates[choice].build(block.in_channels, block.out_channels, block.stride)
        for block, choice in chosen
    ]
    head = space.head.build(space.blocks[-1].out_channels, num_classes)
    return nn.Sequential(space.stem.build(in_channels), *layers, head)


def chain_cost_table(
    space: SearchSpace, resolution: int, in_channels: int, num_classes: int
) -> CostTable:
    """Return what every candidate of every layer costs for images of that shape.

    Raises:
        UserError: An operation that such images do not fit.
    """
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


def chain_sides(space: SearchSpace, resolution: int, in_channels: int) -> list[int]:
    """Return the side in pixels of the feature maps that each layer receives."""
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
