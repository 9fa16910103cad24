"""How much of a network's features each candidate loses."""

import numpy as np
import pytest
import torch

from raynas.nets.feature_errors import feature_errors
from raynas.nets.operations import MBConv
from raynas.spaces.architecture import Architecture
from tests.builders import build_space
from tests.nets.test_inheritance import network_of
from tests.nets.test_refitting import E3, E6, IMAGES, K5, SKIP, SPACE, source_of_digits


def test_an_error_is_the_share_of_the_features_variance_that_is_lost() -> None:
    source = source_of_digits().requires_grad_(requires_grad=False)
    errors = feature_errors(SPACE, source, IMAGES)
    x = source[:2](IMAGES[3::4])
    y = source[2](x)
    varying = y - y.mean((0, 2, 3), keepdim=True)

    assert [len(row) for row in errors] == [block.size for block in SPACE.blocks]
    lost = (x - y).square().mean() / varying.square().mean()
    assert errors[1][SKIP] == pytest.approx(float(lost), rel=1e-4)


def test_the_own_candidate_loses_nothing_and_a_narrower_one_more_than_one_of_another_kernel() -> (
    None
):
    errors = feature_errors(SPACE, source_of_digits(), IMAGES)

    for layer in (0, 1, 3, 4):
        assert errors[layer][E6] == 0.0
        assert errors[layer][K5] < 0.1 * errors[layer][E3]
        assert errors[layer][E3] < 1.0
    assert errors[2].tolist() == [0.0] * 4  # the source skips it: others add nothing at first


def test_images_of_one_channel_meet_the_source_s_stem_summed_over_colours() -> None:
    source = source_of_digits()
    grey = IMAGES[:, :1]
    found = feature_errors(SPACE, source, grey.expand(-1, 3, -1, -1))

    for row, other in zip(feature_errors(SPACE, source, grey), found, strict=True):
        np.testing.assert_allclose(row, other, rtol=1e-3, atol=1e-6)


def test_a_candidate_that_cannot_be_fitted_is_never_taken() -> None:
    space = build_space("RN", (MBConv(3, 6), MBConv(3, 3)), identity=True)
    source = network_of(Architecture((0, 0)), space=space)
    other = build_space("RN", (MBConv(3, 6), _Plain()), identity=True)
    errors = feature_errors(other, source, IMAGES)

    assert [row[1] for row in errors] == [np.inf, np.inf]


def test_neither_the_source_nor_anybody_s_random_numbers_change() -> None:
    source = source_of_digits()
    before = {name: value.clone() for name, value in source.state_dict().items()}
    state = torch.random.get_rng_state()
    first = feature_errors(SPACE, source, IMAGES)
    again = feature_errors(SPACE, source, IMAGES)

    assert all(torch.equal(before[name], v) for name, v in source.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert [row.tolist() for row in first] == [row.tolist() for row in again]


class _Plain:
    """A convolution and a batch norm, which no inverted residual's weights fit."""

    name = "plain"

    def build(self, in_channels: int, out_channels: int, stride: int) -> torch.nn.Module:
        conv = torch.nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        return torch.nn.Sequential(conv, torch.nn.BatchNorm2d(out_channels))

    def __hash__(self) -> int:
        return hash(self.name)
