"""Scores of AZ-NAS: how rich the features of an untrained network are, and how gradients keep.

Source: AZ-NAS (Lee and Ham, CVPR 2024, arXiv 2403.19232), section 3, and their published code.
Their fourth score, complexity, is the number of MACs; ``raynas.benchmark.log_ranks`` makes one of
the four. Blocks are the stem and the layers, or cells, that do something: a chosen identity is
none. AZ-NAS feeds noise to weights by He et al.; here weights and images are those that other
scores look at.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from raynas.nets.measured import Value
from raynas.nets.module_copies import scored_copy
from raynas.seeds import Stream, mixed_seed

_TINY = 1e-8  # in the logarithm of a share
_LEAST = 1e-6  # below 1 / singular value


def az_expressivity(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return the sum over blocks of the entropy of their channels' principal components."""
    return sum(_entropies(network, images))


def az_progressivity(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return the least growth of that entropy from a block to the next."""
    entropies = _entropies(network, images)
    return min((after - before for before, after in pairwise(entropies)), default=0.0)


@torch.enable_grad()
def az_trainability(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return the mean over blocks of 2 - s - 1 / s, at best 0, where gradients keep their size.

    s is the largest singular value of a block's Jacobian from channels to channels. It is the mean
    over positions of J^T v v^T with random signs v, which are the same for all networks. The
    positions that a stride merges are channels of their own.
    """
    scores = []
    for place, (before, after) in enumerate(_blocks(scored_copy(network), images)):
        if place == 0:
            continue  # the stem, which sends gradients to no block
        signs = _signs(after, place)
        # a cell need not read the one before it
        (back,) = torch.autograd.grad(after, before, signs, materialize_grads=True)
        rows, columns = _by_position(_merged(back, after.shape[-1])), _by_position(signs)
        largest = float(torch.linalg.matrix_norm(rows.T @ columns / len(columns), 2))
        scores.append(2 - largest - 1 / (largest + _LEAST))
    return sum(scores) / len(scores) if scores else -math.inf


@torch.no_grad()
def _entropies(network: nn.Module, images: torch.Tensor) -> list[float]:
    """Return - sum over eigenvalues' shares p of p log p, of each block's channel covariance."""
    return [_entropy(after) for _, after in _blocks(scored_copy(network), images)]


def _entropy(features: torch.Tensor) -> float:
    """Return the entropy of the eigenvalues of features, N x C x H x W; 0 where none varies."""
    rows = _by_position(features).double()
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).clamp(min=0)  # but for rounding
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values / total
    return -float((shares * (shares + _TINY).log()).sum())


def _blocks(network: nn.Module, images: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield what each block receives, cut off from those before, and what it makes of it."""
    value: Value = images
    for part in list(network.children())[:-1]:  # the head classifies
        given = _cut(value)
        value = part(given)
        if not isinstance(part, nn.Identity):
            yield _last(given), _last(value)


def _cut(value: Value) -> Value:
    """Return a value that gradients of its own can be taken at."""
    if isinstance(value, tuple):
        before, last = (each.detach().requires_grad_() for each in value)
        return before, last
    return value.detach().requires_grad_()


def _last(value: Value) -> torch.Tensor:
    """Return the features, of cells those of the last one."""
    return value[1] if isinstance(value, tuple) else value


def _signs(features: torch.Tensor, place: int) -> torch.Tensor:
    """Return signs at random, of the shape of features."""
    generator = torch.Generator().manual_seed(mixed_seed(0, Stream.PROXY_SIGNS, place))
    drawn = torch.randint(2, features.shape, generator=generator)
    return (2 * drawn - 1).to(features)


def _merged(gradient: torch.Tensor, side: int) -> torch.Tensor:
    """Return a gradient at as many positions as there are outputs, zeros beyond the last ones."""
    stride = math.ceil(gradient.shape[-1] / side)
    wanted = stride * side
    missing = (wanted - gradient.shape[-1], wanted - gradient.shape[-2])
    padded = functional.pad(gradient, (0, missing[0], 0, missing[1]))
    return functional.pixel_unshuffle(padded, stride)  # N x C stride^2 x side x side


def _by_position(features: torch.Tensor) -> torch.Tensor:
    """Return features, N x C x H x W, as positions x C."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)
