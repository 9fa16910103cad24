"""Theorem 1, measured: exact where mathematics knows the answer."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from raynas.nets.inner_products import filtered, measure, measure_paths
from raynas.nets.operations import conv, depthwise
from raynas.search.sampling import fair_paths
from tests.builders import build_frozen, build_generator, build_images, build_space


def white_images(count: int = 8, channels: int = 6, side: int = 4) -> torch.Tensor:
    """Return images whose pixels have covariance 1 and mean 0 over the batch, exactly."""
    pixels = torch.randn(count * side**2, channels, generator=build_generator(3)).double()
    pixels -= pixels.mean(0)
    factor = torch.linalg.cholesky(pixels.T @ pixels / len(pixels))
    white = torch.linalg.solve_triangular(factor, pixels.T, upper=False).T
    return white.view(count, side, side, channels).permute(0, 3, 1, 2)


def orthogonal(layer: nn.Conv2d, seed: int = 0) -> nn.Conv2d:
    """Return a convolution with rows of an orthogonal matrix."""
    nn.init.orthogonal_(layer.weight, generator=build_generator(seed))
    return layer


def norm_of(channels: int, gamma: float = 1.0) -> nn.BatchNorm2d:
    """Return a batch norm without epsilon, so that gamma alone decides."""
    norm = nn.BatchNorm2d(channels, eps=0.0)
    nn.init.constant_(norm.weight, gamma)
    return norm


def test_square_orthogonal_filters_of_white_images_are_exactly_what_is_expected() -> None:
    x = white_images()
    layer = orthogonal(conv(6, 6).double())
    found = measure(layer, norm_of(6, 2.0), x)
    inner = (x[0::2] * x[1::2]).sum((1, 2, 3))

    assert torch.allclose(found.expected, 4 * inner, rtol=1e-10)  # gamma^2 / sigma^2 <x, y>
    assert torch.allclose(found.observed, found.expected, rtol=1e-10)
    assert found.slope == pytest.approx(1, abs=1e-10)
    assert found.relative < 1e-12
    assert (found.filters, found.fan_in, found.gamma) == (6, 6, 2.0)


@pytest.mark.parametrize(
    "layer", [conv(6, 5, 3, 2), conv(6, 8), depthwise(6, 3, 2), depthwise(6, 5, 2, "same")]
)
def test_the_observed_is_the_inner_product_of_what_the_two_modules_compute(
    layer: nn.Conv2d,
) -> None:
    x = build_images(8, 6, 6).double()
    norm = nn.BatchNorm2d(layer.out_channels).double()
    nn.init.uniform_(norm.weight, 0.5, 2, generator=build_generator(1))
    y = norm(layer.double()(x))

    wanted = (y[0::2] * y[1::2]).sum((1, 2, 3))
    assert torch.allclose(measure(layer, norm, x).observed, wanted, rtol=1e-9)


@pytest.mark.parametrize("make", [lambda: conv(3, 4, 3), lambda: depthwise(3, 3)])
def test_mean_and_variance_over_directions_are_those_of_drawn_filters(
    make: Callable[[], nn.Conv2d],
) -> None:
    """Unit filters of uniform direction; gamma^2 follows the variance, so that w stays fixed."""
    x, draws, layer = build_images(2, 3, 5).double(), [], make().double()
    for seed in range(600):
        nn.init.normal_(layer.weight, generator=build_generator(seed))
        layer.weight.data /= layer.weight.data.flatten(1).norm(dim=1)[:, None, None, None]
        norm = norm_of(layer.out_channels).double()
        norm.weight.data = layer(x).std(dim=(0, 2, 3), unbiased=False)
        draws.append(measure(layer, norm, x))
    observed = torch.cat([each.observed for each in draws])
    deviation = float(draws[0].deviation[0])

    assert float(observed.mean()) == pytest.approx(float(draws[0].expected), abs=deviation / 6)
    assert float(observed.std()) == pytest.approx(deviation, rel=0.12)


def test_a_larger_gamma_enlarges_both_sides_and_brings_nothing_nearer() -> None:
    x, layer = build_images(8, 6, 7), conv(6, 8)
    small, large = (measure(layer, norm_of(8, gamma), x) for gamma in (1.0, 3.0))

    assert torch.allclose(large.observed, 9 * small.observed)
    assert large.difference == pytest.approx(9 * small.difference)
    assert large.threshold == pytest.approx(9 * small.threshold)
    assert large.relative == pytest.approx(small.relative)
    assert (large.slope, large.share_within) == pytest.approx((small.slope, small.share_within))


def test_groups_in_parts_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, layer = build_images(4, 6, 7), depthwise(6, 3)
    whole = measure(layer, norm_of(6), x)
    monkeypatch.setattr("raynas.nets.inner_products._MOST", 1)
    parts = measure(layer, norm_of(6), x)

    assert torch.allclose(parts.observed, whole.observed)
    assert torch.allclose(parts.deviation, whole.deviation)


def test_every_candidate_with_filters_is_measured_once_on_the_paths_of_a_fair_step() -> None:
    space = build_space("RNN", identity=True)
    supernet = build_frozen(space).supernet
    paths = fair_paths([block.size for block in space.blocks], 0, 0)
    keys = [key for *key, _ in measure_paths(supernet, build_images(4, 3, 8), paths)]
    wanted = [
        [layer, choice, number]
        for layer, choice, module in supernet.candidates()
        for number, _ in enumerate(filtered(module))
    ]

    assert sorted(keys) == wanted
    assert len(wanted) > len(space.blocks)
    assert not any(part._forward_pre_hooks for part in supernet.modules())
