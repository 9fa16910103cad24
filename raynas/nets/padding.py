"""How convolutions pad: by so many zeros on each side, or as TensorFlow's 'same' does.

Both keep ceil(size / stride) pixels. At stride 1 and odd kernels they are one and the same; at
stride 2 'same' depends on the size of the input, so networks whose weights were trained with
one of them compute something else with the other.
"""

from typing import Literal

import torch
from torch import nn

Padding = Literal["symmetric", "same"]


class SameConv2d(nn.Conv2d):
    """A convolution that pads zeros as TensorFlow's 'same' does, by the size of its input."""

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with max((ceil(n / s) - 1) s + k - n, 0) zeros a side, the smaller half first.

        n is the height or width of x, k that of the kernel and s the stride.
        """
        down, across = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        left, top = across // 2, down // 2
        return nn.functional.pad(x, (left, across - left, top, down - top))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C_out x ceil(H / stride) x ceil(W / stride)."""
        return super().forward(self.pad(x))


def padded(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Return what a convolution that pads by ``conv.padding`` zeros a side reads for x."""
    return conv.pad(x) if isinstance(conv, SameConv2d) else x
