"""A network of a space with all its widths inside cut by one factor: what a person does by hand.

Source: the width multiplier of MobileNets (Howard et al. 2017, arXiv 1704.04861, section 3.3), here
of the channels inside layers alone, so that the weights of the whole network can be inherited.
"""

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from raynas.costs.costs import Cost
from raynas.costs.latency_table import Task
from raynas.nets.cost import cost_table
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.operations import MBConv
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace
from raynas.storage.rival_names import NARROW

_WHOLE = 100  # hundredths: the network as it is
_MULTIPLE = 8  # of channels, as in MobileNetV2 and later


@dataclass(frozen=True)
class NarrowNetwork:
    """A network of a space of layers, each of which is as narrow inside as one factor makes it.

    Attributes:
        architecture: The network that is cut.
        hundredths: The factor, 1 to 100 hundredths; at 100 it is the network itself.
    """

    name: ClassVar[str] = NARROW
    architecture: Architecture
    hundredths: int

    def __str__(self) -> str:
        return f"{self.name}@{self.hundredths / _WHOLE:.2f} of {self.architecture}"

    @classmethod
    def parse(cls, text: str) -> "NarrowNetwork | None":
        """Read what ``str`` makes of one; None: it is none."""
        found = re.fullmatch(rf"{cls.name}@([01]\.\d\d) of (\S+)", text)
        return cls(Architecture.parse(found[2]), round(float(found[1]) * _WHOLE)) if found else None

    def alone(self, space: SearchSpace) -> tuple[SearchSpace, Architecture]:
        """Return a space that holds this network and no other, and the network's choices in it.

        Args:
            space: In which the architecture lies.
        """
        whole, only = one_network(space, self.architecture)
        blocks = [replace(block, candidates=(self._narrowed(block),)) for block in whole.blocks]
        return replace(whole, blocks=tuple(blocks)), only

    def build(self, space: SearchSpace, task: Task, dropout: float = 0.0) -> nn.Sequential:
        """Return it with new weights: stem, layers, head.

        Args:
            space: In which the architecture lies.
            task: Channels of the images, and classes.
            dropout: Probability of the head's dropout layers.
        """
        return subnet(*self.alone(space), task.channels, task.num_classes, dropout)

    def cost(self, space: SearchSpace, task: Task) -> Cost:
        """Return what it costs for one image.

        Args:
            space: In which the architecture lies.
            task: The images, and classes.
        """
        alone, only = self.alone(space)
        return cost_table(alone, task.resolution, task.channels, task.num_classes).of(only)

    def _narrowed(self, block: ChoiceBlock) -> Operation:
        """Return the operation of a layer with the factor's width inside."""
        (operation,) = block.candidates
        inverted = _inverted(operation, block.in_channels)
        if inverted is None or inverted.hidden == block.in_channels or self.hundredths == _WHOLE:
            return operation
        width = _MULTIPLE * round(self.hundredths * inverted.hidden / (_MULTIPLE * _WHOLE))
        width = max(width, _MULTIPLE)
        if width == block.in_channels:  # it would lose its expanding convolution
            width += _MULTIPLE
        return replace(inverted, hidden=min(width, inverted.hidden))


def narrow_networks(architecture: Architecture) -> list[NarrowNetwork]:
    """Return a network cut by every hundredth, the narrowest first and itself last."""
    return [NarrowNetwork(architecture, share) for share in range(1, _WHOLE + 1)]


def can_be_narrow(space: SearchSpace, architecture: Architecture) -> bool:
    """Return whether a network has a layer that is wider inside, so that it can be cut."""
    whole, _ = one_network(space, architecture)
    inverted = ((_inverted(each.candidates[0], each.in_channels), each) for each in whole.blocks)
    return any(found and found.hidden != each.in_channels for found, each in inverted)


def one_network(space: SearchSpace, architecture: Architecture) -> tuple[SearchSpace, Architecture]:
    """Return a space that holds one network of another space, and the network's choices in it."""
    blocks = tuple(
        replace(block, candidates=(block.candidates[choice],))
        for block, choice in zip(space.blocks, architecture, strict=True)
    )
    return replace(space, blocks=blocks, published=()), Architecture([0] * len(blocks))


def _inverted(operation: Operation, in_channels: int) -> InvertedResidual | None:
    """Return an operation as one that is told its width inside; None: it is no such operation."""
    if isinstance(operation, MBConv):
        return InvertedResidual(
            operation.kernel,
            operation.expansion * in_channels,
            operation.activation,
            padding=operation.padding,
            epsilon=operation.epsilon,
        )
    return operation if isinstance(operation, InvertedResidual) else None
