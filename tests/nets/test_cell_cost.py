"""What cells cost: published figures to the digit, and sums against whole networks."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Cost
from raynas.errors import UserError
from raynas.nets.cost import cost_table, map_sides, module_cost
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from tests.builders import MOBILE, shipped_cells, shipped_costs

SMALL = shipped_cells()
P_DARTS = (
    "normal: skip_connect(0) dil3(1) | skip_connect(0) sep3(1) | sep3(1) sep3(3) | sep3(0) dil5(4);"
    "reduction: avgpool3(0) sep5(1) | sep3(0) dil5(2) | maxpool3(0) dil3(1) | dil3(1) dil5(3)"
)


@pytest.mark.parametrize(
    ("genotype", "macs", "params"),
    [
        # 3.3M parameters in DARTS (arXiv 1806.09055, table 1), whose train.py prints "param size =
        # 3.349342MB"; MACs: torch's counter here
        ("DARTS_V2", 528_359_040, 3_349_342),
        # 3.4M parameters in the paper (arXiv 2006.16537)
        ("PR_DARTS", 529_769_088, 3_444_814),
        # "PDARTS Auxiliary=False #Parameters = 3433798": chenxin061/pdarts, issue 7
        (P_DARTS, 532_174_464, 3_433_798),
    ],
    ids=["darts_v2", "pr_darts", "p_darts"],
)
def test_published_genotypes_cost_what_is_published_of_them(
    genotype: str, macs: int, params: int
) -> None:
    """Without the auxiliary head, 36 channels and 20 cells, on CIFAR-10."""
    architecture = shipped_cells("darts_cells").parse(genotype)

    assert shipped_costs("darts_cells").of(architecture) == Cost(macs, params)


def test_the_published_genotype_costs_what_is_published_on_imagenet() -> None:
    """4.7M parameters and 574M additions and multiplications in DARTS (table 2).

    Without the auxiliary head; MACs: torch's counter here.
    """
    name = "darts_cells_imagenet"
    architecture = shipped_cells(name).parse("DARTS_V2")

    assert shipped_costs(name).of(architecture) == Cost(529_911_552, 4_718_752)


@pytest.mark.slow
@given(
    st.tuples(*(st.integers(0, block.size - 1) for block in SMALL.blocks)).map(Architecture),
    st.sampled_from([(8, 1, 10), (13, 3, 4)]),
)
def test_costs_of_nodes_add_up_to_those_of_the_whole_network(
    architecture: Architecture, task: tuple[int, int, int]
) -> None:
    side, channels, classes = task
    with torch.device("meta"):
        network = subnet(SMALL, architecture, channels, classes)
        whole = module_cost(network, torch.empty(1, channels, side, side))

    assert cost_table(SMALL, side, channels, classes).of(architecture) == whole


def test_what_has_no_weights_costs_nothing() -> None:
    costs = shipped_costs("darts_cells_small")
    free = SMALL.parse(
        "normal: skip_connect(0) skip_connect(1) | avgpool3(0) maxpool3(1) | skip_connect(0) "
        "maxpool3(2) | avgpool3(3) maxpool3(4); reduction: avgpool3(0) maxpool3(1) | "
        "skip_connect(2) avgpool3(0) | maxpool3(0) maxpool3(1) | avgpool3(2) avgpool3(3)"
    )

    assert costs.of(free) == costs.fixed == costs.smallest


def test_cells_receive_maps_of_the_sides_that_are_told() -> None:
    architecture, seen = Architecture((0,) * 8), list[int]()
    network = subnet(SMALL, architecture, 1, 10)
    for cell in network[1:-1]:
        cell.register_forward_pre_hook(lambda _, args: seen.append(args[0][1].shape[-1]))
    network(torch.rand(2, 1, 13, 13))

    assert map_sides(SMALL, 13, 1) == seen == [13, 13, 7, 7, 4]
    assert map_sides(shipped_cells("darts_cells_imagenet"), 224, 3)[::4] == [28, 28, 14, 7]


def test_an_operation_that_leaves_other_maps_than_a_cell_wants_is_named() -> None:
    space = replace(SMALL, operations=(*SMALL.operations, Shrinking()))

    with pytest.raises(UserError, match=r"operation shrinking maps \(8, 8, 8\) at stride 1 to"):
        cost_table(space, 8, 1, 10)


class Shrinking:
    """Forgets to pad."""

    name = "shrinking"

    def build(self, in_channels: int, out_channels: int, stride: int) -> torch.nn.Module:
        """Return a convolution without padding."""
        return torch.nn.Conv2d(in_channels, out_channels, 3, stride)


def test_operations_of_layers_may_stand_in_cells_too() -> None:
    space = replace(SMALL, operations=(*SMALL.operations, MOBILE[0]))
    (name,) = {MOBILE[0].name}
    text = "normal: {0} | {0} | {0} | {0}; reduction: {0} | {0} | {0} | {0}"
    architecture = space.parse(text.format(f"{name}(0) {name}(1)"))

    assert subnet(space, architecture, 1, 10)(torch.rand(2, 1, 8, 8)).shape == (2, 10)
