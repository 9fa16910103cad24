"""Inner products of what filters make of two images, beside what random filters are expected to.

Source: the paper's Theorem 1 (section 3.2, appendix A), whose formulas the text at hand lacks:
what follows is a reconstruction (``.docs/pages/method.md``, Theorem 1). A filter a of d weights
reads patches x_i and y_i of two images at the positions i, less the mean patch of the batch, which
is what the batch norm takes off. With w = gamma^2 / (variance + eps) and M = sum of x_i y_i':

    observed       sum over filters of w a' M a
    expected       sum over filters of w |a|^2 / d tr M
    variance       sum over filters of w^2 |a|^4 2 / (d (d + 2)) (|S|^2 - tr(S)^2 / d)
    scale          sum over filters of w |a|^2 / d * sum over i of |x_i| |y_i|

where S is the symmetric part of M. Both moments are exact for a filter of known norm whose
direction is uniform, as that of a Gaussian filter is and that of a row of a Haar orthogonal matrix;
the variance is that of independent ones, with w held fixed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from raynas.nets.fused_conv_bn import FusedConvNorm
from raynas.nets.padding import padded
from raynas.nets.supernet import Supernet
from raynas.spaces.architecture import Architecture

Key = tuple[int, int, int]
"""Layer, candidate, and number of the batch norm in it."""
_MOST = 2**24  # numbers of patches at a time: 128 MiB
_CHEBYSHEV = math.sqrt(20)  # standard deviations beyond which one in twenty lies at most


@dataclass(frozen=True)
class InnerProducts:
    """What a convolution and the batch norm after it make of pairs of images (P each).

    Attributes:
        filters: Their number.
        groups: Of channels that filters read apart.
        fan_in: Weights of a filter, d.
        gamma: Root of the mean square of the batch norm's scales.
        observed: The inner products.
        expected: Over random directions of the filters.
        deviation: The standard deviation over independent ones.
        scale: The expectation if all patches were parallel; no inner product of patches is larger.
    """

    filters: int
    groups: int
    fan_in: int
    gamma: float
    observed: torch.Tensor
    expected: torch.Tensor
    deviation: torch.Tensor
    scale: torch.Tensor

    @property
    def slope(self) -> float:
        """Observed over expected, by least squares through zero; 1 is what is expected."""
        products = float(self.observed @ self.expected)
        return products / float(self.expected @ self.expected)

    @property
    def difference(self) -> float:
        """Root mean square of observed less expected."""
        return _rms(self.observed - self.expected)

    @property
    def threshold(self) -> float:
        """What the difference of one pair in twenty may exceed at most (Chebyshev); its RMS."""
        return _CHEBYSHEV * _rms(self.deviation)

    @property
    def share_within(self) -> float:
        """Share of the pairs whose difference is within their own threshold, in [0, 1]."""
        rounding = 1e-9 * self.scale
        within = (self.observed - self.expected).abs() <= _CHEBYSHEV * self.deviation + rounding
        return float(within.double().mean())

    @property
    def relative(self) -> float:
        """Root mean square of the difference in shares of the scale; gamma is in both."""
        return _rms((self.observed - self.expected) / self.scale)


def measure_paths(
    supernet: Supernet, images: torch.Tensor, paths: Sequence[Architecture]
) -> Iterator[tuple[int, int, int, InnerProducts]]:
    """Yield layer, candidate, number of the batch norm in it, and its inner products.

    Args:
        supernet: The network, with its convolutions and batch norms joined or not.
        images: N x C x H x W; one of even number and the next make a pair.
        paths: Those whose candidates are measured, each where it is met first.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        found: dict[Key, InnerProducts] = {}
        hooks = []
        for layer, choice in enumerate(path):
            if (layer, choice) in seen:
                continue
            seen.add((layer, choice))
            for number, (at, conv, norm) in enumerate(filtered(supernet.candidate(layer, choice))):
                note = _noting(found, (layer, choice, number), conv, norm)
                hooks.append(at.register_forward_pre_hook(note))
        try:
            with torch.no_grad():
                supernet(images, path)
        finally:
            for hook in hooks:
                hook.remove()
        yield from ((*key, products) for key, products in sorted(found.items()))


