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

_CHEAP = 8  # z is computed again anyway where it has this many times the channels of x
_NO_CEILING = float("inf")


class _Constants(NamedTuple):
    """What the step needs besides tensors; kernels, strides and paddings are square."""

    eps: float
    stride: int
    padding: int
    groups: int
    ceiling: float | None  # of the activation min(max(p, 0), ceiling); None: no activation
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
        x = x.to(_compute_dtype(x))
        z = _convolve(x, weight, constants)
        y, mean, invstd = torch.native_batch_norm(
            z, gamma, beta, None, None, True, 0.0, constants.eps
        )
        kept = x if constants.recompute else z
        ctx.save_for_backward(kept, weight, gamma, beta, mean, invstd)
        ctx.constants = constants
        match constants.ceiling:
            case None:
                return y
            case _ if constants.ceiling == _NO_CEILING:
                return y.relu_()
            case ceiling:
                return functional.hardtanh_(y, 0.0, ceiling)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kept, weight, gamma, beta, mean, invstd = ctx.saved_tensors
        constants: _Constants = ctx.constants
        z = _convolve(kept, weight, constants) if constants.recompute else kept
        if constants.ceiling is not None:
            variance = invstd.pow(-2).sub_(constants.eps)
            p = torch.native_batch_norm(z, gamma, beta, mean, variance, False, 0.0, constants.eps)[
                0
            ]
            grad = _gated(grad, p, constants.ceiling)
        dz, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
            grad, z, gamma, None, None, mean, invstd, True, constants.eps, [True, True, True]
        )
        dx = None
        if ctx.needs_input_grad[0]:
            dx = _convolve_back(dz, weight, ctx.x_shape, constants).to(ctx.x_dtype)
        return dx, None, dgamma, dbeta, None


def _compute_dtype(x: torch.Tensor) -> torch.dtype:
    """Return what autocast asks for; the backward pass, which it does not reach, keeps to it."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _convolve(x: torch.Tensor, weight: torch.Tensor, constants: _Constants) -> torch.Tensor:
    return functional.conv2d(
        x, weight.to(x.dtype), None, constants.stride, constants.padding, 1, constants.groups
    )


def _convolve_back(
    dz: torch.Tensor, weight: torch.Tensor, shape: torch.Size, constants: _Constants
) -> torch.Tensor:
    """Return conv^T(dz, w) in the layout of dz."""
    layout = torch.contiguous_format
    if dz.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    # never read: its shape and layout say what dx is to be
    x = torch.empty(shape, dtype=dz.dtype, device=dz.device, memory_format=layout)
    strides, paddings = [constants.stride] * 2, [constants.padding] * 2
    dx: torch.Tensor = torch.ops.aten.convolution_backward(
        dz, x, weight.to(dz.dtype), None, strides, paddings, [1, 1], False, [0, 0],
        constants.groups, [True, False, False],
    )[0]  # fmt: skip
    return dx


def _gated(grad: torch.Tensor, p: torch.Tensor, ceiling: float) -> torch.Tensor:
    """Return grad where 0 < p < ceiling, else 0; p is overwritten."""
    gated: torch.Tensor
    if ceiling == _NO_CEILING:
        gated = torch.ops.aten.threshold_backward(grad, p, 0.0, grad_input=p)
    else:
        gated = torch.ops.aten.hardtanh_backward(grad, p, 0.0, ceiling, grad_input=p)
    return gated


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
            activation: ReLU, ReLU6, or nothing.
            recompute: Whether an expanding convolution is computed twice instead of kept.
        """
        super().__init__()
        self.conv, self.norm, self.activation = conv, norm, activation
        ceiling = {nn.ReLU: _NO_CEILING, nn.ReLU6: 6.0, type(None): None}[type(activation)]
        self._constants = _Constants(
            norm.eps,
            conv.stride[0],
            int(conv.padding[0]),
            conv.groups,
            ceiling,
            recompute=conv.out_channels >= _CHEAP * conv.in_channels
            or (recompute and conv.out_channels > conv.in_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N x C_out x H' x W' from N x C_in x H x W."""
        if self.norm.track_running_stats or not self.norm.training:
            y: torch.Tensor = self.norm(self.conv(x))
            return y if self.activation is None else self.activation(y)
        fused: torch.Tensor = _ConvNorm.apply(
            x, self.conv.weight, self.norm.weight, self.norm.bias, self._constants
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
        activation = third if type(third) in {nn.ReLU, nn.ReLU6} else None
        yield FusedConvNorm(first, second, activation, recompute)
        position += 2 if activation is None else 3


def _fit(conv: nn.Module | None, norm: nn.Module | None) -> bool:
    """Return whether the fused step computes what the two modules compute."""
    return (
        type(conv) is nn.Conv2d
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
