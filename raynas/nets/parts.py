"""The parts of a subnet by name: stem, a layer each, head; their shapes and what they cost."""

import copy
import re
from dataclasses import dataclass

import torch
from torch import nn

from raynas.costs import Cost
from raynas.nets.cost import module_cost
from raynas.space import Architecture, SearchSpace

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One part of a network.

    Attributes:
        name: A Python name, such as layer03_k5e6.
        operation: Of a layer, as the space names it; otherwise stem or head.
        module: What it is.
        arriving: Shape of what comes in, without N.
        leaving: Shape of what goes out.
        cost: Of one image.
    """

    name: str
    operation: str
    module: nn.Module
    arriving: Shape
    leaving: Shape
    cost: Cost


def parts_of(
    network: nn.Sequential, space: SearchSpace, architecture: Architecture, image: Shape
) -> list[Part]:
    """Return the parts of a subnet in order.

    Args:
        network: As ``subnet`` returns it.
        space: The space in which the architecture lies.
        architecture: A candidate index per layer.
        image: Channels, height and width of an image.
    """
    chosen = zip(space.blocks, architecture, strict=True)
    operations = [block.candidates[choice].name for block, choice in chosen]
    layers = [
        f"layer{layer:02d}_{re.sub(r'[^0-9A-Za-z]+', '_', operation)}"
        for layer, operation in enumerate(operations)
    ]
    shape, parts = image, []
    names = zip(("stem", *layers, "head"), ("stem", *operations, "head"), network, strict=True)
    for name, operation, module in names:
        on_meta = copy.deepcopy(module).to("meta").eval()
        arriving = torch.empty(1, *shape, device="meta")
        leaving = tuple(on_meta(arriving).shape[1:])
        cost = module_cost(on_meta, arriving)
        parts.append(Part(name, operation, module, shape, leaving, cost))
        shape = leaving
    return parts


def show_shape(shape: Shape) -> str:
    """Return a shape as ``16 x 8 x 8``."""
    return " x ".join(map(str, shape))
