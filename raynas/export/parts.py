"""The parts of a subnet by name: stem, a layer or cell each, head; their shapes and costs."""

import copy
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision.ops import StochasticDepth

from raynas.costs.costs import Cost
from raynas.nets.cost import module_cost
from raynas.nets.measured import Value
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One part of a network.

    Attributes:
        name: A Python name, such as layer03_k5e6.
        operation: Of a layer, as the space names it; the kind of a cell; otherwise stem or head.
        module: What it is.
        arriving: Shape of what comes in, without N; between cells that of the last one's output.
        leaving: Shape of what goes out.
        cost: Of one image.
    """

    name: str
    operation: str
    module: nn.Module
    arriving: Shape
    leaving: Shape
    cost: Cost

    def to_row(self) -> dict[str, Any]:
        """Return it as config.json lists it."""
        return {
            "name": self.name,
            "operation": self.operation,
            "input": self.arriving,
            "output": self.leaving,
            "macs": self.cost.macs,
            "params": self.cost.params,
        }


def parts_of(
    network: nn.Sequential, space: Space, architecture: Architecture, image: Shape
) -> list[Part]:
    """Return the parts of a subnet in order.

    Args:
        network: As ``subnet`` returns it.
        space: The space in which the architecture lies.
        architecture: A candidate index per choice.
        image: Channels, height and width of an image.
    """
    names = _names(space, architecture)
    value: Value = torch.empty(1, *image, device="meta")
    parts = []
    for (name, operation), module in zip(names, network, strict=True):
        on_meta = copy.deepcopy(module).to("meta").eval()
        with torch.no_grad():
            leaving = on_meta(value)
        cost = module_cost(on_meta, value)
        parts.append(Part(name, operation, module, _shape(value), _shape(leaving), cost))
        value = leaving
    return parts


def whole_part(network: nn.Module, name: str, image: Shape) -> Part:
    """Return a network that is no sequence of layers as one part.

    What it drops at random while it learns, and passes on otherwise, is left out.

    Args:
        network: Takes images.
        name: Which one it is.
        image: Channels, height and width of an image.
    """
    for part in list(network.modules()):
        for child, module in part.named_children():
            if isinstance(module, StochasticDepth):
                setattr(part, child, nn.Identity())
    value = torch.empty(1, *image, device="meta")
    on_meta = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad():
        leaving = on_meta(value)
    cost = module_cost(on_meta, value)
    return Part("network", name, network, _shape(value), _shape(leaving), cost)


def _names(space: Space, architecture: Architecture) -> list[tuple[str, str]]:
    """Return name and operation of each part."""
    operations = space.part_operations(architecture)
    layers = [
        (f"{space.part}{layer:02d}_{re.sub(r'[^0-9A-Za-z]+', '_', operation)}", operation)
        for layer, operation in enumerate(operations)
    ]
    return [("stem", "stem"), *layers, ("head", "head")]


def _shape(value: Value) -> Shape:
    last = value[1] if isinstance(value, tuple) else value
    return tuple(last.shape[1:])


def show_shape(shape: Shape) -> str:
    """Return a shape as ``16 x 8 x 8``."""
    return " x ".join(map(str, shape))
