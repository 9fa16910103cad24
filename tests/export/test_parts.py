"""The parts of a subnet add up to it."""

import pytest
import torch

from raynas.export.parts import parts_of, show_shape
from raynas.nets.cost import cost_table
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from tests.builders import build_images, shipped_space


@pytest.fixture(scope="module")
def chosen() -> Architecture:
    """Return an architecture with identities."""
    return shipped_space("small_mobile", identity=True).parse("0-4-2-3-1-4")


def test_parts_are_named_by_layer_and_operation_and_cost_what_the_whole_costs(
    chosen: Architecture,
) -> None:
    space = shipped_space("small_mobile", identity=True)
    parts = parts_of(subnet(space, chosen, 3, 10), space, chosen, (3, 16, 16))
    whole = cost_table(space, 16, 3, 10).of(chosen)

    assert [part.name for part in parts] == [
        "stem",
        "layer00_k3e2",
        "layer01_identity",
        "layer02_k5e2",
        "layer03_k5e4",
        "layer04_k3e4",
        "layer05_identity",
        "head",
    ]
    assert sum(part.cost.macs for part in parts) == whole.macs
    assert sum(part.cost.params for part in parts) == whole.params


def test_shapes_are_those_that_images_take_on_their_way(chosen: Architecture) -> None:
    space = shipped_space("small_mobile", identity=True)
    network = subnet(space, chosen, 3, 10).eval()
    parts = parts_of(network, space, chosen, (3, 16, 16))
    x = build_images(2, 3, 16)
    with torch.no_grad():
        for part in parts:
            assert tuple(x.shape[1:]) == part.arriving
            x = part.module(x)
            assert tuple(x.shape[1:]) == part.leaving

    assert show_shape(parts[0].leaving) == "16 x 16 x 16"
