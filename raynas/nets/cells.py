"""Networks of cells: a stem, cells that each read the outputs of the two before, and a head.

Source: DARTS (Liu et al. 2019, arXiv 1806.09055), its published evaluation network without the
auxiliary head. What travels from part to part is a pair, the outputs of the last two cells, so
that the network is a plain sequence, like one of layers.
"""

import re
from collections.abc import Sequence

import torch
from torch import nn

from raynas.nets.cell_operations import FactorizedReduction, relu_conv
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import PairStem
from raynas.spaces.node_choices import CellPlace, Pair

States = tuple[torch.Tensor, torch.Tensor]
"""The output of the cell before the last one, and that of the last one."""


def cell_network(
    space: CellSpace, architecture: Architecture, in_channels: int, num_classes: int
) -> nn.Sequential:
    """Return the network: images N x C x H x W to logits N x num_classes.

    Args:
        space: The space in which the architecture lies.
        architecture: A candidate index per node.
        in_channels: Channels of the images.
        num_classes: Classes of the task.
    """
    nodes = [space.chosen(architecture, reduction=reduction) for reduction in (False, True)]
    return nn.Sequential(
        cell_stem(space, in_channels),
        *(Cell(place, nodes[place.is_reduction]) for place in space.layout),
        cell_head(space, num_classes),
    )


def cell_stem(space: CellSpace, in_channels: int) -> nn.Module:
    """Return the part that makes both states of the first cell."""
    if isinstance(space.stem, PairStem):
        return space.stem.build_states(in_channels)
    return nn.Sequential(space.stem.build(in_channels), Twice())


def cell_head(space: CellSpace, num_classes: int) -> nn.Module:
    """Return the part that reads the last cell."""
    return nn.Sequential(Last(), space.head.build(space.out_channels, num_classes))


class Twice(nn.Module):
    """Makes a pair of one state."""

    def forward(self, x: torch.Tensor) -> States:
        """Return x and x."""
        return x, x


class Last(nn.Module):
    """Takes the second state of a pair."""

    def forward(self, states: States) -> torch.Tensor:
        """Return the output of the last cell."""
        return states[1]


class Preprocessing(nn.Module):
    """Brings both states of a cell to its width and to the resolution of the second one."""

    def __init__(self, place: CellPlace) -> None:
        super().__init__()
        bring = FactorizedReduction if place.follows_reduction else relu_conv
        self.before = bring(place.before, place.channels)
        self.last = relu_conv(place.last, place.channels)

    def forward(self, states: States) -> States:
        """Return both states, N x channels x H x W."""
        return self.before(states[0]), self.last(states[1])


class Cell(nn.Module):
    """Nodes that add up two earlier states each; their concatenation is its output."""

    def __init__(self, place: CellPlace, nodes: Sequence[Pair]) -> None:
        """Build the operations of the nodes.

        Args:
            place: Of the cell in its network.
            nodes: What each of them is.
        """
        super().__init__()
        self.drop_path = 0.0  # probability; it rises while a network is trained
        self.preprocessing = Preprocessing(place)
        self.wiring: list[list[tuple[str, int]]] = []  # by node: operations and what they read
        for number, node in enumerate(nodes):
            self.wiring.append([])
            for source, operation in node.inputs:
                name = f"node{number}_{re.sub(r'[^0-9A-Za-z]+', '_', operation.name)}_of{source}"
                stride = stride_of(source, is_reduction=place.is_reduction)
                module = operation.build(place.channels, place.channels, stride)
                self.add_module(name, module)
                self.wiring[-1].append((name, source))

    def forward(self, states: States) -> States:
        """Return the output of the last cell and that of this one."""
        prepared = self.preprocessing(states)
        known = [prepared[0], prepared[1]]
        for inputs in self.wiring:
            first, second = (self._reached(name, known[source]) for name, source in inputs)
            known.append(first + second)
        return states[1], torch.cat(known[2:], dim=1)

    def _reached(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Return what an operation makes of x; while training it may be dropped, if no identity."""
        operation = getattr(self, name)
        y: torch.Tensor = operation(x)
        if not self.training or self.drop_path == 0 or isinstance(operation, nn.Identity):
            return y
        return dropped(y, self.drop_path)


def dropped(x: torch.Tensor, probability: float) -> torch.Tensor:
    """Return x, N x C x H x W, with whole images set to zero, and its mean kept by the others.

    Source: drop path (Larsson et al. 2017, arXiv 1605.07648), scheduled as NASNet does.
    """
    kept = torch.empty(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)
    if torch.compiler.is_compiling():  # bernoulli_ would be compiled anew for each probability
        kept = (torch.rand_like(kept) >= probability).to(x.dtype)
    else:
        kept.bernoulli_(1 - probability)
    return x * kept / (1 - probability)


def stride_of(source: int, *, is_reduction: bool) -> int:
    """Return the stride of an operation: in reduction cells those on the two states have 2."""
    return 2 if is_reduction and source < 2 else 1
