"""How many numbers each candidate rectifies: a count of linear regions that needs no training.

Source: the units whose signs naswot compares (Mellor et al. 2021, arXiv 2006.04647).
"""

from functools import cache

import torch
from torch import nn

from raynas.costs.costs import Rows
from raynas.nets.activations import RECTIFIERS
from raynas.nets.chains import chain_sides
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace


def relu_inputs(space: SearchSpace, resolution: int, in_channels: int) -> Rows:
    """Return the numbers that enter a ReLU, or a smooth relative of it, per layer and candidate.

    Args:
        space: The search space.
        resolution: Height and width of the images in pixels, which its operations fit.
        in_channels: Channels of the images.

    Returns:
        Counts of one image; 0 for an identity and for a convolution without activation.
    """
    sides = chain_sides(space, resolution, in_channels)
    pairs = zip(space.blocks, sides, strict=True)
    return tuple(
        tuple(_counted(each, block, side) for each in block.candidates) for block, side in pairs
    )


def _counted(candidate: Operation, block: ChoiceBlock, side: int) -> int:
    return _rectified(candidate, block.in_channels, block.out_channels, block.stride, side)


@cache  # layers of a stage repeat
def _rectified(
    candidate: Operation, in_channels: int, out_channels: int, stride: int, side: int
) -> int:
    """Return the count of an operation on one square of features."""
    found: list[int] = []

    def count(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(inputs[0].numel())

    with torch.device("meta"), torch.no_grad():
        module = candidate.build(in_channels, out_channels, stride).eval()
        for part in module.modules():
            if isinstance(part, RECTIFIERS):
                part.register_forward_pre_hook(count)
        module(torch.empty(1, in_channels, side, side))
    return sum(found)
