"""The second classifier of a network of cells."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.nets.auxiliary import refuse_small_maps, with_auxiliary
from raynas.nets.cells import Cell
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from tests.builders import build_images, shipped_cells

SPACE = shipped_cells()
FIRST = Architecture([0] * 8)


def parts_of(side: int, space: CellSpace = SPACE) -> list[nn.Module]:
    """Return the parts of a head that reads maps of that side."""
    network = subnet(space, Architecture([0] * space.num_layers), 3, 5)
    head = with_auxiliary(network, space, 4 * side, 3, 5).head
    assert head(torch.zeros(2, space.out_channels, side, side)).shape == (2, 5)
    return list(head)


def words_of(head: list[nn.Module]) -> list[str]:
    return [type(part).__name__ for part in head]


def test_the_heads_are_the_published_ones_of_cifar_and_of_imagenet() -> None:
    cifar, imagenet = parts_of(8), parts_of(7)
    shared = ["ReLU", "AvgPool2d", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    end = ["ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"]

    assert words_of(cifar) == [*shared, "BatchNorm2d", *end]
    assert words_of(imagenet) == [*shared, *end]
    for head, stride in ((cifar, 3), (imagenet, 2)):
        pool, first, second = head[1], head[2], head[5]
        assert isinstance(pool, nn.AvgPool2d)
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.Conv2d)
        assert (pool.kernel_size, pool.stride, pool.padding) == (5, stride, 0)
        assert not pool.count_include_pad
        assert (first.in_channels, first.out_channels, first.kernel_size) == (128, 128, (1, 1))
        assert (second.out_channels, second.kernel_size, second.bias) == (768, (2, 2), None)


def test_at_the_published_size_the_last_pooling_has_one_pixel_to_pool() -> None:
    """So the network is the published one, to the weight."""
    for side in (7, 8):
        before = nn.Sequential(*parts_of(side)[:-3])
        assert before(torch.zeros(2, SPACE.out_channels, side, side)).shape == (2, 768, 1, 1)


@pytest.mark.parametrize("side", [2, 3, 5, 6, 13, 20])
def test_maps_of_other_sizes_have_a_head_as_well(side: int) -> None:
    assert words_of(parts_of(side))[-1] == "Linear"


def test_maps_of_one_pixel_are_refused_in_a_sentence() -> None:
    refuse_small_maps(SPACE, 8, 1)
    with pytest.raises(UserError, match=r"--retrain.auxiliary .* one pixel, wanted 2 x 2"):
        refuse_small_maps(SPACE, 4, 1)


@pytest.mark.parametrize("cells", [3, 5])
def test_it_reads_the_second_reduction_cell_and_leaves_the_network_alone(cells: int) -> None:
    space = replace(SPACE, cells=cells)
    network = subnet(space, FIRST, 3, 5)
    both = with_auxiliary(network, space, 16, 3, 5)
    reductions = [
        part for part, place in zip(network[1:-1], space.layout, strict=True) if place.is_reduction
    ]
    seen: list[torch.Tensor] = []
    reductions[1].register_forward_hook(lambda *found: seen.append(found[2][1]))
    both.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = build_images(2, 3, 16)
    both.eval()
    logits, _ = both(images)

    assert isinstance(reductions[1], Cell)
    assert seen[0] is seen[1]
    assert torch.equal(logits, network(images))
    assert [id(each) for each in both.parameters()][: len(list(network.parameters()))] == [
        id(each) for each in network.parameters()
    ]
