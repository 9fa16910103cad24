"""AZ-NAS' scores: golden values by numpy, and what they take for a block."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.nets.az_nas import az_expressivity, az_progressivity, az_trainability
from raynas.nets.proxies import Proxy
from raynas.seeds import Stream, mixed_seed
from tests.builders import build_generator

Array = npt.NDArray[np.float64]
LABELS = torch.tensor([0, 2, 1, 0])
SCORES = (az_expressivity, az_progressivity, az_trainability)


def mixing(matrix: npt.ArrayLike, stride: int = 1) -> nn.Conv2d:
    """Return a convolution of one pixel that multiplies channels by a matrix, in double."""
    weight = torch.as_tensor(np.asarray(matrix, dtype=np.float64))
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, stride, bias=False, dtype=torch.float64)
    layer.weight.data.copy_(weight[:, :, None, None])
    return layer


def chain(*layers: nn.Module) -> nn.Sequential:
    """Return a network of a stem, layers and a head that must not be looked at."""
    return nn.Sequential(*layers, nn.Sequential())


def images(channels: int = 3, side: int = 4) -> torch.Tensor:
    """Return four images in double."""
    return torch.randn(4, channels, side, side, generator=build_generator(), dtype=torch.float64)


def positions(features: torch.Tensor) -> Array:
    """Return features as positions x channels."""
    rows: Array = features.detach().numpy().transpose(0, 2, 3, 1).reshape(-1, features.shape[1])
    return rows


def entropy(rows: Array) -> float:
    """Return the entropy of the shares of variance along principal components."""
    shares = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    shares /= shares.sum()
    return -float((shares * np.log(shares + 1e-8)).sum())


def matrices(*sizes: int) -> list[Array]:
    """Return Gaussian matrices that take channels of the first size to those of the last."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(after, before)) for before, after in itertools.pairwise(sizes)]


def test_expressivity_adds_up_entropies_and_progressivity_is_their_least_growth() -> None:
    first, second, third = matrices(3, 2, 5, 4)
    network, pictures = chain(*map(mixing, (first, second, third))), images()
    rows = positions(pictures)
    features = [rows @ first.T, rows @ first.T @ second.T, rows @ first.T @ second.T @ third.T]
    wanted = [entropy(each) for each in features]

    assert az_expressivity(network, pictures, LABELS) == pytest.approx(sum(wanted))
    least = min(wanted[1] - wanted[0], wanted[2] - wanted[1])
    assert az_progressivity(network, pictures, LABELS) == pytest.approx(least)


def test_expressivity_of_independent_channels_is_the_logarithm_of_their_number() -> None:
    """Four channels of which each image holds one: the covariance has three equal eigenvalues."""
    pictures = torch.eye(4, dtype=torch.float64)[:, :, None, None]

    found = az_expressivity(chain(mixing(np.eye(4))), pictures, LABELS)
    assert found == pytest.approx(math.log(3), abs=1e-6)


def test_features_that_do_not_vary_have_no_entropy() -> None:
    assert az_expressivity(chain(mixing(np.zeros((2, 3)))), images(), LABELS) == 0.0


def signs(place: int, *shape: int) -> Array:
    """Return the signs that are sent back through the block at a place."""
    generator = torch.Generator().manual_seed(mixed_seed(0, Stream.PROXY_SIGNS, place))
    drawn = torch.randint(2, shape, generator=generator)
    return positions((2 * drawn - 1).double())


def score_of(largest: float) -> float:
    return 2 - largest - 1 / (largest + 1e-6)


def test_trainability_is_that_of_the_largest_singular_values_of_blocks_but_for_the_stem() -> None:
    """Of a matrix M per position the gradient is M^T v, so the Jacobian is M^T mean(v v^T)."""
    _, second, third = matrices(3, 2, 5, 4)
    network = chain(mixing(matrices(3, 2)[0]), mixing(second), mixing(third))
    wanted = []
    for place, matrix in ((1, second), (2, third)):
        drawn = signs(place, 4, len(matrix), 4, 4)
        jacobian = matrix.T @ (drawn.T @ drawn) / len(drawn)
        wanted.append(score_of(np.linalg.svd(jacobian, compute_uv=False).max()))

    assert az_trainability(network, images(), LABELS) == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize("side", [4, 5])
def test_trainability_gives_the_positions_that_a_stride_merges_channels_of_their_own(
    side: int,
) -> None:
    """A mean over squares of 2 x 2, or what is left of them at the rim, sends back v / count."""
    network = chain(mixing(np.eye(3)), nn.AvgPool2d(2, ceil_mode=True))
    halved = math.ceil(side / 2)
    drawn = signs(1, 4, 3, halved, halved)
    is_whole = np.arange(2 * halved) < side
    places = np.outer(is_whole, is_whole).reshape(halved, 2, halved, 2).swapaxes(1, 2)
    shares = places.reshape(-1, 4) / places.sum(axis=(2, 3)).reshape(-1, 1)  # positions x 4
    back = np.einsum("pc,pk->pck", drawn, np.tile(shares, (4, 1))).reshape(len(drawn), 12)
    largest = np.linalg.svd(back.T @ drawn / len(drawn), compute_uv=False).max()

    found = az_trainability(network, images(side=side), LABELS)
    assert found == pytest.approx(score_of(largest))


@given(st.floats(0.05, 20))
def test_trainability_is_best_where_gradients_keep_their_size(factor: float) -> None:
    """One channel: v^2 is 1, so the singular value is the factor itself."""
    network = chain(mixing([[1.0]]), mixing([[factor]]))

    found = az_trainability(network, images(1), LABELS)
    assert found == pytest.approx(score_of(factor))
    assert found <= 1e-6


@pytest.mark.parametrize("score", SCORES)
def test_a_layer_that_is_skipped_is_no_block(score: Proxy) -> None:
    blocks = [mixing(matrix) for matrix in matrices(3, 2, 5)]
    pictures = images()

    with_identity = score(chain(blocks[0], blocks[1], nn.Identity()), pictures, LABELS)
    assert with_identity == score(chain(*blocks), pictures, LABELS)
