"""Networks of cells: what they compute, what each part receives, and what they leave alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from raynas.export.parts import parts_of
from raynas.nets.cell_operations import FactorizedReduction
from raynas.nets.cells import Cell, Preprocessing, dropped
from raynas.nets.initialisation import initialise_
from raynas.nets.proxies import PROXIES
from raynas.nets.stems_heads import TwoStateStem
from raynas.nets.subnet import subnet
from tests.builders import build_images, shipped_cells, shipped_costs

SPACE = shipped_cells()
GENOTYPE = (
    "normal: sep3(0) skip_connect(1) | dil3(1) maxpool3(2) | sep5(2) avgpool3(3) | "
    "dil5(0) sep3(4); reduction: maxpool3(0) sep3(1) | skip_connect(0) dil3(2) | "
    "skip_connect(1) skip_connect(3) | avgpool3(0) sep3(0)"
)
LAST_ALONE = (
    "normal: sep3(1) skip_connect(1) | sep3(1) sep3(2) | sep3(2) dil3(3) | sep3(1) dil3(4); "
    "reduction: sep3(1) skip_connect(1) | sep3(1) sep3(2) | sep3(2) dil3(3) | sep3(1) dil3(4)"
)


def network_of(text: str, side_channels: int = 3) -> nn.Sequential:
    """Return the network of a genotype, with weights of a seed."""
    network = subnet(SPACE, SPACE.parse(text), side_channels, 5)
    initialise_(network, "gaussian", 0)
    return network


def test_a_cell_computes_what_its_genotype_says() -> None:
    place = SPACE.layout[1]  # a reduction after the first cell
    cell = Cell(place, SPACE.chosen(SPACE.parse(GENOTYPE), reduction=True)).eval()
    before, last = build_images(2, place.before, 8), build_images(2, place.last, 8)
    parts = dict(cell.named_children())
    a, b = parts["preprocessing"]((before, last))
    c = parts["node0_maxpool3_of0"](a) + parts["node0_sep3_of1"](b)
    d = parts["node1_skip_connect_of0"](a) + parts["node1_dil3_of2"](c)
    e = parts["node2_skip_connect_of1"](b) + parts["node2_skip_connect_of3"](d)
    f = parts["node3_avgpool3_of0"](a) + parts["node3_sep3_of0"](a)
    passed_on, output = cell((before, last))

    assert torch.equal(passed_on, last)
    assert torch.equal(output, torch.cat([c, d, e, f], dim=1))
    assert output.shape == (2, 4 * place.channels, 4, 4)


def test_only_what_reads_a_state_in_a_reduction_cell_has_a_stride() -> None:
    place = SPACE.layout[1]
    cell = Cell(place, SPACE.chosen(SPACE.parse(GENOTYPE), reduction=True))
    strides = {
        name: {part.stride for part in module.modules() if hasattr(part, "stride")}
        for name, module in cell.named_children()
    }

    assert strides["node0_maxpool3_of0"] == {2}
    assert isinstance(cell.node1_skip_connect_of0, FactorizedReduction)
    assert strides["node1_dil3_of2"] == {(1, 1)}
    assert isinstance(cell.node2_skip_connect_of3, nn.Identity)


def test_after_a_reduction_the_larger_state_is_brought_to_the_size_of_the_smaller() -> None:
    place = SPACE.layout[2]
    before, last = build_images(2, place.before, 7), build_images(2, place.last, 4)
    first, second = Preprocessing(place)((before, last))

    assert place.follows_reduction
    assert first.shape == second.shape == (2, place.channels, 4, 4)


@pytest.mark.parametrize(("side", "larger", "smaller"), [(64, 16, 8), (37, 10, 5)])
def test_a_stem_of_two_states_makes_maps_of_a_quarter_and_an_eighth_for_the_first_cell(
    side: int, larger: int, smaller: int
) -> None:
    space = replace(SPACE, stem=TwoStateStem(8))
    network, images = subnet(space, space.parse(GENOTYPE), 3, 5), build_images(2, 3, side)
    before, last = network[0](images)
    first, second = network[1]((before, last))

    assert before.shape == (2, 8, larger, larger)
    assert last.shape == (2, 8, smaller, smaller)
    assert (before < 0).any()  # no activation works in place on what a cell reads
    assert isinstance(network[1].preprocessing.before, FactorizedReduction)
    assert torch.equal(first, last)
    assert second.shape == (2, 4 * space.channels, smaller, smaller)
    network(images).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("side", [8, 13, 28])
def test_a_network_classifies_images_of_any_side_and_all_of_it_learns(side: int) -> None:
    network = network_of(GENOTYPE)
    network(build_images(2, 3, side)).square().sum().backward()

    assert network(build_images(2, 3, side)).shape == (2, 5)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("is_compiled", [False, True])
def test_drop_path_drops_whole_images_of_operations_and_keeps_the_mean(is_compiled: bool) -> None:
    x = torch.ones(4000, 2, 3, 3)
    compute = torch.compile(dropped, backend="eager") if is_compiled else dropped
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        y = compute(x, 0.25)
    shares = y.flatten(1)

    assert {round(value, 4) for value in shares.unique().tolist()} == {0.0, round(4 / 3, 4)}
    assert torch.equal(shares.min(dim=1).values, shares.max(dim=1).values)
    assert float(y.mean()) == pytest.approx(1, abs=0.03)


def test_drop_path_is_not_compiled_anew_for_each_probability() -> None:
    nodes = SPACE.chosen(SPACE.parse(GENOTYPE), reduction=False)
    cell, graphs = Cell(SPACE.layout[0], nodes), list[int]()
    states = build_images(2, 24), build_images(2, 24)

    def note(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(len(inputs))
        return graph

    compute = torch.compile(cell, backend=note)
    for probability in (0.0, 0.1, 0.2, 0.3, 0.4):
        cell.drop_path = probability
        compute(states)

    assert len(graphs) == 2  # without drop path, and with it


def test_drop_path_leaves_identities_and_networks_that_are_not_trained_alone() -> None:
    place = SPACE.layout[0]
    text = "normal: {0} | {0} | {0} | {0}; reduction: {0} | {0} | {0} | {0}"
    for pair, is_dropped in (("sep3(0) sep3(1)", True), ("skip_connect(0) skip_connect(1)", False)):
        cell = Cell(place, SPACE.chosen(SPACE.parse(text.format(pair)), reduction=False))
        states = build_images(8, 24), build_images(8, 24)
        usual, cell.drop_path = (cell(states)[1], cell.eval()(states)[1]), 0.9
        assert torch.equal(cell(states)[1], usual[1])
        assert torch.equal(cell.train()(states)[1], usual[0]) != is_dropped


def test_dropout_of_the_head_has_the_probability_that_is_asked_for() -> None:
    network = subnet(SPACE, SPACE.parse(GENOTYPE), 3, 5, dropout=0.3)

    assert [part.p for part in network.modules() if isinstance(part, nn.Dropout)] == [0.3]


def test_parts_are_named_by_cells_and_cost_what_the_whole_costs() -> None:
    architecture = SPACE.parse(GENOTYPE)
    network = subnet(SPACE, architecture, 1, 10)
    parts = parts_of(network, SPACE, architecture, (1, 8, 8))
    whole = shipped_costs("darts_cells_small").of(architecture)

    assert [part.name for part in parts] == [
        "stem",
        "cell00_normal",
        "cell01_reduction",
        "cell02_normal",
        "cell03_reduction",
        "cell04_normal",
        "head",
    ]
    assert [part.leaving for part in parts[:3]] == [(24, 8, 8), (32, 8, 8), (64, 4, 4)]
    assert parts[2].arriving == (32, 8, 8)
    assert sum(part.cost.macs for part in parts) == whole.macs
    assert sum(part.cost.params for part in parts) == whole.params


@pytest.mark.parametrize("proxy", sorted(PROXIES))
def test_zero_cost_scores_are_finite_also_where_a_state_is_read_by_nobody(proxy: str) -> None:
    """The weights of its preprocessing have no gradient then."""
    network, images = network_of(LAST_ALONE), build_images(8, 3, 8)
    score = PROXIES[proxy](network, images, torch.arange(8) % 5)

    assert torch.tensor(score).isfinite()


def test_more_cells_of_more_nodes_are_one_number_each() -> None:
    space = replace(SPACE, cells=8, nodes=2)
    network = subnet(space, space.parse("3-5-0-9"), 1, 10)

    assert len(network) == 8 + 2
    assert network(build_images(2, 1, 8)).shape == (2, 10)
