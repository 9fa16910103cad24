"""Numbers that candidates rectify, by hand and as hooks of whole networks see them."""

import pytest
import torch
from torch import nn

from raynas.nets.operations import Downsample, Identity, MBConv, Shuffle
from raynas.nets.relu_inputs import relu_inputs
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace

SPACE = SearchSpace(
    name="rectifying",
    stem=ConvStem(4, 1),
    blocks=(
        ChoiceBlock((Downsample(), MBConv(3, 2), MBConv(5, 3, "relu")), 4, 6, 2),
        ChoiceBlock((Shuffle(3), MBConv(3, 2), Identity()), 6, 6, 1),
    ),
    head=PooledHead(8),
    resolution=9,
)


def test_counts_are_those_of_the_expanded_features_before_and_after_the_depthwise_part() -> None:
    first, second = relu_inputs(SPACE, 9, 3)

    # 9 pixels a side before the stride, 5 after it; widths 2 x 4 and 3 x 4
    assert first == (0, 8 * 81 + 8 * 25, 12 * 81 + 12 * 25)
    # the branch of a shuffle block has 3 channels before and 3 after its depthwise part
    assert second == (3 * 25 + 3 * 25, 2 * 12 * 25, 0)


@pytest.mark.parametrize("choices", [(0, 0), (1, 1), (2, 2)])
def test_a_network_rectifies_what_its_layers_add_up_to(choices: tuple[int, ...]) -> None:
    network = subnet(SPACE, Architecture(choices), 3, 10).eval()
    seen: list[int] = []
    for part in list(network.children())[1:-1]:  # neither stem nor head
        for each in part.modules():
            if isinstance(each, nn.ReLU | nn.ReLU6):
                each.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel()))
    network(torch.zeros(1, 3, 9, 9))

    rows = relu_inputs(SPACE, 9, 3)
    assert sum(seen) == sum(row[at] for row, at in zip(rows, choices, strict=True))
