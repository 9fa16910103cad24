"""Candidate operations, each a frozen value that builds itself.

Sources: MobileNetV2 (inverted residuals) as in BN-NAS; ShuffleNetV2 as in SPOS;
NAS-Bench-Macro. In every module the batch norm registered last is the one of the block indicator.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from raynas.nets.activations import Activation, activation_layer
from raynas.nets.padding import Padding, SameConv2d
from raynas.spaces.chain import IDENTITY
from raynas.spaces.digest import ADDED_LATER

__all__ = [
    "Activation",
    "Downsample",
    "Identity",
    "MBConv",
    "Residual",
    "Shuffle",
    "ShuffleBlock",
    "ShuffleXception",
    "activation_layer",
    "conv",
    "depthwise",
]


def conv(  # noqa: PLR0913 - what a convolution is
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    stride: int = 1,
    padding: Padding = "symmetric",
    groups: int = 1,
) -> nn.Conv2d:
    """Return a convolution without bias that keeps ceil(size / stride) pixels; odd kernels."""
    if padding == "same" and kernel > 1 and stride > 1:  # else both paddings are one
        return SameConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
    half = kernel // 2
    return nn.Conv2d(in_channels, out_channels, kernel, stride, half, groups=groups, bias=False)


def depthwise(
    channels: int, kernel: int, stride: int = 1, padding: Padding = "symmetric"
) -> nn.Conv2d:
    """Return a depthwise convolution without bias that keeps ceil(size / stride) pixels."""
    return conv(channels, channels, kernel, stride, padding, groups=channels)


class Residual(nn.Module):
    """Adds its input to the output of its branch."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + branch(x), both N x C x H x W."""
        y: torch.Tensor = self.branch(x)
        return x + y


@dataclass(frozen=True)
class Identity:
    """Passes its input on: the layer is skipped, at no cost."""

    @property
    def name(self) -> str:
        """The name by which spaces know an identity."""
        return IDENTITY

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return ``nn.Identity``; only for stride 1 and equal channels."""
        assert (in_channels, stride) == (out_channels, 1), "ChoiceBlock refuses this"
        return nn.Identity()


@dataclass(frozen=True)
class MBConv:
    """MobileNetV2's inverted residual: expand, depthwise, project.

    The expansion is on the *input* width; an expansion of 1 has no expanding convolution. The
    residual is added iff the shapes are equal.

    Attributes:
        kernel: Height and width of the depthwise convolution, odd.
        expansion: By which the width inside is larger than the input's.
        activation: After all convolutions but the last.
        padding: Symmetric, or as TensorFlow's 'same' does.
        epsilon: Of the batch norms.
    """

    kernel: int
    expansion: int
    activation: Activation = "relu6"
    padding: Padding = field(default="symmetric", metadata=ADDED_LATER)
    epsilon: float = field(default=1e-5, metadata=ADDED_LATER)

    @property
    def name(self) -> str:
        """For example k3e6."""
        return f"k{self.kernel}e{self.expansion}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return eight modules in order: 0 pw, 1 BN, 2 act, 3 dw, 4 BN, 5 act, 6 pw, 7 BN.

        Those of an expansion of 1 are the last five.
        """
        width = in_channels * self.expansion
        expand = (conv(in_channels, width), *self._norm(width)) if self.expansion > 1 else ()
        branch = nn.Sequential(
            *expand,
            depthwise(width, self.kernel, stride, self.padding),
            *self._norm(width),
            conv(width, out_channels),
            nn.BatchNorm2d(out_channels, self.epsilon),
        )
        return Residual(branch) if (in_channels, stride) == (out_channels, 1) else branch

    def _norm(self, channels: int) -> tuple[nn.Module, nn.Module]:
        return nn.BatchNorm2d(channels, self.epsilon), activation_layer(self.activation)


@dataclass(frozen=True)
class Downsample:
    """A 1x1 convolution and batch norm: what NAS-Bench-Macro puts for '0' in reductions."""

    @property
    def name(self) -> str:
        """Always downsample."""
        return "downsample"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return convolution and batch norm without activation."""
        return nn.Sequential(
            conv(in_channels, out_channels, stride=stride), nn.BatchNorm2d(out_channels)
        )


class ShuffleBlock(nn.Module):
    """ShuffleNetV2's block: a branch beside channels that pass, or that are projected.

    At stride 1 half of the channels pass and the others go through the branch; at stride 2 the
    whole input goes through both the branch and a projection.
    """

    def __init__(self, projection: nn.Module | None, branch: nn.Module) -> None:
        super().__init__()
        self.projection = projection  # registered first: the branch holds the indicator's norm
        self.branch = branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x out_channels x ceil(H / stride) x ceil(W / stride)."""
        if self.projection is not None:
            return torch.cat([self.projection(x), self.branch(x)], dim=1)
        # the shuffle: even channels pass, odd channels go through the branch
        return torch.cat([x[:, 0::2], self.branch(x[:, 1::2])], dim=1)


def _pointwise(in_channels: int, out_channels: int) -> Iterable[nn.Module]:
    return conv(in_channels, out_channels), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)


def _depthwise(channels: int, kernel: int, stride: int = 1) -> Iterable[nn.Module]:
    return depthwise(channels, kernel, stride), nn.BatchNorm2d(channels)


def _shuffle_block(
    in_channels: int, stride: int, kernel: int, branch: Iterable[nn.Module]
) -> ShuffleBlock:
    projection = None
    if stride == 2:
        layers = (*_depthwise(in_channels, kernel, 2), *_pointwise(in_channels, in_channels))
        projection = nn.Sequential(*layers)
    return ShuffleBlock(projection, nn.Sequential(*branch))


def _half(in_channels: int, stride: int) -> int:
    """Return the width of the branch's input: half of the channels pass by at stride 1."""
    return in_channels if stride == 2 else in_channels // 2


@dataclass(frozen=True)
class Shuffle:
    """ShuffleNetV2's block with one depthwise convolution of the given kernel size."""

    kernel: int

    @property
    def name(self) -> str:
        """For example shuffle5."""
        return f"shuffle{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return pw to out/2, dw, pw to what the other half leaves."""
        width, middle = _half(in_channels, stride), out_channels // 2
        branch = (
            *_pointwise(width, middle),
            *_depthwise(middle, self.kernel, stride),
            *_pointwise(middle, out_channels - width),
        )
        return _shuffle_block(in_channels, stride, self.kernel, branch)


@dataclass(frozen=True)
class ShuffleXception:
    """SPOS's fourth candidate: three depthwise 3x3 convolutions with pointwise ones after."""

    @property
    def name(self) -> str:
        """Always xception."""
        return "xception"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return dw, pw to out/2, dw, pw, dw, pw to what the other half leaves."""
        width, middle = _half(in_channels, stride), out_channels // 2
        branch = (
            *_depthwise(width, 3, stride),
            *_pointwise(width, middle),
            *_depthwise(middle, 3),
            *_pointwise(middle, middle),
            *_depthwise(middle, 3),
            *_pointwise(middle, out_channels - width),
        )
        return _shuffle_block(in_channels, stride, 3, branch)
