"""Networks cut by one factor, or on smaller images: what they compute and what they cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raynas.costs.latency_table import Task
from raynas.nets.cost import cost_table, module_cost
from raynas.nets.inheritance import inherit_
from raynas.nets.narrow_networks import NarrowNetwork, narrow_networks, one_network
from raynas.nets.rivals import Rival
from raynas.nets.smaller_images import ScaledNetwork, SmallerImages, scaled_networks
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.training.new_network import Chosen, chosen_of
from tests.builders import build_generator, shipped_space
from tests.exported import LITE, crops, trained_network

TASK = Task(channels=3, resolution=48, num_classes=4)
SPACE = shipped_space("mobilenet_v3_small")
assert isinstance(SPACE, SearchSpace)
MEMBER = SPACE.parse("mobilenet_v3_small")
OF_LITE = Architecture((1, 3, 1, 1))  # expansions 4, some of which end in no multiple of 8


@pytest.mark.parametrize(("space", "member"), [(SPACE, MEMBER), (LITE, OF_LITE)])
def test_at_a_factor_of_one_it_is_the_network_itself_weights_and_outputs(
    space: SearchSpace, member: Architecture
) -> None:
    images = crops(4, TASK.resolution)
    whole = trained_network(space, member, images, TASK.num_classes)
    same = NarrowNetwork(member, 100).build(space, TASK).eval()
    inheritance = inherit_(same, whole)

    assert inheritance.changed == ()
    assert torch.equal(same(images), whole(images))
    costs = cost_table(space, TASK.resolution, 3, TASK.num_classes)
    assert NarrowNetwork(member, 100).cost(space, TASK) == costs.of(member)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 99), st.sampled_from([(SPACE, MEMBER), (LITE, OF_LITE)]))
def test_widths_inside_are_multiples_of_8_near_the_factor_and_nothing_else_differs(
    hundredths: int, of: tuple[SearchSpace, Architecture]
) -> None:
    space, member = of
    alone, _ = NarrowNetwork(member, hundredths).alone(space)
    whole, _ = one_network(space, member)
    for narrow, own in zip(alone.blocks, whole.blocks, strict=True):
        widths = [_hidden(block.candidates[0], block.in_channels) for block in (narrow, own)]
        if own.in_channels == widths[1]:
            assert narrow == own
            continue
        assert widths[0] % 8 == 0 or widths[0] == widths[1]
        assert widths[0] != narrow.in_channels
        assert abs(widths[0] - hundredths / 100 * widths[1]) <= 16
        assert (narrow.in_channels, narrow.out_channels, narrow.stride) == (
            own.in_channels,
            own.out_channels,
            own.stride,
        )


def _hidden(operation: object, in_channels: int) -> int:
    if hasattr(operation, "expansion"):
        return int(operation.expansion) * in_channels
    return int(getattr(operation, "hidden", in_channels))


def test_costs_rise_from_each_to_the_next() -> None:
    narrow = [each.cost(SPACE, TASK).macs for each in narrow_networks(MEMBER)[::9]]
    scaled = [each.cost(SPACE, TASK).macs for each in scaled_networks(MEMBER, 80)]

    assert narrow == sorted(narrow)
    assert scaled == sorted(set(scaled))
    assert [each.resolution for each in scaled_networks(MEMBER, 49)] == [32, 36, 40, 44, 48]


def test_on_smaller_images_it_computes_what_the_network_does_on_images_that_were_scaled() -> None:
    images = crops(4, TASK.resolution)
    scaled = ScaledNetwork(MEMBER, 32)
    network = scaled.build(SPACE, TASK).eval()
    smaller = nn.functional.interpolate(images, size=32, mode="bilinear", antialias=True)

    assert torch.equal(network(images), network[1](smaller))
    on_meta = network.to("meta")
    assert module_cost(on_meta, torch.empty(1, 3, 48, 48, device="meta")) == scaled.cost(
        SPACE, TASK
    )


def test_scaling_smooths_so_that_noise_does_not_become_texture() -> None:
    noise = torch.randn(4, 3, 64, 64, generator=build_generator())

    assert SmallerImages(16)(noise).std() < 0.4 * noise.std()


@pytest.mark.parametrize(
    "chosen",
    [
        MEMBER,
        ScaledNetwork(MEMBER, 96),
        NarrowNetwork(MEMBER, 7),
        NarrowNetwork(MEMBER, 100),
        Rival("mobilenet_v2", 0.35),
        Rival("timm/resnet10t", pretrained=True),
    ],
)
def test_which_network_is_trained_is_read_as_it_is_written(chosen: Chosen) -> None:
    assert chosen_of(str(chosen)) == chosen
