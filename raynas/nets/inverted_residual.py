"""Inverted residuals by the width inside, as networks with published weights have them.

Sources: MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), MobileNetV3 (Howard et al. 2019, arXiv
1905.02244), EfficientNet (Tan and Le 2019, arXiv 1905.11946).
"""

from dataclasses import dataclass

from torch import nn

from raynas.nets.activations import Activation, activation_layer
from raynas.nets.operations import Residual, conv, depthwise
from raynas.nets.padding import Padding
from raynas.nets.squeeze_excitation import SqueezeExcitation


@dataclass(frozen=True)
class InvertedResidual:
    """Expand, depthwise, squeeze-excitation if any, project.

    Unlike ``MBConv`` it is told the width inside and not a multiple of the input's, so that any
    width can be had. There is no expanding convolution where the width inside is the input's. The
    residual is added iff the shapes are equal.

    Attributes:
        kernel: Height and width of the depthwise convolution, odd.
        hidden: The width inside, in channels.
        activation: After all convolutions but the last.
        squeeze: What scales the channels inside, after the depthwise convolution.
        padding: Symmetric, or as TensorFlow's 'same' does.
        epsilon: Of the batch norms.
    """

    kernel: int
    hidden: int
    activation: Activation = "relu6"
    squeeze: SqueezeExcitation | None = None
    padding: Padding = "symmetric"
    epsilon: float = 1e-5

    @property
    def name(self) -> str:
        """For example k3h144, or k5h120se32 with a squeeze-excitation of width 32."""
        squeezed = f"se{self.squeeze.width}" if self.squeeze is not None else ""
        return f"k{self.kernel}h{self.hidden}{squeezed}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return the modules in a row, with the residual around them where it is added.

        They are registered in the order in which torchvision has them: expanding convolution and
        batch norm, depthwise ones, both convolutions of the squeeze-excitation, projecting ones.
        """
        width = self.hidden
        expand = (conv(in_channels, width), *self._norm(width)) if width != in_channels else ()
        squeeze = (self.squeeze.build(width),) if self.squeeze is not None else ()
        branch = nn.Sequential(
            *expand,
            depthwise(width, self.kernel, stride, self.padding),
            *self._norm(width),
            *squeeze,
            conv(width, out_channels),
            nn.BatchNorm2d(out_channels, self.epsilon),
        )
        return Residual(branch) if (in_channels, stride) == (out_channels, 1) else branch

    def _norm(self, channels: int) -> tuple[nn.Module, nn.Module]:
        return nn.BatchNorm2d(channels, self.epsilon), activation_layer(self.activation)
