"""The stand-alone network of one architecture."""

import pytest
import torch
from torch import nn

from raynas.nets.operations import MBConv
from raynas.nets.subnet import subnet
from raynas.nets.supernet import batch_norms
from raynas.spaces.architecture import Architecture
from tests.builders import build_images, build_space


def test_a_subnet_is_the_stem_the_chosen_candidates_and_the_head() -> None:
    space = build_space("RNRN", identity=True)
    network = subnet(space, Architecture((2, 3, 0, 1)), 3, 5)
    kernels = [
        part.kernel_size[0]
        for part in network[1:-1].modules()
        if isinstance(part, nn.Conv2d) and part.groups > 1
    ]

    assert len(network) == 6
    assert kernels == [3, 3, 5]  # candidates k3e2, k3e1 and k5e1 beside the identity
    assert network(build_images()).shape == (4, 5)


def test_a_chosen_identity_is_a_plain_identity_without_a_batch_norm() -> None:
    space = build_space("RN", identity=True)
    network = subnet(space, Architecture((0, 3)), 3, 3)

    assert isinstance(network[2], nn.Identity)


def test_batch_norms_of_a_subnet_keep_running_statistics_and_all_weights_learn() -> None:
    network = subnet(build_space("RN"), Architecture((0, 1)), 3, 3)

    assert all(norm.track_running_stats for norm in batch_norms(network))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_two_subnets_share_no_weights() -> None:
    space = build_space("RN")
    first, second = (subnet(space, Architecture((0, 1)), 3, 3) for _ in range(2))

    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_is_the_heads_alone(dropout: float) -> None:
    network = subnet(build_space("RN"), Architecture((0, 1)), 3, 3, dropout)
    found = [part for part in network.modules() if isinstance(part, nn.Dropout)]

    assert [part.p for part in found] == [dropout]
    assert found[0] in list(network[-1].modules())
    images = build_images()
    assert torch.equal(network.eval()(images), network.eval()(images))


@pytest.mark.parametrize("choices", [(0,), (0, 0, 0)])
def test_an_architecture_of_another_depth_makes_no_network(choices: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="zip"):
        subnet(build_space("RN"), Architecture(choices), 3, 3)


def test_images_of_other_channels_and_classes_are_taken() -> None:
    network = subnet(build_space("RN", (MBConv(3, 1),)), Architecture((0, 0)), 1, 7)

    assert network(build_images(2, 1)).shape == (2, 7)
