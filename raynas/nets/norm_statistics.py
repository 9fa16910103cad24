"""Batch norms set by the features that arrive, and what a block computes on its way.

A batch norm makes  g (z - m) / sqrt(v + eps) + b  of z, with m and v its running statistics in
evaluation mode, and those of the batch in training mode or where it keeps none.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from raynas.nets.block_parts import BlockParts

NormChange = Callable[[nn.BatchNorm2d, torch.Tensor], None]
"""Changes a batch norm, in place, by the features N x C x H x W that it is about to receive."""


@dataclass(frozen=True)
class Observed:
    """What an inverted residual computed of some images.

    Attributes:
        hidden: N x hidden x H x W, what its projection reads.
        branch: N x out_channels x H x W, what its last batch norm gives.
        output: What the block gives: the branch, plus the input where there is a residual.
    """

    hidden: torch.Tensor
    branch: torch.Tensor
    output: torch.Tensor

    @property
    def added(self) -> torch.Tensor:
        """What is added to the branch: the input, or zero."""
        return self.output - self.branch


def mean_and_variance(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a batch norm in training mode subtracts and divides by: C and C."""
    variance, mean = torch.var_mean(features, (0, 2, 3), unbiased=False)
    return mean, variance


def take_statistics_(norm: nn.BatchNorm2d, features: torch.Tensor) -> None:
    """Keep the features' statistics where the norm keeps any: both modes then agree on them."""
    if norm.running_mean is not None and norm.running_var is not None:
        mean, variance = mean_and_variance(features)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def restate_(norm: nn.BatchNorm2d, features: torch.Tensor) -> None:
    """Say the same function by the features' statistics (m', v') instead of the kept (m, v).

        g' = g sqrt((v' + eps) / (v + eps)),   b' = b + g (m' - m) / sqrt(v + eps)

    In evaluation mode nothing changes; on these features training mode now gives the same.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = mean_and_variance(features)
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    norm.bias.add_(slope * (mean - norm.running_mean))
    norm.weight.copy_(slope * torch.sqrt(variance + norm.eps))
    take_statistics_(norm, features)


def pass_on_(norm: nn.BatchNorm2d, features: torch.Tensor) -> None:
    """Make the norm give what it receives: g = sqrt(v + eps), b = m."""
    mean, variance = mean_and_variance(features)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(mean)
    take_statistics_(norm, features)


@torch.no_grad()
def restate_network_(network: nn.Module, images: torch.Tensor) -> None:
    """Restate all batch norms of a network, in place, by the statistics of some images.

    Trained weights meet other images than those they were trained on. In training mode each batch
    norm then subtracts other means, and the network computes something else than it has learned.
    Restated, it computes the same as in evaluation mode, which does not change.

    Args:
        network: With running statistics; each batch norm works once for an image.
        images: N x C x H x W, normalised. All go through a layer at once.
    """
    was_training = network.training
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    changed_forward(network.eval(), images, norms, restate_)
    network.train(was_training)


def changed_forward(
    module: nn.Module, x: torch.Tensor, norms: Iterable[nn.BatchNorm2d], change: NormChange
) -> torch.Tensor:
    """Return module(x), each of the norms changed before it computes."""
    with ExitStack() as hooks:
        for norm in norms:
            hooks.enter_context(norm.register_forward_pre_hook(lambda n, z: change(n, z[0])))
        y: torch.Tensor = module(x)
    return y


def observed(
    block: nn.Module,
    parts: BlockParts,
    x: torch.Tensor,
    norms: Iterable[nn.BatchNorm2d],
    change: NormChange,
) -> Observed:
    """Return what an inverted residual computes of x, each of the norms changed before."""
    seen: dict[str, torch.Tensor] = {}
    with (
        parts.project.register_forward_pre_hook(lambda _, h: seen.update(hidden=h[0])),
        parts.project_norm.register_forward_hook(lambda _, __, y: seen.update(branch=y)),
    ):
        output = changed_forward(block, x, norms, change)
    return Observed(seen["hidden"], seen["branch"], output)
