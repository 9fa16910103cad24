"""The MnasNet space holds published networks, with their parameters to the digit."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest

from raynas.spaces.architecture import Architecture
from tests.builders import SHARED_DATA, shipped_costs, shipped_space

LITE0 = ((1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 3), (6, 5, 3), (6, 5, 4), (6, 3, 1))


def member(stages: Sequence[Sequence[int]]) -> Architecture:
    """Return the network of stages, each an expansion, a kernel and a number of layers."""
    space, seen, choices = shipped_space("mnasnet"), Counter[int](), []
    for block, stage in zip(space.blocks, space.stages, strict=True):
        expansion, kernel, layers = stages[stage]
        is_there = seen[stage] < layers
        names = [candidate.name for candidate in block.candidates]
        choices.append(names.index(f"k{kernel}e{expansion}" if is_there else "identity"))
        seen[stage] += 1
    return space.check(choices)


def test_a_stage_s_first_layer_has_no_identity_and_the_others_have_it_last() -> None:
    space = shipped_space("mnasnet")
    expected = ["k3e1", "k3e4", "k3e6", "k5e1", "k5e4", "k5e6"]

    assert [space.stages.count(stage) for stage in range(7)] == [3, 3, 3, 3, 3, 4, 3]
    for layer, block in enumerate(space.blocks):
        is_first = layer == 0 or space.stages[layer] != space.stages[layer - 1]
        names = [candidate.name for candidate in block.candidates]
        assert names == (expected if is_first else [*expected, "identity"])
    assert shipped_space("mnasnet", identity=True) == space


def test_efficientnet_lite0_s_layers_are_a_member_with_its_4_652_008_parameters() -> None:
    """EfficientNet-Lite's code prints 4.7M."""
    space = shipped_space("mnasnet")

    assert member(LITE0) == space.parse("EFFICIENTNET_LITE0")
    assert shipped_costs("mnasnet").of(member(LITE0)).params == 4_652_008


def test_accel_nasbench_s_networks_without_squeeze_excitation_have_their_parameters() -> None:
    file = SHARED_DATA / "accel_nasbench" / "development.json"
    if not file.is_file():
        pytest.skip("no ../shared/data/accel_nasbench: the data is not beside this checkout")
    rows = [row for row in json.loads(file.read_text()) if not any(row["se"])]
    costs = shipped_costs("mnasnet")
    counted = [costs.of(member(row["stages"])).params for row in rows]

    assert len(rows) == 709
    assert counted == [round(row["params_m"] * 1e6) for row in rows]
