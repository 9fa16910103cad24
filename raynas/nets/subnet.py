"""A subnet: the stand-alone network of one architecture, with weights of its own.

A chosen identity is a plain identity here, without the batch norm of the layer indicator: it
costs nothing (``ALGORITHMS`` 15, question 11).
"""

from torch import nn

from raynas.nets.cells import cell_network
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.protocol import Space


def subnet(
    space: Space,
    architecture: Architecture,
    in_channels: int,
    num_classes: int,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return the network: images N x C x H x W to logits N x num_classes.

    Args:
        space: The space in which the architecture lies.
        architecture: A candidate index per layer.
        in_channels: Channels of the images.
        num_classes: Classes of the task.
        dropout: Probability of the head's dropout layers.
    """
    if isinstance(space, CellSpace):
        network = cell_network(space, architecture, in_channels, num_classes)
    else:
        chain = chain_of(space, "a network")
        network = _chain_network(chain, architecture, in_channels, num_classes)
    for part in network[-1].modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
    return network


def _chain_network(
    space: SearchSpace, architecture: Architecture, in_channels: int, num_classes: int
) -> nn.Sequential:
    chosen = zip(space.blocks, architecture, strict=True)
    layers = [
        block.candidates[choice].build(block.in_channels, block.out_channels, block.stride)
        for block, choice in chosen
    ]
    head = space.head.build(space.blocks[-1].out_channels, num_classes)
    return nn.Sequential(space.stem.build(in_channels), *layers, head)
