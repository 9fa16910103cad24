from typing import Any

import pytest

from raynas.errors import UserError
from raynas.nets.kinds import CELLS, CHAIN, kind_of
from raynas.nets.subnet import subnet
from raynas.spaces.loading import SPACES, load_space, names_in


@pytest.mark.parametrize("name", names_in(SPACES))
def test_a_network_has_a_part_for_each_operation_that_its_space_names(name: str) -> None:
    space = load_space(name, SPACES)
    first = space.check([0] * len(space.blocks))
    network = subnet(space, first, space.in_channels, space.num_classes)
    sides = kind_of(space).sides(space, space.resolution, space.in_channels)

    assert len(network) == len(space.part_operations(first)) + 2  # stem and head
    assert len(sides) == len(space.part_operations(first))
    assert space.part in space.shape_text


@pytest.mark.parametrize(("name", "kind"), [("small_mobile", CHAIN), ("darts_cells_small", CELLS)])
def test_only_cells_have_genotypes(name: str, kind: Any) -> None:
    space = load_space(name, SPACES)
    text = space.genotype_text(space.check([0] * len(space.blocks)))

    assert kind_of(space) is kind
    assert (text is not None) == (kind is CELLS)
    assert text is None or str(space.parse(text)) == "-".join(["0"] * len(space.blocks))


def test_a_space_of_no_known_kind_is_refused() -> None:
    space: Any = type("Other", (), {"name": "other"})()

    with pytest.raises(UserError, match="a network: it needs a space"):
        kind_of(space)
