"""Convolution, batch norm and activation as one step that keeps only what BN-only training needs.

For z = conv(x, w), u = (z - mean) / std, p = gamma u + beta, y = act(p), with w frozen and mean
and std those of the batch, plain autograd keeps x (for a gradient of w that nobody wants), z, and
the result of the activation, which feeds the next convolution. The gradients need less:

    g      = dL/dy act'(p)                             p is recomputed from z
    dbeta  = sum g,   dgamma = sum g u                 sums over images and pixels, u from z
    dz     = gamma / std (g - mean(g) - u mean(g u))
    dx     = conv^T(dz, w)

so z, mean and 1/std suffice: one number an element instead of three. Where x is much smaller than
z (the stem's images) x is kept instead and z computed again; on request also wherever a convolution
expands the channels at all, which keeps less still for the price of a second convolution.

Source: in-place activated batch norm (Rota Bulo et al. 2018) has the idea for trained weights.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from raynas.nets.activations import Activation
from raynas.nets.padding import SameConv2d, padded
from raynas.nets.torch_internals import (
    NO_CEILING,
    compute_dtype,
    convolve_back,
    gate,
    hard_swish_back,
    normalise,
    normalise_again,
    normalise_back,
    silu_back,
)

_NAMES: dict[type[nn.Module], Activation] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Hardswish: "hard_swish",
    nn.SiLU: "silu",
}
_SIX = 6.0  # the ceiling of ReLU6
_CHEAP = 8  # z is computed again anyway where it has this many times the channels of x


class _Constants(NamedTuple):
    """What the step needs besides tensors; kernels, strides and paddings are square."""

    eps: float
    stride: int
    padding: int
    groups: int
    activation: Activation | None
    recompute: bool


class _ConvNorm(torch.autograd.Function):
    """The step as an autograd function; see the module's docstring for the equations."""

    @staticmethod
    def forward(  # noqa: PLR0913 - torch passes them one by one
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        constants: _Constants,
    ) -> torch.Tensor:
        ctx.x_dtype, ctx.x_shape = x.dtype, x.shape
        x = x.to(compute_dtype(x))  # the backward pass, which autocast does not reach, keeps to it
        z = _convolve(x, weight, constants)
        y, mean, invstd = normalise(z, gamma, beta, constants.eps)
        kept = x if constants.recompute else z
        ctx.save_for_backward(kept, weight, gamma, beta, mean, invstd)
        ctx.constants = constants
        return y if constants.activation is None else _activate_(y, constants.activation)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kept, weight, gamma, beta, mean, invstd = ctx.saved_tensors
        constants: _Constants = ctx.constants
        z = _convolve(kept, weight, constants) if constants.recompute else kept
        if constants.activation is not None:
            p = normalise_again(z, gamma, beta, mean, invstd, constants.eps)
            grad = _activate_back(grad, p, constants.activation)
        dz, dgamma, dbeta = normalise_back(grad, z, gamma, mean, invstd, constants.eps)
        dx = None
        if ctx.needs_input_grad[0]:
            conv = constants.stride, constants.padding, constants.groups
            dx = convolve_back(dz, weight.to(dz.dtype), ctx.x_shape, *conv).to(ctx.x_dtype)
        return dx, None, dgamma, dbeta, None


def _convolve(x: torch.Tensor, weight: torch.Tensor, constants: _Constants) -> torch.Tensor:
    return functional.conv2d(
        x, weight.to(x.dtype), None, constants.stride, constants.padding, 1, constants.groups
    )


def _activate_(y: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Return act(y); y is overwritten."""
    match activation:
        case "relu":
            return y.relu_()
        case "relu6":
            return functional.hardtanh_(y, 0.0, _SIX)
        case "hard_swish":
            return functional.hardswish(y, inplace=True)
        case "silu":
            return functional.silu(y, inplace=True)


def _activate_back(grad: torch.Tensor, p: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Return grad act'(p); p may be overwritten."""
    match activation:
        case "relu":
            return gate(grad, p, NO_CEILING)
        case "relu6":
            return gate(grad, p, _SIX)
        case "hard_swish":
            return hard_swish_back(grad, p)
        case "silu":
            return silu_back(grad, p)


class FusedConvNorm(nn.Module):
    """The three modules as one; computes as they do wherever the fused step does not apply."""

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d,
        activation: nn.Module | None,
        recompute: bool = False,
    ) -> None:
        """Hold the modules themselves, so that their parameters stay what they are.

        Args:
            conv: A frozen convolution without bias.
            norm: The batch norm after it.
            activation: ReLU, ReLU6, Hardswish, SiLU, or nothing.
            recompute: Whether an expanding convolution is computed twice instead of kept.
        """
        super().__init__()
        self.conv, self.norm, self.activation = conv, norm, activation
        self._constants = _Constants(
            norm.eps,
            conv.stride[0],
            int(conv.padding[0]),
            conv.groups,
            None if activation is None else _NAMES[type(activation)],
            recompute=conv.out_channels >= _CHEAP * conv.in_channels
            or (recompute and conv.out_channels > conv.in_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C_out x H' x W' from N x C_in x H x W."""
        if self.norm.track_running_stats or not self.norm.training:
            y: torch.Tensor = self.norm(self.conv(x))
            return y if self.activation is None else self.activation(y)
        learned = self.norm.weight, self.norm.bias
        fused: torch.Tensor = _ConvNorm.apply(
            padded(self.conv, x), self.conv.weight, *learned, self._constants
        )
        return fused


def fuse_(module: nn.Module, recompute: bool = False) -> None:
    """Replace convolution, batch norm and activation in a row by one module, in place.

    Looks into every ``nn.Sequential``; whatever does not fit (a bias, a dilation, an odd shape, a
    weight that is trained) stays as it is.

    Args:
        module: Any module.
        recompute: Whether expanding convolutions are computed twice instead of kept.
    """
    for name, child in module.named_children():
        fuse_(child, recompute)
        if isinstance(child, nn.Sequential):
            setattr(module, name, nn.Sequential(*_fused(list(child), recompute)))


def _fused(modules: Sequence[nn.Module], recompute: bool) -> Iterator[nn.Module]:
    """Yield the modules of a sequence with its fitting rows joined."""
    position = 0
    while position < len(modules):
        first, second, third = (*modules[position : position + 3], None, None)[:3]
        if not _fit(first, second):
            yield modules[position]
            position += 1
            continue
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.BatchNorm2d)
        activation = third if type(third) in _NAMES else None
        yield FusedConvNorm(first, second, activation, recompute)
        position += 2 if activation is None else 3


def _fit(conv: nn.Module | None, norm: nn.Module | None) -> bool:
    """Return whether the fused step computes what the two modules compute."""
    return (
        isinstance(conv, nn.Conv2d)
        and type(conv) in {nn.Conv2d, SameConv2d}
        and type(norm) is nn.BatchNorm2d
        and norm.affine
        and conv.bias is None
        and not conv.weight.requires_grad
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.dilation == (1, 1)
        and conv.stride[0] == conv.stride[1]
        and conv.padding[0] == conv.padding[1]
    )
