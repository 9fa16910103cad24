"""Blocks that were remapped, fitted to what the source makes of the same images.

A block with fewer channels or a smaller kernel gives something else than the source's, though a
better projection exists. Layer by layer, with x the features that the network's own block receives:

    minimise over W, b:   mean |W h(x) + b - t|^2,   t = y - r(x)

h(x) is what the block's projection reads, y what the source has after that layer, and r(x) what is
added to the branch (x where there is a residual, else 0). So what earlier layers lost is made good
as far as the branch can. ``least_squares.py`` has the solution, which stays near the remapped
projection unless images that it does not see say better.
Source: the reconstruction of layers after pruning (He et al. 2017, arXiv 1707.06168).
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from raynas.nets.block_parts import BlockParts, block_parts
from raynas.nets.inheritance import copy_head_, stem_for_channels
from raynas.nets.least_squares import fit
from raynas.nets.norm_statistics import (
    Observed,
    changed_forward,
    mean_and_variance,
    observed,
    pass_on_,
    restate_,
    take_statistics_,
)
from raynas.nets.remapping import can_remap, copy_tensors_, folded, is_alike, remap_block_
from raynas.nets.supernet import Supernet, batch_norms

_PIXELS = 16_384  # that a fit reads, of all images together
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@torch.no_grad()
def refit_(network: nn.Sequential, source: nn.Sequential, images: torch.Tensor) -> None:
    """Fit the layers of a network that ``inherit_`` filled, in place, to the source's features.

    Those from the first that differs from the source's are fitted, for those behind it receive
    other features; what precedes it, layers that the source does not have, stem and head
    stay as they are. Channels of narrower layers are chosen anew, by what they do on the images.
    The batch norms of fitted layers keep the images' statistics, so that evaluation and training
    mode agree on these images.

    Args:
        network: Stem, a module a layer, head.
        source: The network that it inherited from.
        images: N x C x H x W, normalised; 256 photographs do. All go through a layer at once, so
            a few times the largest features inside a layer must fit into memory.
    """
    with evaluation(network, source):
        x = s = network[0](images)  # the stem is the source's, for these images' channels
        for target, origin in zip(network[1:-1], source[1:-1], strict=True):
            if is_alike(target, origin) and torch.equal(x, s):
                x = s = origin(s)
            elif can_fit(target, origin):
                restated, seen = restated_block(origin, s)
                x, s = fit_block_(target, restated, seen, x), seen.output
            else:
                x, s = target(x), origin(s)


@torch.no_grad()
def refit_supernet_(supernet: Supernet, source: nn.Sequential, images: torch.Tensor) -> None:
    """Fit every candidate of a supernet, in place, to the source's features of its layer.

    Each receives the source's own features, so that no path is preferred. A supernet's batch norms
    use the statistics of the batch: their scales and shifts become the deviations and means that
    the source's have on these images, so that the source's path gives what the source gives. A
    batch norm that stands for a chosen identity passes its input on. Candidates of layers that
    the source skips stay near-identities, and batch norms beside candidates ("parallel") stay
    as they are.

    Args:
        supernet: That ``inherit_supernet_`` filled.
        source: The network that it inherited from.
        images: As in ``refit_``.
    """
    with evaluation(source):
        stem = stem_for_channels(source[0], images.shape[1])
        s = changed_forward(stem, images, batch_norms(stem), restate_)
        copy_tensors_(supernet.stem, stem)
        for layer, origin in enumerate(source[1:-1]):
            s = _refit_layer_(supernet, layer, origin, s)
        head = copy.deepcopy(source[-1])
        changed_forward(head, s, batch_norms(head), restate_)
        copy_head_(supernet.head, head)


def _refit_layer_(
    supernet: Supernet, layer: int, origin: nn.Module, features: torch.Tensor
) -> torch.Tensor:
    """Fit all candidates of a layer, and return what the source makes of the features."""
    candidates = [supernet.candidate(layer, i) for i in range(supernet.space.blocks[layer].size)]
    for candidate in candidates:
        if isinstance(candidate, nn.BatchNorm2d):
            pass_on_(candidate, features)
    fitted = [candidate for candidate in candidates if can_fit(candidate, origin)]
    if not fitted:
        output: torch.Tensor = origin(features)
        return output
    restated, seen = restated_block(origin, features)
    for candidate in fitted:
        fit_block_(candidate, restated, seen, features)
    return seen.output


def can_fit(target: nn.Module, origin: nn.Module) -> bool:
    """Return whether ``fit_block_`` can fit a block to the source's."""
    return block_parts(origin) is not None and can_remap(target, origin)


