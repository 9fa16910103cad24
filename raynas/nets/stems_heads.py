"""Stems and heads: the fixed parts of a network before and after its searched layers.

Sources: MobileNetV2 as in BN-NAS, ShuffleNetV2 as in SPOS, NAS-Bench-Macro,
DARTS.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from raynas.nets.activations import Activation, activation_layer
from raynas.nets.operations import conv, depthwise
from raynas.nets.padding import Padding
from raynas.spaces.digest import ADDED_LATER


@dataclass(frozen=True)
class ConvStem:
    """A 3x3 convolution, batch norm and activation."""

    out_channels: int
    stride: int
    activation: Activation = "relu"
    padding: Padding = field(default="symmetric", metadata=ADDED_LATER)
    epsilon: float = field(default=1e-5, metadata=ADDED_LATER)

    def build(self, in_channels: int) -> nn.Module:
        """Return the stem for images of that many channels."""
        return nn.Sequential(
            conv(in_channels, self.out_channels, 3, self.stride, self.padding),
            nn.BatchNorm2d(self.out_channels, self.epsilon),
            activation_layer(self.activation),
        )


@dataclass(frozen=True)
class LinearStem:
    """A 3x3 convolution and batch norm, as before DARTS' cells, which begin with activations."""

    out_channels: int
    stride: int = 1

    def build(self, in_channels: int) -> nn.Module:
        """Return the stem for images of that many channels."""
        return nn.Sequential(
            conv(in_channels, self.out_channels, 3, self.stride),
            nn.BatchNorm2d(self.out_channels),
        )


@dataclass(frozen=True)
class TwoStateStem:
    """Three strided 3x3 convolutions, as before DARTS' cells for ImageNet.

    The states have 1/4 and 1/8 of the images' height and width; the first one has no activation,
    as cells begin with one.
    """

    out_channels: int

    def build_states(self, in_channels: int) -> nn.Module:
        """Return the stem for images of that many channels."""
        width = self.out_channels
        return _TwoStates(
            nn.Sequential(
                conv(in_channels, width // 2, 3, 2),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(),
                conv(width // 2, width, 3, 2),
                nn.BatchNorm2d(width),
            ),
            nn.Sequential(nn.ReLU(), conv(width, width, 3, 2), nn.BatchNorm2d(width)),
        )


class _TwoStates(nn.Module):
    """Returns what its first part makes of images, and what its second part makes of that."""

    def __init__(self, before: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.before = before
        self.last = last

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both states."""
        state = self.before(images)
        return state, self.last(state)


@dataclass(frozen=True)
class MobileStem:
    """A strided 3x3 convolution and MobileNetV2's first block, whose expansion is 1."""

    width: int
    out_channels: int

    def build(self, in_channels: int) -> nn.Module:
        """Return the stem for images of that many channels."""
        return nn.Sequential(
            conv(in_channels, self.width, 3, 2),
            nn.BatchNorm2d(self.width),
            nn.ReLU6(inplace=True),
            depthwise(self.width, 3),
            nn.BatchNorm2d(self.width),
            nn.ReLU6(inplace=True),
            conv(self.width, self.out_channels),
            nn.BatchNorm2d(self.out_channels),
        )


@dataclass(frozen=True)
class PooledHead:
    """A 1x1 convolution, batch norm, activation, global average pooling and a classifier.

    Nothing in it pads.
    """

    width: int
    activation: Activation = "relu"
    bias: bool = True
    epsilon: float = field(default=1e-5, metadata=ADDED_LATER)

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        """Return the head; its dropout does nothing until retraining sets its probability."""
        return nn.Sequential(
            conv(in_channels, self.width),
            nn.BatchNorm2d(self.width, self.epsilon),
            activation_layer(self.activation),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.0),
            nn.Linear(self.width, num_classes, bias=self.bias),
        )


@dataclass(frozen=True)
class TwoLayerHead:
    """MobileNetV3's: as ``PooledHead``, but with two linear layers, an activation between them.

    Attributes:
        width: Of the convolution.
        classifier_width: Of the first linear layer.
        activation: After the convolution's batch norm, and between the linear layers.
        epsilon: Of the batch norm.
    """

    width: int
    classifier_width: int
    activation: Activation = "hard_swish"
    epsilon: float = 1e-3

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        """Return the head; its dropout does nothing until retraining sets its probability."""
        return nn.Sequential(
            conv(in_channels, self.width),
            nn.BatchNorm2d(self.width, self.epsilon),
            activation_layer(self.activation),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(self.width, self.classifier_width),
            activation_layer(self.activation),
            nn.Dropout(0.0),
            nn.Linear(self.classifier_width, num_classes),
        )


@dataclass(frozen=True)
class AveragedHead:
    """Global average pooling and a classifier."""

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        """Return the head; its dropout does nothing until retraining sets its probability."""
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.0),
            nn.Linear(in_channels, num_classes),
        )
