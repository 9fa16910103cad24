"""Padding as TensorFlow's 'same': its rule, and that all that is done with networks knows it."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from raynas.nets.cost import cost_table, map_sides, module_cost
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.fused_conv_bn import FusedConvNorm
from raynas.nets.isometry import measure_supernet
from raynas.nets.operations import MBConv, conv, depthwise
from raynas.nets.padding import SameConv2d
from raynas.nets.subnet import subnet
from raynas.nets.supernet import batch_norms
from tests.builders import build_generator, build_images, build_supernet
from tests.exported import LITE

PATH = LITE.check((0, 3, 4, 1))
sides = pytest.mark.parametrize("side", [32, 33, 35])  # halved: even, odd, both


@pytest.mark.parametrize(
    ("side", "kernel", "before", "after"),
    [(224, 3, 0, 1), (225, 3, 1, 1), (112, 5, 1, 2), (7, 5, 2, 2), (2, 5, 1, 2), (1, 3, 1, 1)],
)
def test_same_puts_the_smaller_half_of_the_zeros_first(
    side: int, kernel: int, before: int, after: int
) -> None:
    layer = conv(1, 1, kernel, 2, "same")
    assert isinstance(layer, SameConv2d)
    (row,) = layer.pad(torch.ones(1, 1, side, side))[0, 0, kernel // 2].unsqueeze(0)

    assert row.tolist() == [0.0] * before + [1.0] * side + [0.0] * after


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    is_depthwise=st.booleans(),
)
def test_same_reads_what_tensorflow_s_documentation_says(
    height: int, width: int, kernel: int, stride: int, is_depthwise: bool
) -> None:
    """By its other formula: max(k - s, 0) zeros where s divides n, else max(k - n mod s, 0)."""
    layer = (
        depthwise(2, kernel, stride, "same") if is_depthwise else conv(2, 3, kernel, stride, "same")
    )
    x = torch.randn(1, 2, height, width, generator=build_generator())
    down, across = (max(kernel - (n % stride or stride), 0) for n in (height, width))
    pads = across // 2, across - across // 2, down // 2, down - down // 2
    y = layer(x)

    assert y.shape[2:] == (-(-height // stride), -(-width // stride))
    torch.testing.assert_close(
        y,
        functional.conv2d(functional.pad(x, pads), layer.weight, None, stride, groups=layer.groups),
    )


def test_where_both_paddings_are_one_the_layer_is_torch_s_own() -> None:
    assert type(conv(2, 2, 3, 1, "same")) is type(conv(2, 2, 1, 2, "same")) is nn.Conv2d


def test_paddings_draw_the_same_weights_under_the_same_names() -> None:
    def drawn(operation: MBConv) -> dict[str, torch.Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(0)
            return operation.build(4, 6, 2).state_dict()

    one, other = drawn(MBConv(5, 2)), drawn(MBConv(5, 2, padding="same"))

    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_padding_and_epsilon_reach_every_layer_of_a_network() -> None:
    network = subnet(LITE, PATH, 3, 3)
    convs = [part for part in network.modules() if isinstance(part, nn.Conv2d)]

    assert {norm.eps for norm in batch_norms(network)} == {1e-3}
    assert [type(part) is SameConv2d for part in convs] == [part.stride == (2, 2) for part in convs]


@sides
def test_costs_add_up_and_sides_are_halved_rounded_up(side: int) -> None:
    half = -(-side // 2)
    network = subnet(LITE, PATH, 3, 3)

    assert map_sides(LITE, side, 3) == [half, half, -(-half // 2), -(-half // 2)]
    assert cost_table(LITE, side, 3, 3).of(PATH) == module_cost(
        network, torch.empty(1, 3, side, side)
    )


@sides
def test_a_frozen_supernet_joins_such_convolutions_and_has_the_plain_one_s_gradients(
    side: int,
) -> None:
    plain = build_supernet(LITE).double().requires_grad_(False)
    fused = FrozenSupernet(copy.deepcopy(plain), "all_bn", train_classifier=False)
    images = build_images(4, 3, side, torch.float64)
    norms = [p for norm in batch_norms(plain) for p in (norm.weight, norm.bias)]
    for parameter in norms:
        parameter.requires_grad_()
    plain(images, PATH).square().sum().backward()
    wanted = [parameter.grad for parameter in norms if parameter.grad is not None]
    got = torch.autograd.grad(
        fused.supernet(images, PATH).square().sum(), fused.parameters_on(PATH)
    )
    joined = [part.conv for part in fused.supernet.modules() if isinstance(part, FusedConvNorm)]

    assert sum(isinstance(part, SameConv2d) for part in joined) == 1 + 2 * LITE.blocks[0].size
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_the_isometry_of_every_candidate_is_measured() -> None:
    measured = measure_supernet(build_supernet(LITE), seed=0, brief=True)

    assert len(measured) == sum(block.size for block in LITE.blocks)
    assert all(0 < isometry.phi < 10 for _, _, isometry in measured)
