"""Squeeze-excitation: a factor for each channel, read off the means of all channels.

Source: Hu et al. 2018, arXiv 1709.01507, eq. 2 to 4, as in MobileNetV3 and EfficientNet.
"""

from dataclasses import dataclass

import torch
from torch import nn

from raynas.nets.activations import Activation, Gate, activation_layer, gate_layer


class ScaledChannels(nn.Module):
    """Multiplies each channel of its input by what it makes of all of them."""

    def __init__(self, scale: nn.Module) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x * scale(x), N x C x H x W, where scale(x) is N x C x 1 x 1."""
        y: torch.Tensor = self.scale(x)
        return x * y


@dataclass(frozen=True)
class SqueezeExcitation:
    """x * gate(W2 act(W1 mean(x) + b1) + b2), the mean over height and width.

    Attributes:
        width: Of what W1 makes.
        activation: After W1: ReLU in MobileNetV3, SiLU in EfficientNet.
        gate: After W2: hard sigmoid in MobileNetV3, sigmoid in EfficientNet.
    """

    width: int
    activation: Activation = "relu"
    gate: Gate = "sigmoid"

    def build(self, channels: int) -> ScaledChannels:
        """Return the module for so many channels; W1 and W2 are 1x1 convolutions with biases."""
        return ScaledChannels(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(channels, self.width, 1),
                activation_layer(self.activation),
                nn.Conv2d(self.width, channels, 1),
                gate_layer(self.gate),
            )
        )
