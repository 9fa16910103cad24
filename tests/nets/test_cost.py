"""Exact costs by counting on the meta device."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from raynas.costs.costs import Cost
from raynas.errors import UserError
from raynas.nets.cost import cost_table, module_cost
from raynas.nets.operations import Identity, MBConv, conv, depthwise
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from tests.builders import build_images, build_space


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (conv(4, 6), Cost(4 * 6 * 64, 24)),
        (conv(4, 6, 3), Cost(4 * 6 * 9 * 64, 216)),
        (conv(4, 6, 3, 2), Cost(4 * 6 * 9 * 16, 216)),
        (depthwise(4, 5), Cost(4 * 25 * 64, 100)),
        (nn.BatchNorm2d(4), Cost(0, 8)),
        (nn.ReLU6(), Cost(0, 0)),
        (nn.AdaptiveAvgPool2d(1), Cost(0, 0)),
        (nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), Cost(2560, 2570)),
    ],
)
def test_a_multiply_add_counts_one_and_norms_activations_and_pooling_count_none(
    module: nn.Module, expected: Cost
) -> None:
    assert module_cost(module, build_images(1, 4, 8)) == expected


def test_an_mbconv_costs_what_its_three_convolutions_cost() -> None:
    """Residual additions count none; parameters include the scales and shifts."""
    width, pixels = 3 * 4, 64
    macs = (4 * width + 25 * width + width * 4) * pixels
    params = 4 * width + 25 * width + width * 4 + 2 * (width + width + 4)

    assert module_cost(MBConv(5, 3).build(4, 4, 1), build_images(1, 4, 8)) == Cost(macs, params)


def test_an_identity_costs_nothing() -> None:
    space = build_space("RN", identity=True)
    table = cost_table(space, 8, 3, 3)

    assert (table.macs[1][3], table.params[1][3]) == (0, 0)
    assert min(table.macs[1][:3]) > 0


def test_costs_add_up_to_the_stand_alone_network_for_every_architecture() -> None:
    space = build_space("RN", identity=True)
    table = cost_table(space, 9, 2, 5)
    with torch.device("meta"):
        for choices in itertools.product(*(range(block.size) for block in space.blocks)):
            network = subnet(space, Architecture(choices), 2, 5)
            assert module_cost(network, torch.empty(1, 2, 9, 9)) == table.of(choices)


def test_only_stem_and_head_depend_on_image_channels_and_classes() -> None:
    space = build_space("RN")
    one, three = cost_table(space, 8, 1, 3), cost_table(space, 8, 3, 3)
    more = cost_table(space, 8, 3, 13)

    assert (one.macs, one.params) == (three.macs, three.params) == (more.macs, more.params)
    assert three.fixed.params - one.fixed.params == 2 * 9 * 4
    assert three.fixed.macs - one.fixed.macs == 2 * 9 * 4 * 64
    assert more.fixed.params - three.fixed.params == 10 * (6 + 1)
    assert more.fixed.macs - three.fixed.macs == 10 * 6


def test_macs_grow_with_the_pixels_and_parameters_do_not() -> None:
    space = build_space("RNN")
    small, large = cost_table(space, 8, 3, 3), cost_table(space, 16, 3, 3)

    assert large.params == small.params
    assert large.macs == tuple(tuple(4 * macs for macs in row) for row in small.macs)


def test_counting_builds_nothing_in_memory_and_leaves_the_default_device() -> None:
    built: list[torch.device] = []

    class Recording(Identity):
        def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
            built.append(torch.empty(1).device)
            return super().build(in_channels, out_channels, stride)

    cost_table(build_space("N").with_identity(Recording()), 8, 3, 3)

    assert {device.type for device in built} == {"meta"}
    assert torch.empty(1).device.type == "cpu"


@dataclass(frozen=True)
class Shapeless:
    """An operation that ignores the stride or the width that it was asked for."""

    widen: int
    name: str = "shapeless"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:  # noqa: ARG002
        """Build a convolution of stride 1."""
        return conv(in_channels, out_channels + self.widen)


@dataclass(frozen=True)
class Unpadded:
    """An operation that needs images of some pixels."""

    name: str = "unpadded"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Build a convolution of kernel 5 that pads nothing."""
        return nn.Conv2d(in_channels, out_channels, 5, stride)


def test_images_that_are_too_small_for_an_operation_are_refused_with_the_resolution() -> None:
    space = build_space("RN", (Unpadded(),))

    with pytest.raises(
        UserError, match="operation unpadded of layer 0 does not fit images of 4 x"
    ) as caught:
        cost_table(space, 4, 3, 3)
    assert "choose another --resolution" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "widen", "message"),
    [
        ("NR", 0, r"layer 1: operation shapeless maps to \(6, 8, 8\), wanted \(6, 4, 4\)"),
        ("NN", 1, r"layer 0: operation shapeless maps to \(5, 8, 8\), wanted \(4, 8, 8\)"),
    ],
)
def test_an_operation_of_the_wrong_shape_is_refused_by_its_name(
    layers: str, widen: int, message: str
) -> None:
    space = build_space(layers, (MBConv(3, 1), Shapeless(widen)))

    with pytest.raises(UserError, match=message):
        cost_table(space, 8, 3, 3)
