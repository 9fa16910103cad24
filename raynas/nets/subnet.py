"""A subnet: the stand-alone network of one architecture, with weights of its own."""

from torch import nn

from raynas.nets.kinds import kind_of
from raynas.spaces.architecture import Architecture
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
    network = kind_of(space).network(space, architecture, in_channels, num_classes)
    set_dropout(network[-1], dropout)
    return network


def set_dropout(head: nn.Module, dropout: float) -> None:
    """Set the probability of a head's dropout layers, in place."""
    for part in head.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