def filtered(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Conv2d, nn.BatchNorm2d]]:
    """Yield what reads the input, the convolution and the batch norm, of each pair in a row.

    Left out are convolutions that pad otherwise than by so many zeros.
    """
    for part in module.modules():
        if isinstance(part, FusedConvNorm):
            yield part, part.conv, part.norm
        elif isinstance(part, nn.Sequential):
            for first, second in zip(part, list(part)[1:], strict=False):
                if _has_patches(first) and isinstance(second, nn.BatchNorm2d):
                    assert isinstance(first, nn.Conv2d)
                    yield first, first, second


def _has_patches(part: nn.Module) -> bool:
    return (
        isinstance(part, nn.Conv2d)
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
    )


def _patches(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Return what the filters read, N x numbers of a patch x positions."""
    assert not isinstance(conv.padding, str), "filtered() leaves it out"
    return functional.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)


def _noting(
    found: dict[Key, InnerProducts], key: Key, conv: nn.Conv2d, norm: nn.BatchNorm2d
) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
    """Return a hook that measures what a module is about to read."""

    def note(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        found[key] = measure(conv, norm, arguments[0])

    return note


@torch.no_grad()
def measure(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: torch.Tensor) -> InnerProducts:
    """Return the inner products of pairs of a batch, N x C x H x W with N even, in double.

    The batch norm is taken with the statistics of the batch, and without its shift beta.
    """
    x = padded(conv, x).double()
    weights = conv.weight.double().flatten(1).unflatten(0, (conv.groups, -1))  # G x K / G x d
    y = functional.conv2d(
        x, conv.weight.double(), None, conv.stride, conv.padding, conv.dilation, conv.groups
    )
    variance = y.var(dim=(0, 2, 3), unbiased=False)
    gamma = torch.ones_like(variance) if norm.weight is None else norm.weight.double()
    w = (gamma**2 / (variance + norm.eps)).unflatten(0, (conv.groups, -1))  # G x K / G
    sums = torch.zeros(4, len(x) // 2, dtype=torch.double)
    step = max(_MOST * conv.groups // (len(x) * _patches(conv, x[:1]).numel()), 1)
    for start in range(0, conv.groups, step):
        some = slice(start, start + step)
        sums += _sums(conv, x, weights[some], w[some], some).cpu()
    observed, expected, squares, scale = sums
    return InnerProducts(
        filters=conv.out_channels,
        groups=conv.groups,
        fan_in=weights.shape[2],
        gamma=_rms(gamma),
        observed=observed,
        expected=expected,
        deviation=squares.clamp_min(0).sqrt(),
        scale=scale,
    )


def _sums(
    conv: nn.Conv2d, x: torch.Tensor, weights: torch.Tensor, w: torch.Tensor, groups: slice
) -> torch.Tensor:
    """Return observed, expected, variance and scale of each pair, of some groups (4 x P).

    Args:
        conv: The convolution.
        x: Its input, N x C x H x W.
        weights: Of its groups, G x F x d.
        w: gamma^2 over variance, G x F.
        groups: Which ones.
    """
    width = conv.in_channels // conv.groups
    channels = slice(groups.start * width, groups.stop * width)
    d = weights.shape[2]
    patches = _patches(conv, x[:, channels]).unflatten(1, (-1, d))  # N x G x d x positions
    patches = patches - patches.mean(dim=(0, 3), keepdim=True)
    first, second = patches[0::2], patches[1::2]
    m = first @ second.mT  # P x G x d x d
    trace = m.diagonal(dim1=2, dim2=3).sum(2)  # P x G
    symmetric = (m.square().sum((2, 3)) + (m * m.mT).sum((2, 3))) / 2  # |(M + M') / 2|^2
    each = torch.einsum("gfd,pgde,gfe->pgf", weights, m, weights)
    strength = w * weights.square().sum(2)  # w |a|^2, G x F
    lengths = (first.norm(dim=2) * second.norm(dim=2)).sum(2)  # P x G
    spread = 2 / (d * (d + 2)) * (symmetric - trace.square() / d)
    return torch.stack(
        [
            (each * w).sum((1, 2)),
            trace @ strength.sum(1) / d,
            spread @ strength.square().sum(1),
            lengths @ strength.sum(1) / d,
        ]
    )


def _rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())
