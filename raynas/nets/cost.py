"""Exact costs by torch's own counter on the meta device: no memory, no data, no convention.

``FlopCounterMode`` counts a multiply-add as two; its total halved is what papers call FLOPs
(``.docs/pages/method.md``, Costs). Batch norms, activations, pooling and additions count zero.
"""

from torch import nn

from raynas.costs.costs import Cost, CostTable
from raynas.nets.kinds import kind_of
from raynas.nets.measured import Value, measure
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
    return kind_of(space).cost_table(space, resolution, in_channels, num_classes)


def map_sides(space: Space, resolution: int, in_channels: int) -> list[int]:
    """Return the side in pixels of the feature maps that each layer, or each cell, receives."""
    return kind_of(space).sides(space, resolution, in_channels)


def module_cost(module: nn.Module, value: Value) -> Cost:
    """Return the cost of a module for the given input, N = 1."""
    return measure(module, value)[0]
