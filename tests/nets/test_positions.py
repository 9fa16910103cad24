"""Positions: height times width of what each batch norm scales, told without computing it."""

import pytest
import torch
from torch import nn

from raynas.nets.positions import norm_positions
from raynas.nets.supernet import LayerIndicator, batch_norms
from raynas.spaces.architecture import Architecture
from tests.builders import build_space, build_supernet, shipped_space


@pytest.mark.parametrize("reading", ["path", "parallel", "none"])
@pytest.mark.parametrize("side", [8, 9])
def test_positions_are_those_of_a_real_forward_pass(reading: LayerIndicator, side: int) -> None:
    space = build_space("RNRN", identity=reading != "none")
    supernet = build_supernet(space, reading)
    told = norm_positions(supernet, (3, side, side))
    seen: dict[nn.Module, int] = {}
    for norm in batch_norms(supernet):
        norm.register_forward_pre_hook(
            lambda norm, inputs: seen.__setitem__(norm, inputs[0].shape[2] * inputs[0].shape[3])
        )
    for choice in range(4):
        path = Architecture(min(choice, block.size - 1) for block in space.blocks)
        supernet(torch.zeros(2, 3, side, side), path)

    assert told == seen
    assert len(set(told.values())) > 2


@pytest.mark.slow
def test_a_large_space_is_told_without_memory_or_change() -> None:
    supernet = build_supernet(shipped_space("mobilenet_v2"), "none")
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    told = norm_positions(supernet, (3, 224, 224))

    assert max(told.values()) == 112 * 112
    assert min(told.values()) == 7 * 7
    assert set(told) == set(batch_norms(supernet))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
