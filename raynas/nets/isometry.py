"""How near each candidate is to dynamical isometry: moments of its input-output Jacobian.

Source: the paper's eq. 9 to 12 (a module is isometric iff phi(J J^T) = 1 and
varphi(J J^T) = 0); ``.docs/pages/method.md`` has the estimators: exact where the input is small,
Hutchinson's with Rademacher vectors and power iteration elsewhere.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import vjp

from raynas.nets.module_copies import working_copy
from raynas.nets.supernet import Supernet, batch_norms
from raynas.nets.torch_internals import Map, forward_derivative
from raynas.seeds import Stream, mixed_seed

_EXACT_SIZE = 600  # inputs with at most this many numbers get the whole Jacobian
_NUM_VECTORS = 8
_NUM_ITERATIONS = 12
_CALIBRATION_BATCH = 64
_LARGEST_SIDE = 8  # pixels; the spectrum of a convolution hardly depends on more


@dataclass(frozen=True)
class Isometry:
    """Moments of J J^T, whose traces are divided by min(inputs, outputs).

    Attributes:
        phi: Mean squared singular value of the Jacobian; 1 is isometric.
        varphi: Variance of the squared singular values; 0 is isometric.
        largest_singular_value: Of the Jacobian; None in a brief measurement.
        output_variance: Variance of the output for inputs of unit variance.
    """

    phi: float
    varphi: float
    largest_singular_value: float | None
    output_variance: float


def measure_supernet(
    supernet: Supernet, seed: int, batch_norm: bool = True, brief: bool = False
) -> list[tuple[int, int, Isometry]]:
    """Return layer, candidate and isometry of every candidate of a supernet.

    Inputs are Gaussian of unit variance, what a batch norm with gamma = 1 hands on.

    Args:
        supernet: The network; to be measured without batch norms it must not be fused.
        seed: Makes the inputs.
        batch_norm: Whether batch norms stay; otherwise each becomes an identity.
        brief: Whether to leave out largest singular values, which take most of the time.
    """
    return [
        (layer, choice, measure_candidate(supernet, layer, module, seed, batch_norm, brief))
        for layer, choice, module in supernet.candidates()
    ]


def measure_candidate(  # noqa: PLR0913 - which one, and how
    supernet: Supernet,
    layer: int,
    module: nn.Module,
    seed: int,
    batch_norm: bool = True,
    brief: bool = False,
) -> Isometry:
    """Measure one candidate, as ``measure_supernet`` does."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, Stream.ISOMETRY, layer))
    channels = supernet.space.blocks[layer].in_channels
    shape = _CALIBRATION_BATCH, channels, _LARGEST_SIDE, _LARGEST_SIDE
    images = torch.randn(shape, generator=generator)
    return measure(working_copy(module, batch_norm), images, generator, brief=brief)


def measure(
    module: nn.Module,
    images: torch.Tensor,
    generator: torch.Generator,
    exact_size: int = _EXACT_SIZE,
    brief: bool = False,
) -> Isometry:
    """Measure one module at the first of a batch of inputs, N x C x H x W.

    Batch norms are calibrated with the whole batch and then fixed: with batch statistics the
    Jacobian would couple the images.
    """
    fixed = _calibrated(module, images)
    with torch.no_grad():
        variance = float(fixed(images).var())
    image = images[0]
    if image.numel() <= exact_size:
        moments = _exact(fixed, image)
    else:
        moments = _estimated(fixed, image, generator, 0 if brief else _NUM_ITERATIONS)
    phi, varphi, largest = moments
    return Isometry(phi, varphi, None if brief else largest, variance)


def _calibrated(module: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy whose batch norms hold the statistics of the batch, in eval mode."""
    fixed = working_copy(module).requires_grad_(False).train()
    for norm in batch_norms(fixed):
        norm.track_running_stats, norm.momentum = True, None
        norm.running_mean = torch.zeros_like(norm.weight)
        norm.running_var = torch.ones_like(norm.weight)
        norm.num_batches_tracked = torch.tensor(0)
    with torch.no_grad():
        fixed(images)
    return fixed.eval()


def _exact(function: Map, image: torch.Tensor) -> tuple[float, float, float]:
    """Return phi, varphi and the largest singular value from the whole Jacobian.

    phi(A) = tr(A) / n (eq. 9),  varphi(A) = phi(A^2) - phi(A)^2 (eq. 10),  A = J J^T
    """
    basis = torch.eye(image.numel(), dtype=image.dtype).view(-1, *image.shape)
    # one batch of copies, a direction each: much faster than vmap, and modules in eval mode
    # treat the images of a batch apart
    copies = image.expand_as(basis).contiguous()
    rows = forward_derivative(function, copies, basis)  # J^T, inputs x outputs
    singular = torch.linalg.svdvals(rows.flatten(1).double())
    eigenvalues = singular**2
    phi, second = float(eigenvalues.mean()), float((eigenvalues**2).mean())
    return phi, second - phi**2, float(singular.max())


def _estimated(
    function: Map, image: torch.Tensor, generator: torch.Generator, iterations: int
) -> tuple[float, float, float]:
    """Return the same by Hutchinson's estimator: E|J v|^2 = tr A,  E|J^T J v|^2 = tr A^2."""
    gram = _gram(function, image, _NUM_VECTORS)
    shape = (_NUM_VECTORS, *image.shape)
    signs = torch.randint(2, shape, generator=generator).to(image.dtype) * 2 - 1
    forward, back = gram(signs)
    n = min(image.numel(), forward[0].numel())
    phi = float((forward**2).sum()) / (_NUM_VECTORS * n)
    second = float((back**2).sum()) / (_NUM_VECTORS * n)
    gram = _gram(function, image, 1)
    vector = torch.randn((1, *image.shape), generator=generator, dtype=image.dtype)
    for _ in range(iterations):
        vector = gram(vector / vector.norm())[1]
    return phi, second - phi**2, math.sqrt(float(vector.norm()))


def _gram(
    function: Map, image: torch.Tensor, count: int
) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return what takes so many vectors v at once to J v and J^T J v at an image."""
    copies = image.expand(count, *image.shape).contiguous()  # one a vector, as in _exact
    transpose = vjp(function, copies)[1]

    def gram(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        forward = forward_derivative(function, copies, v)
        return forward, transpose(forward)[0]

    return gram
