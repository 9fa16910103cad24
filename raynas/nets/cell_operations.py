"""The operations of DARTS' cells, each a frozen value that builds itself.

Source: DARTS (Liu et al. 2019, arXiv 1806.09055) and its published evaluation network.
Inputs are states that other nodes read, too: nothing works in place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from raynas.nets.operations import conv
from raynas.spaces.cells import NONE


def relu_conv(in_channels: int, out_channels: int) -> nn.Module:
    """Return a ReLU, a 1x1 convolution and a batch norm."""
    return nn.Sequential(nn.ReLU(), conv(in_channels, out_channels), nn.BatchNorm2d(out_channels))


class FactorizedReduction(nn.Module):
    """Halves the resolution by two 1x1 convolutions, on even pixels and on odd ones.

    Unlike the published one it takes maps of an odd side, too: zeros stand beyond the edge.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = conv(in_channels, out_channels // 2)
        self.shift = nn.ZeroPad2d((-1, 1, -1, 1))  # by one pixel to the left and upwards
        self.odd = conv(in_channels, out_channels - out_channels // 2)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x out_channels x ceil(H / 2) x ceil(W / 2)."""
        x = self.relu(x)
        # Not convolutions of stride 2: oneDNN 3.12 (torch 2.14) writes beyond the gradient of a
        # 1x1 weight of 4 to 2 channels at stride 2, on processors with AVX2 and no AVX-512.
        even, odd = x[:, :, ::2, ::2], self.shift(x)[:, :, ::2, ::2]
        y: torch.Tensor = self.norm(torch.cat([self.even(even), self.odd(odd)], dim=1))
        return y


class Zero(nn.Module):
    """Returns zeros of the resolution that the stride leaves."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C x ceil(H / stride) x ceil(W / stride)."""
        return x[:, :, :: self.stride, :: self.stride] * 0.0


@dataclass(frozen=True)
class NoConnection:
    """No operation at all; only differentiable searches weigh it."""

    @property
    def name(self) -> str:
        """The name by which spaces leave it out of networks."""
        return NONE

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return zeros."""
        assert in_channels == out_channels, "cells keep the width"
        return Zero(stride)


@dataclass(frozen=True)
class SkipConnection:
    """Passes a state on; where it must halve the resolution, by a factorized reduction."""

    @property
    def name(self) -> str:
        """Always skip_connect."""
        return "skip_connect"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return ``nn.Identity``, or at stride 2 a ``FactorizedReduction``."""
        return nn.Identity() if stride == 1 else FactorizedReduction(in_channels, out_channels)


@dataclass(frozen=True)
class SeparableConv:
    """ReLU, depthwise and pointwise convolution and batch norm, twice; the first one strides."""

    kernel: int

    @property
    def name(self) -> str:
        """For example sep3."""
        return f"sep{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return eight modules in order."""
        return nn.Sequential(
            *_separable(in_channels, in_channels, self.kernel, stride, 1),
            *_separable(in_channels, out_channels, self.kernel, 1, 1),
        )


class EvenReLU(nn.ReLU):
    """A ReLU of every second pixel of every second row, those that a stride of 2 keeps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C x ceil(H / 2) x ceil(W / 2)."""
        return super().forward(x[:, :, ::2, ::2])


@dataclass(frozen=True)
class DilatedConv:
    """ReLU, a depthwise convolution of every second pixel, a pointwise one and batch norm."""

    kernel: int

    @property
    def name(self) -> str:
        """For example dil3."""
        return f"dil{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return four modules in order."""
        if stride != 2:
            return nn.Sequential(*_separable(in_channels, out_channels, self.kernel, stride, 2))
        # strided, it sees even pixels alone, of which it is a plain convolution; as a dilated one
        # its backward pass takes CPUs many times as long
        _, *others = _separable(in_channels, out_channels, self.kernel, 1, 1)
        return nn.Sequential(EvenReLU(), *others)


@dataclass(frozen=True)
class AveragePool:
    """The mean of the pixels under a window; those beyond the edge do not count."""

    kernel: int = 3

    @property
    def name(self) -> str:
        """For example avgpool3."""
        return f"avgpool{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return the pooling layer."""
        assert in_channels == out_channels, "cells keep the width"
        return nn.AvgPool2d(self.kernel, stride, self.kernel // 2, count_include_pad=False)


@dataclass(frozen=True)
class MaxPool:
    """The largest of the pixels under a window."""

    kernel: int = 3

    @property
    def name(self) -> str:
        """For example maxpool3."""
        return f"maxpool{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Return the pooling layer."""
        assert in_channels == out_channels, "cells keep the width"
        return nn.MaxPool2d(self.kernel, stride, self.kernel // 2)


def _separable(
    in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int
) -> Iterable[nn.Module]:
    depthwise = nn.Conv2d(
        in_channels,
        in_channels,
        kernel,
        stride,
        dilation * (kernel // 2),
        dilation,
        groups=in_channels,
        bias=False,
    )
    return nn.ReLU(), depthwise, conv(in_channels, out_channels), nn.BatchNorm2d(out_channels)


DARTS_OPERATIONS = (
    NoConnection(),
    SkipConnection(),
    SeparableConv(3),
    SeparableConv(5),
    DilatedConv(3),
    DilatedConv(5),
    AveragePool(3),
    MaxPool(3),
)
"""Those of DARTS and its successors, in raynas' order."""