def _parts(block: nn.Module) -> BlockParts:
    parts = block_parts(block)
    assert parts is not None, "can_fit says so"
    return parts


def restated_block(origin: nn.Module, features: torch.Tensor) -> tuple[nn.Module, Observed]:
    """Return a copy that computes the same by the features' statistics, and what it computes."""
    restated = copy.deepcopy(origin)
    seen = observed(restated, _parts(restated), features, batch_norms(restated), restate_)
    return restated, seen


def fit_block_(
    target: nn.Module, origin: nn.Module, seen: Observed, x: torch.Tensor
) -> torch.Tensor:
    """Remap one block and fit it, in place, and return what it then makes of x.

    Args:
        target: Of any kernel, width inside and gate (``can_fit``).
        origin: The source's block, as ``restated_block`` returns it.
        seen: What that computes of the source's features.
        x: What the target receives.
    """
    new, old = _parts(target), _parts(origin)
    remap_block_(target, origin, _order(old, seen.hidden))
    if new.expand_norm is not None and old.expand_norm is None:
        changed_forward(target, x, [new.expand_norm], pass_on_)
    here = observed(target, new, x, batch_norms(target)[:-1], take_statistics_)
    weight, offset = fit(
        _pixels(here.hidden),
        _pixels(seen.output - here.added),
        known=folded(new.project, old.project_norm),
    )
    return here.added + _set_projection_(new, weight, offset, here.hidden)


def _order(parts: BlockParts, hidden: torch.Tensor) -> torch.Tensor:
    """Return the hidden channels by what their going would change: std(h_j) |W_j|, largest first.

    That is the deviation of what channel j adds to the output, so it is exact for uncorrelated
    channels, before others make up for it.
    """
    deviations = torch.sqrt(mean_and_variance(hidden)[1])
    columns = folded(parts.project, parts.project_norm).norm(dim=0)
    order: torch.Tensor = (deviations * columns).argsort(descending=True, stable=True)
    return order


def _set_projection_(
    parts: BlockParts, weight: torch.Tensor, offset: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Write W h + b into convolution and batch norm, and return what they give.

    With the convolution's w = a W, a > 0 such that rows keep their norms (rates are relative to
    them), z = w h, its mean m and variance v, the batch norm

        g (z - m) / sqrt(v + eps) + c   with   g = sqrt(v + eps) / a,   c = m / a + b

    gives W h + b by the batch's statistics and, where it keeps m and v, in evaluation mode.
    """
    conv, norm = parts.project, parts.project_norm
    weight, offset = weight.to(conv.weight.dtype), offset.to(conv.weight.dtype)
    a = conv.weight.flatten(1).norm(dim=1) / weight.norm(dim=1)
    a = torch.where(a.isfinite() & (a > 0), a, 1.0)  # a row of zeros has no norm to keep
    conv.weight.copy_((a[:, None] * weight)[:, :, None, None])
    z = conv(hidden)
    pass_on_(norm, z)  # g = sqrt(v + eps), c = m
    norm.weight.div_(a)
    norm.bias.div_(a).add_(offset)
    fitted: torch.Tensor = z / a[:, None, None] + offset[:, None, None]
    return fitted


def _pixels(features: torch.Tensor) -> torch.Tensor:
    """Return features N x C x H x W of some pixels, the same ones at each call: N x samples x C.

    They are evenly spaced in each image, and shifted from image to image by the golden ratio.
    """
    flat = features.flatten(2)
    images, channels, pixels = flat.shape
    samples = min(pixels, math.ceil(_PIXELS / images))
    shifts = torch.arange(images, dtype=torch.float64) * _GOLDEN % 1.0
    places = (torch.arange(samples) + shifts[:, None]) * (pixels / samples)
    index = places.long().clamp_max(pixels - 1).to(flat.device)
    return flat.gather(2, index[:, None].expand(-1, channels, -1)).transpose(1, 2)


@contextmanager
def evaluation(*modules: nn.Module) -> Iterator[None]:
    """Set modules to evaluation mode for a while."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    yield
    for module, training in zip(modules, before, strict=True):
        module.train(training)
