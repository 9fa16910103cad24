"""First weights: orthogonal by QR, exactly isometric shifts, or Gaussian as in BN-NAS or SPOS.

Source: the paper's section 3.1.2 and appendix A (QR of a Gaussian matrix), Xiao et al. 2018
(delta-orthogonal), the published code of BN-NAS and of SPOS (Gaussian);
``.docs/pages/method.md`` for what fits which convolution.
Every module draws from a generator of its own, seeded by where it stands, so any machine
rebuilds the same weights, in any order.
"""

import math
from typing import Literal

import torch
from torch import nn

from raynas.nets.supernet import LayerIndicator, Supernet
from raynas.seeds import Stream, mixed_seed
from raynas.spaces.chain import SearchSpace

Initialisation = Literal["qr", "shift", "gaussian", "spos", "delta"]

_SPOS_FIRST = 0.01  # standard deviation of the first convolution and of the classifier
_SPOS_SHIFT = 1e-4


def frozen_supernet(  # noqa: PLR0913 - everything that defines the weights
    space: SearchSpace,
    in_channels: int,
    num_classes: int,
    layer_indicator: LayerIndicator,
    initialisation: Initialisation,
    seed: int,
) -> Supernet:
    """Return the supernet with the weights that belong to the seed, on the CPU.

    Parameters of a person's own operations that are neither convolutions, batch norms nor
    linear layers keep what their constructor drew, which is seeded too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(mixed_seed(seed, Stream.SUPERNET))
        supernet = Supernet(space, in_channels, num_classes, layer_indicator)
    initialise_(supernet, initialisation, seed)
    return supernet


@torch.no_grad()
def initialise_(
    module: nn.Module,
    initialisation: Initialisation,
    seed: int,
    stream: Stream = Stream.FROZEN_WEIGHTS,
) -> None:
    """Fill all convolutions, linear layers and batch norms of a module in place."""
    is_spos = initialisation == "spos"
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    for name, part in module.named_modules():
        place = name.encode()
        generator = torch.Generator().manual_seed(mixed_seed(seed, stream, *place))
        if isinstance(part, nn.Conv2d):
            if is_spos:
                spos_(part.weight, generator, is_first=part is first)
            else:
                _initialise_conv_(part.weight, initialisation, generator, _is_depthwise(part))
        elif isinstance(part, nn.Linear):
            if is_spos:
                part.weight.normal_(0.0, _SPOS_FIRST, generator=generator)
            else:
                nn.init.orthogonal_(part.weight, generator=generator)
        elif isinstance(part, nn.BatchNorm2d) and part.affine:
            part.weight.fill_(1.0)
            part.bias.fill_(_SPOS_SHIFT if is_spos else 0.0)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            part.bias.zero_()


def _is_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups == conv.in_channels == conv.out_channels > 1


def _initialise_conv_(
    weight: torch.Tensor,
    initialisation: Initialisation,
    generator: torch.Generator,
    is_depthwise: bool,
) -> None:
    if initialisation == "gaussian":
        gaussian_(weight, generator)
    elif is_depthwise and initialisation == "shift":
        shift_(weight, generator)
    elif is_depthwise and initialisation == "delta":
        delta_depthwise_(weight, generator)
    elif is_depthwise:
        orthogonal_depthwise_(weight, generator)
    else:
        orthogonal_(weight, generator)


def spos_(weight: torch.Tensor, generator: torch.Generator, is_first: bool) -> None:
    """Fill as SPOS does, in place; weight: C_out x C_in/groups x k x k.

    The standard deviation is 1 / (C_in/groups), no root of it, and so 1 for a depthwise one; the
    first convolution's is 0.01.
    """
    std = _SPOS_FIRST if is_first else 1 / weight.shape[1]
    weight.normal_(0.0, std, generator=generator)


def gaussian_(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill with N(0, 2 / (k k C_out)), BN-NAS's, in place; weight: C_out x C_in/groups x k x k."""
    out_channels, _, height, width = weight.shape
    std = math.sqrt(2 / (height * width * out_channels))
    weight.normal_(0.0, std, generator=generator)


def orthogonal_(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill with the Q of a Gaussian's QR in place; weight is C_out x C_in/groups x k x k.

    Where C_out < fan_in the orthonormal rows are scaled by sqrt(fan_in / C_out), so that
    phi = 1 without batch norm.
    """
    nn.init.orthogonal_(weight, generator=generator)
    rows, columns = weight.shape[0], weight[0].numel()
    if rows < columns:
        weight.mul_(math.sqrt(columns / rows))


def orthogonal_depthwise_(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill with the QR of the C x (k k) matrix, then unit rows, in place: phi = 1."""
    nn.init.orthogonal_(weight, generator=generator)
    weight.div_(weight.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None])


def shift_(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill with one tap of +1 or -1 at a random place per channel in place: an isometry."""
    channels, _, height, width = weight.shape
    taps = torch.randint(height * width, (channels,), generator=generator)
    signs = torch.randint(2, (channels,), generator=generator) * 2.0 - 1.0
    weight.zero_().flatten(1)[torch.arange(channels), taps] = signs.to(weight.dtype)


def delta_depthwise_(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill with +1 or -1 at the centre in place: all kernel sizes are then one function.

    For diagnostics only; settings refuse it for a search.
    """
    channels, _, height, width = weight.shape
    signs = torch.randint(2, (channels,), generator=generator) * 2.0 - 1.0
    weight.zero_()[:, 0, height // 2, width // 2] = signs.to(weight.dtype)
