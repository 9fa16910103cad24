"""What each candidate of a space leaves of a trained network's features, before any training.

A candidate takes the place of the network's block in its layer, fitted to it (``refitting.py``),
and receives what that block receives. With y what the block then gives and y' what the candidate
gives, on images that the fit did not see, candidate i of layer l has the error

    e[l][i] = mean |y - y'|^2 / mean |y - mean y|^2

with the mean of y over images and places in each channel. A sum of it over layers says how much of
the features a network loses, as far as its layers do not make good for each other.
Source: the noise-to-signal ratios of blocks by which DONNA (Moons et al. 2021, arXiv 2012.08859)
predicts accuracies as a sum over blocks. There blocks are trained, here they are fitted in closed
form, and all channels of a layer are read together.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from raynas.nets.inheritance import stem_for_channels
from raynas.nets.refitting import can_fit, evaluation, fit_block_, restated_block
from raynas.nets.remapping import is_alike
from raynas.spaces.chain import ChoiceBlock, SearchSpace

_UNSEEN = 4  # one image of so many is not fitted to, and measured


@torch.no_grad()
def feature_errors(
    space: SearchSpace, source: nn.Sequential, images: torch.Tensor
) -> list[npt.NDArray[np.float64]]:
    """Return e[l][i] of every candidate, 0 for the source's own.

    Candidates of layers that the source skips can add nothing, and have 0, too. One of another
    form than the source's block that cannot be fitted has infinity.

    Args:
        space: The searched space.
        source: A network of it: stem, a module a layer, head.
        images: N x C x H x W, normalised; two at least. A quarter is measured, to the others
            candidates are fitted. All go through a layer at once.
    """
    measured = torch.arange(len(images)) % _UNSEEN == _UNSEEN - 1
    measured[-1] = True
    errors = []
    with evaluation(source), torch.random.fork_rng(devices=[]):  # blocks are drawn, then filled
        stem = stem_for_channels(source[0], images.shape[1])
        x, unseen = stem(images[~measured]), stem(images[measured])
        for block, origin in zip(space.blocks, source[1:-1], strict=True):
            errors.append(np.fromiter(_of_layer(block, origin, x, unseen), np.float64))
            x, unseen = origin(x), origin(unseen)
    return errors


def _of_layer(
    block: ChoiceBlock, origin: nn.Module, x: torch.Tensor, unseen: torch.Tensor
) -> Iterator[float]:
    """Yield the errors of a layer's candidates.

    Args:
        block: The layer.
        origin: What the source has in it.
        x: What that receives of the images that candidates are fitted to.
        unseen: The same of those that are measured.
    """
    wanted = origin(unseen)
    restated, seen = restated_block(origin, x) if can_fit(origin, origin) else (origin, None)
    for operation in block.candidates:
        candidate = operation.build(block.in_channels, block.out_channels, block.stride)
        candidate.to(x.device).eval()
        if isinstance(origin, nn.Identity) or is_alike(candidate, origin):
            yield 0.0
        elif isinstance(candidate, nn.Identity):
            yield _error(unseen, wanted)
        elif seen is not None and can_fit(candidate, origin):
            fit_block_(candidate, restated, seen, x)
            yield _error(candidate(unseen), wanted)
        else:
            yield float("inf")


def _error(features: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return mean |y - y'|^2 / mean |y - mean y|^2, with a mean for each channel."""
    varying = wanted - wanted.mean((0, 2, 3), keepdim=True)
    return float((features - wanted).square().mean() / varying.square().mean().clamp_min(1e-30))
