"""A second classifier at two thirds of a network of cells, for its training alone.

Source: DARTS (Liu et al. 2019, arXiv 1806.09055), the published evaluation networks of CIFAR-10
and ImageNet. It reads the second reduction cell, whose gradients it makes stronger.
"""

import math

import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.cell_cost import cell_sides
from raynas.nets.operations import conv
from raynas.spaces.cells import CellSpace

_WIDTHS = 128, 768
_IMAGENET_SIDE = 7  # of the maps at two thirds, of images of 224 pixels after DARTS' stem


class WithAuxiliary(nn.Module):
    """A network and the head that reads one of its cells."""

    def __init__(self, network: nn.Sequential, head: nn.Module, cell: int) -> None:
        """Keep both; the network's own weights keep their places before the head's.

        Args:
            network: A stem, cells and a head, as ``cell_network`` makes it.
            head: What reads a cell's output.
            cell: Its number, from 0.
        """
        super().__init__()
        self.network = network
        self.head = head
        self._part = 1 + cell  # the stem is part 0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of the network and those of the head, N x classes each."""
        value, read = images, images
        for number, part in enumerate(self.network):
            value = part(value)
            if number == self._part:
                _, read = value
        return value, self.head(read)


def with_auxiliary(
    network: nn.Sequential, space: CellSpace, resolution: int, in_channels: int, num_classes: int
) -> WithAuxiliary:
    """Return a network of cells with a new head at two thirds.

    Args:
        network: Of the space.
        space: The space of cells.
        resolution: Height and width of the images in pixels.
        in_channels: Channels of the images.
        num_classes: Classes of the task.
    """
    number, side = _number(space), _side(space, resolution, in_channels)
    channels = space.nodes * space.layout[number].channels
    return WithAuxiliary(network, _head(channels, side, num_classes), number)


def refuse_small_maps(space: CellSpace, resolution: int, in_channels: int) -> None:
    """Refuse images of which too few pixels reach the head for its 2 x 2 convolution.

    Raises:
        UserError: Names the maps.
    """
    if _side(space, resolution, in_channels) < 2:
        raise UserError(
            f"--retrain.auxiliary with images of {resolution} x {resolution} pixels: the maps of "
            f"{space.name} at two thirds of its depth have one pixel, wanted 2 x 2 at least; raise "
            "--resolution, or leave it at 0"
        )


def _side(space: CellSpace, resolution: int, in_channels: int) -> int:
    """Return the side in pixels of the maps that the head reads, which the cell has halved."""
    return math.ceil(cell_sides(space, resolution, in_channels)[_number(space)] / 2)


def _number(space: CellSpace) -> int:
    """Return the number of the second reduction cell."""
    return 2 * space.cells // 3


def _head(channels: int, side: int, num_classes: int) -> nn.Module:
    """Return the head; where maps are larger than the published ones, their means are classified.

    In ImageNet's there is no batch norm after the second convolution.
    """
    narrow, wide = _WIDTHS
    norm = () if side == _IMAGENET_SIDE else (nn.BatchNorm2d(wide),)
    return nn.Sequential(
        nn.ReLU(),
        _pooling(side),
        conv(channels, narrow),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, wide, 2, bias=False),
        *norm,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),  # of one pixel, in the published networks
        nn.Flatten(),
        nn.Linear(wide, num_classes),
    )


def _pooling(side: int) -> nn.Module:
    """Return what leaves 2 x 2 pixels or more: windows of 5 as published, or of what there is."""
    if side < _IMAGENET_SIDE:
        return nn.AdaptiveAvgPool2d(2)
    stride = 2 if side == _IMAGENET_SIDE else 3
    return nn.AvgPool2d(5, stride, count_include_pad=False)
