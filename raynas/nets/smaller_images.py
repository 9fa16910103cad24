"""A network of a space that first scales its images down: fewer pixels cost fewer multiply-adds."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from raynas.costs.costs import Cost
from raynas.costs.latency_table import Task
from raynas.nets.cost import cost_table
from raynas.nets.narrow_networks import one_network
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.storage.rival_names import SCALED

LEAST_PIXELS = 32  # of a side; fewer leave most networks single pixels at their ends
STEP_PIXELS = 4


class SmallerImages(nn.Module):
    """Scales images to squares of fewer pixels."""

    def __init__(self, resolution: int) -> None:
        """Keep how many pixels a side is to have."""
        super().__init__()
        self.resolution = resolution

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return N x C x resolution x resolution of N x C x H x W, bilinear and smoothed."""
        size = self.resolution, self.resolution
        return nn.functional.interpolate(images, size=size, mode="bilinear", antialias=True)

    def extra_repr(self) -> str:
        """Return the side, as torch prints modules."""
        return str(self.resolution)


@dataclass(frozen=True)
class ScaledNetwork:
    """A network of a space of layers, on smaller images than it is given.

    Attributes:
        architecture: The network.
        resolution: Height and width of the images that it sees, in pixels.
    """

    name: ClassVar[str] = SCALED
    architecture: Architecture
    resolution: int

    def __str__(self) -> str:
        return f"{self.name}@{self.resolution} of {self.architecture}"

    @classmethod
    def parse(cls, text: str) -> "ScaledNetwork | None":
        """Read what ``str`` makes of one; None: it is none."""
        found = re.fullmatch(rf"{cls.name}@(\d+) of (\S+)", text)
        return cls(Architecture.parse(found[2]), int(found[1])) if found else None

    def build(self, space: SearchSpace, task: Task, dropout: float = 0.0) -> nn.Sequential:
        """Return it with new weights: what scales, ``images``, and then the ``network``.

        Args:
            space: In which the architecture lies.
            task: Channels of the images, and classes.
            dropout: Probability of the head's dropout layers.
        """
        network = subnet(space, self.architecture, task.channels, task.num_classes, dropout)
        parts = [("images", SmallerImages(self.resolution)), ("network", network)]
        return nn.Sequential(OrderedDict(parts))

    def cost(self, space: SearchSpace, task: Task) -> Cost:
        """Return what it costs for one image; scaling has no multiply-adds that anyone counts.

        Args:
            space: In which the architecture lies.
            task: Channels of the images, and classes.

        Raises:
            UserError: Its layers do not fit images of so few pixels.
        """
        alone, only = one_network(space, self.architecture)
        return cost_table(alone, self.resolution, task.channels, task.num_classes).of(only)


def scaled_networks(architecture: Architecture, resolution: int) -> list[ScaledNetwork]:
    """Return a network on images of fewer pixels than a resolution, the fewest first."""
    sides = range(LEAST_PIXELS, resolution, STEP_PIXELS)
    return [ScaledNetwork(architecture, side) for side in sides]
