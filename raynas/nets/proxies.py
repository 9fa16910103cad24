"""Zero-cost scores: how good an untrained network looks on one batch; higher is better.

Source: the paper named at each score; ``.docs/pages/method.md`` has the formulas.
Those of AZ-NAS lie in ``raynas.nets.az_nas``.
Batch norms use the statistics of the batch, dropout does nothing, and all work is done on a
copy: the network, its buffers, gradients and modes stay as they are.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional

from raynas.nets.activations import RECTIFIERS
from raynas.nets.az_nas import az_expressivity, az_progressivity, az_trainability
from raynas.nets.module_copies import scored_copy, working_copy

Proxy = Callable[[nn.Module, torch.Tensor, torch.Tensor], float]
"""Takes a network, images N x C x H x W and labels N, and returns its score."""


@torch.no_grad()
def naswot(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return log |det K|, minus infinity where two images look the same to every ReLU.

    Source: Mellor et al. 2021, Neural Architecture Search without Training (arXiv 2006.04647).
    K[p, q] is the number of inputs of ReLUs (and of their relatives, such as ReLU6 and SiLU) whose
    sign is the same for the images p and q.
    """
    copied = scored_copy(network)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        signs = (inputs[0] > 0).flatten(1).to(images.dtype) * 2 - 1  # N x units, of +1 and -1
        kernel.add_((signs @ signs.T + signs.shape[1]) / 2)  # equal minus unequal, plus all

    for part in copied.modules():
        if isinstance(part, RECTIFIERS):
            part.register_forward_pre_hook(count)
    copied(images)
    return float(torch.linalg.slogdet(kernel).logabsdet)


@torch.enable_grad()
def grad_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the sum over weights of the L2 norm of the loss's gradient.

    Source: Abdelfattah et al. 2021, Zero-Cost Proxies for Lightweight NAS (arXiv 2101.08134).
    The loss is the cross-entropy; weights are those of convolutions and linear layers.
    """
    copied = scored_copy(network)
    loss = functional.cross_entropy(copied(images), labels)
    return sum(float(gradient.norm()) for _, gradient in _gradients(loss, copied))


@torch.enable_grad()
def snip(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the sum over weights of |weight dL/dweight|: how much the loss leans on them.

    Source: Lee et al. 2019, SNIP (arXiv 1810.02340), summed up for a network as by Abdelfattah
    et al. 2021. The loss is the cross-entropy; weights are as in ``grad_norm``.
    """
    copied = scored_copy(network)
    loss = functional.cross_entropy(copied(images), labels)
    return _saliency(_gradients(loss, copied))


@torch.enable_grad()
def synflow(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return the log of the sum over weights of |weight dR/dweight|; images give the shape only.

    Source: Tanaka et al. 2020, SynFlow (arXiv 2006.05467). R is the sum of the outputs for an
    input of ones through absolute weights without batch norms: paths of all weights multiplied.
    In double precision, for products over layers leave the range of single. ReLU6 counts as
    ReLU here: its limit would stop the flow.
    """
    copied = working_copy(network, batch_norm=False).double().eval().requires_grad_()
    for part in copied.modules():
        if isinstance(part, nn.ReLU6):
            part.max_val = float("inf")
    for parameter in copied.parameters():
        parameter.data.abs_()
    flow = copied(torch.ones_like(images[:1], dtype=torch.float64)).sum()
    return float(torch.tensor(_saliency(_gradients(flow, copied)), dtype=torch.float64).log())


@torch.enable_grad()
def jacob_cov(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:  # noqa: ARG001 - one signature for all
    """Return - sum over v of (log(v + k) + 1 / (v + k)) with k = 1e-5; at best - N.

    Source: the first version (2020) of Mellor et al., arXiv 2006.04647v1. The v are the
    eigenvalues of the correlations between the images' gradients of the summed output: all 1
    where the network treats every image in its own way.
    """
    inputs = images.detach().clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(scored_copy(network)(inputs).sum(), inputs)
    correlations = torch.corrcoef(jacobian.flatten(1).double())  # N x N
    shifted = torch.linalg.eigvalsh(correlations) + 1e-5
    return -float((shifted.log() + 1 / shifted).sum())


@torch.enable_grad()
def zico(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the sum over layers of log sum over weights of mean |g| / deviation of g.

    Source: ZiCo (Li et al. 2023, arXiv 2301.11300), with the deviation that their published code
    takes: of g itself, where the paper writes that of |g|. g are the gradients of a weight on two
    batches, the halves of this one. Weights whose gradients are equal do not count, nor do layers
    that have no others.
    """
    copied = scored_copy(network)
    halves = zip(images.chunk(2), labels.chunk(2), strict=True)
    losses = (functional.cross_entropy(copied(few), wanted) for few, wanted in halves)
    batches = [[gradient for _, gradient in _gradients(loss, copied)] for loss in losses]
    total = 0.0
    for layer in zip(*batches, strict=True):
        gradients = torch.stack(layer).double()  # 2 x the weight's shape
        mean, deviation = gradients.abs().mean(0), gradients.std(0, unbiased=False)
        ratios = (mean / deviation)[deviation > 0]
        total += float(ratios.sum().log()) if len(ratios) else 0.0
    return total


PROXIES: dict[str, Proxy] = {
    "naswot": naswot,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "jacob_cov": jacob_cov,
    "zico": zico,
    "az_expressivity": az_expressivity,
    "az_progressivity": az_progressivity,
    "az_trainability": az_trainability,
}
"""All scores by name."""


def _gradients(
    target: torch.Tensor, network: nn.Module
) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """Return the weights of convolutions and linear layers, each with its gradient."""
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    weights = [layer.weight for layer in layers]
    # zeros for what is not on the way to the target: a cell need not read the one before the last
    gradients = torch.autograd.grad(target, weights, materialize_grads=True)
    # torch 2.9 lets those zeros ask for gradients, too
    pairs = zip(weights, gradients, strict=True)
    return ((weight.detach(), gradient.detach()) for weight, gradient in pairs)


def _saliency(gradients: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in gradients)
