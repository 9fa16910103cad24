"""Networks begun from a member of their space: what is inherited, changed and new."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.inheritance import inherit_, inherit_supernet_
from raynas.nets.operations import Downsample, Identity, MBConv
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from tests.builders import build_images, build_space, build_supernet, settled

CANDIDATES = (MBConv(3, 2), MBConv(5, 2), MBConv(3, 4), MBConv(5, 4))
SPACE = build_space("RNNRN", CANDIDATES, identity=True)
K3E2, K5E2, K3E4, K5E4, SKIP = range(5)
MEMBER = Architecture((K3E2, K3E2, SKIP, K5E2, K3E4))


def network_of(
    architecture: Architecture = MEMBER,
    seed: int = 0,
    space: SearchSpace = SPACE,
    channels: int = 3,
    classes: int = 3,
) -> nn.Sequential:
    network = settled(subnet(space, architecture, channels, classes), seed)
    assert isinstance(network, nn.Sequential)
    return network


def parameters_of(network: nn.Module, *prefixes: str) -> set[str]:
    return {name for name, _ in network.named_parameters() if name.startswith(prefixes)}


def assert_same(network: nn.Module, other: nn.Module) -> None:
    images = build_images()
    torch.testing.assert_close(network(images), other(images), rtol=1e-5, atol=1e-5)


def test_the_source_itself_is_inherited_whole_and_to_the_bit() -> None:
    network, source = network_of(seed=1), network_of()
    inheritance = inherit_(network, source)
    values = source.state_dict()

    assert inheritance.changed == ()
    assert inheritance.names == parameters_of(network, "")
    assert all(torch.equal(values[name], v) for name, v in network.state_dict().items())


def test_a_network_that_is_larger_everywhere_gives_what_the_source_gives() -> None:
    network = network_of(Architecture((K5E4, K5E4, K3E4, K5E4, K5E4)), seed=1)
    source = network_of()
    inheritance = inherit_(network, source)

    assert inheritance.changed == (0, 1, 2, 3, 4)
    assert parameters_of(network, "3.").isdisjoint(inheritance.names)  # the layer that is new
    assert inheritance.names == parameters_of(network, "") - parameters_of(network, "3.")
    assert_same(network, source)


def test_a_layer_that_is_new_begins_with_the_weights_of_the_block_before_it() -> None:
    network = network_of(Architecture((K3E2, K3E2, K3E2, K5E2, K3E4)), seed=1)
    source = network_of()
    inherit_(network, source)
    new, before = network[3].state_dict(), source[2].state_dict()

    assert [name for name in new if not torch.equal(new[name], before[name])] == [
        "branch.7.weight",
        "branch.7.bias",
    ]


def test_a_new_layer_behind_blocks_of_other_shapes_keeps_its_own_weights() -> None:
    source = network_of(Architecture((K3E2, SKIP, SKIP, K5E2, SKIP)))
    network = network_of(Architecture((K3E2, K3E2, SKIP, K5E2, SKIP)), seed=1)
    own = network[2].branch[0].weight.clone()
    inherit_(network, source)

    assert torch.equal(network[2].branch[0].weight, own)
    assert_same(network, source)


def test_a_skipped_layer_and_a_smaller_one_are_changed_and_the_others_are_not() -> None:
    source = network_of()
    network = network_of(Architecture((K3E2, SKIP, SKIP, K5E2, K3E2)), seed=1)
    inheritance = inherit_(network, source)

    assert inheritance.changed == (1, 4)
    assert inheritance.names == parameters_of(network, "")


def test_the_classifier_of_other_classes_is_new_and_keeps_its_own_weights() -> None:
    network, source = network_of(seed=1, classes=7), network_of()
    own = network[-1][-1].weight.clone()
    inheritance = inherit_(network, source)

    assert torch.equal(network[-1][-1].weight, own)
    assert parameters_of(network, "") - inheritance.names == {"6.6.weight", "6.6.bias"}
    images = build_images()
    features, wanted = network[:-1](images), source[:-1](images)
    assert torch.equal(network[-1][:-1](features), source[-1][:-1](wanted))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_equal_channels_of_any_number_give_what_equal_colours_gave(channels: int) -> None:
    network, source = network_of(seed=1, channels=channels), network_of()
    inheritance = inherit_(network, source)
    grey = build_images(channels=1)

    wanted = source(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(network(grey.expand(-1, channels, -1, -1)), wanted)
    assert "0.0.weight" in inheritance.names


def test_a_layer_that_cannot_be_remapped_keeps_its_own_weights_and_is_not_inherited() -> None:
    space = build_space("RN", (MBConv(3, 2), Downsample()))
    network = network_of(Architecture((1, 0)), 1, space)
    own = network[1][0].weight.clone()
    inheritance = inherit_(network, network_of(Architecture((0, 0)), 0, space))

    assert inheritance.changed == (0,)
    assert torch.equal(network[1][0].weight, own)
    assert parameters_of(network, "1.").isdisjoint(inheritance.names)


@pytest.mark.parametrize("indicator", ["path", "none"])
def test_the_path_of_the_source_gives_what_the_source_gives_by_the_batchs_statistics(
    indicator: str,
) -> None:
    supernet = build_supernet(SPACE, indicator)
    source = network_of(Architecture((K3E2, K3E4, K3E2, K5E2, K3E4)))
    inherit_supernet_(supernet, source)
    images = build_images()
    source.train()

    for path in ((K3E2, K3E4, K3E2, K5E2, K3E4), (K5E4, K5E4, K5E4, K5E4, K5E4)):
        y = supernet(images, Architecture(path))
        torch.testing.assert_close(y, source(images), rtol=1e-4, atol=1e-4)


def test_candidates_of_layers_that_the_source_skips_begin_as_identities() -> None:
    supernet = build_supernet(SPACE, "path")
    inherit_supernet_(supernet, network_of())
    x = build_images(4, SPACE.blocks[2].in_channels)

    assert all(torch.equal(supernet.candidate(2, choice)(x), x) for choice in range(4))


def test_networks_of_another_space_are_refused_by_what_differs() -> None:
    source = network_of()
    other = build_space("RN", CANDIDATES, identity=True)
    with pytest.raises(UserError, match="got a source of 5 layers for a network of 2"):
        inherit_(network_of(Architecture((0, 0)), space=other), source)
    with pytest.raises(UserError, match="got a source of 5 layers for a network of 2"):
        inherit_supernet_(build_supernet(other), source)

    wider = replace(SPACE, head=replace(SPACE.head, width=9))
    with pytest.raises(UserError, match=r"\(6, 8, 1, 1\) for 0.weight of the head, wanted \(9, 8"):
        inherit_(network_of(space=wider), source)


def test_an_identity_operation_is_what_a_skipped_layer_is() -> None:
    assert isinstance(network_of()[3], nn.Identity)
    assert SPACE.blocks[2].candidates[SKIP] == Identity()
