"""What raynas takes from torch that torch does not document: operators behind its layers.

Everything of the kind is here and nowhere else. Any version of torch may change it, so
``tests/nets/test_torch_internals.py`` holds each against the torch that is installed and names
the one that is gone. Interfaces that torch documents are used where they are needed.
"""

import warnings
from collections.abc import Callable

import torch
from torch.func import jvp

TRIED_WITH = ("2.9.1", "2.14.1")
"""Versions of torch with which all of this works; the first is the oldest that raynas accepts."""

NO_CEILING = float("inf")
"""Of an activation min(max(p, 0), ceiling) that is max(p, 0)."""

draw_shares = torch._sample_dirichlet  # noqa: SLF001 - there is no public name
"""What ``torch.distributions.Beta`` draws by; it takes a generator, which that does not."""

Map = Callable[[torch.Tensor], torch.Tensor]


def normalise(
    z: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return gamma (z - mean) / std + beta by the batch's own mean and std, the mean, and 1/std."""
    return torch.native_batch_norm(z, gamma, beta, None, None, True, 0.0, eps)


def normalise_again(  # noqa: PLR0913 - what the operator needs
    z: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    invstd: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """Return what ``normalise`` returned first, from the mean and 1/std that it found."""
    variance = invstd.pow(-2).sub_(eps)
    return torch.native_batch_norm(z, gamma, beta, mean, variance, False, 0.0, eps)[0]


def normalise_back(  # noqa: PLR0913 - what the operator needs
    grad: torch.Tensor,
    z: torch.Tensor,
    gamma: torch.Tensor,
    mean: torch.Tensor,
    invstd: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of z, gamma and beta from that of what ``normalise`` returned."""
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    found = torch.ops.aten.native_batch_norm_backward(
        grad, z, gamma, None, None, mean, invstd, True, eps, [True, True, True]
    )
    return found


def convolve_back(  # noqa: PLR0913 - what the operator needs
    dz: torch.Tensor,
    weight: torch.Tensor,
    shape: torch.Size,
    stride: int,
    padding: int,
    groups: int,
) -> torch.Tensor:
    """Return conv^T(dz, w), of that shape, in the layout of dz; square strides and paddings."""
    layout = torch.contiguous_format
    if dz.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    # never read: its shape and layout say what dx is to be
    x = torch.empty(shape, dtype=dz.dtype, device=dz.device, memory_format=layout)
    square = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0]
    wanted = [True, False, False]  # dx, but neither dw nor that of a bias
    dx: torch.Tensor
    dx, _, _ = torch.ops.aten.convolution_backward(dz, x, weight, None, *square, groups, wanted)
    return dx


def gate(grad: torch.Tensor, p: torch.Tensor, ceiling: float) -> torch.Tensor:
    """Return grad where 0 < p < ceiling, else 0; p is overwritten."""
    gated: torch.Tensor
    if ceiling == NO_CEILING:
        gated = torch.ops.aten.threshold_backward(grad, p, 0.0, grad_input=p)
    else:
        gated = torch.ops.aten.hardtanh_backward(grad, p, 0.0, ceiling, grad_input=p)
    return gated


def hard_swish_back(grad: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Return grad times the derivative of p min(max(p + 3, 0), 6) / 6."""
    passed: torch.Tensor = torch.ops.aten.hardswish_backward(grad, p)
    return passed


def silu_back(grad: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Return grad times the derivative of p sigmoid(p)."""
    passed: torch.Tensor = torch.ops.aten.silu_backward(grad, p)
    return passed


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """Return in which numbers autocast wants x to be computed with; without it those of x."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def forward_derivative(function: Map, at: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Return J v, the derivative of a function at a place along a direction.

    With the first one torch loads rules that it writes in torch.jit, of whose end torch warns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found: torch.Tensor = jvp(function, (at,), (along,))[1]
    return found
