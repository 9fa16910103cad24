"""The network of a differentiable search: what gates do to it, and what goes around operations."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from raynas.differentiable.mixed_network import (
    MixedCell,
    MixedOperation,
    Mixture,
    SearchNetwork,
    searched_in,
    shuffled,
)
from raynas.nets.cells import Cell
from raynas.nets.stems_heads import TwoStateStem
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace
from raynas.spaces.genotype import Genotype
from tests.builders import build_generator, build_images, shipped_cells
from tests.settings.published import DARTS, PCDARTS, PRDARTS

SPACE = shipped_cells()
SMALL = {"cells": 3, "channels": 8}
GENOTYPE = Genotype.parse(
    "normal: sep3(0) skip_connect(1) | dil3(1) maxpool3(2) | sep5(2) avgpool3(3) | "
    "dil5(1) sep3(1); reduction: maxpool3(0) sep3(1) | skip_connect(0) dil3(2) | "
    "skip_connect(1) skip_connect(3) | avgpool3(0) sep3(0)"
)


def gates_of(space: CellSpace, genotype: Genotype, *, reduction: bool) -> torch.Tensor:
    """Return 1 for the operations of a genotype, E x O."""
    names = [operation.name for operation in space.operations]
    gates = torch.zeros(len(space.edges), len(names))
    for number, node in enumerate(genotype.reduction if reduction else genotype.normal):
        for source, name in node:
            gates[space.edges.index((source, number)), names.index(name)] = 1
    return gates


def network_of(settings: DifferentiableSettings = PRDARTS, **changes: Any) -> SearchNetwork:
    """Return a small network in eval mode with weights of seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return SearchNetwork(SPACE, replace(settings, **SMALL | changes), 3, 5).eval()


def drawn(seed: int = 0) -> Mixture:
    """Return weights of all operations and edges of a cell."""
    generator = build_generator(seed)
    return Mixture(torch.rand(14, 8, generator=generator), torch.rand(14, generator=generator))


def operation_of(stride: int, settings: DifferentiableSettings = PRDARTS) -> MixedOperation:
    """Return the operations between two states of 8 channels."""
    return MixedOperation(SPACE, replace(settings, **SMALL), 8, stride).eval()


class TestOperations:
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("column", range(8))
    def test_a_hard_one_hot_gate_is_the_plain_operation(self, column: int, stride: int) -> None:
        mixed, x = operation_of(stride), build_images(2, 8, 7)
        weights = torch.eye(8)[column]

        assert torch.equal(mixed(x, weights, [column]), mixed.operations[column](x))

    @pytest.mark.parametrize("stride", [1, 2])
    def test_several_gates_are_the_weighed_sum(self, stride: int) -> None:
        mixed, x = operation_of(stride), build_images(2, 8, 7)
        weights = torch.rand(8, generator=build_generator())
        wanted = torch.stack([w * op(x) for w, op in zip(weights, mixed.operations, strict=True)])

        assert torch.allclose(mixed(x, weights, range(8)), wanted.sum(dim=0), atol=1e-6)

    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("settings", [PRDARTS, PCDARTS])
    def test_without_any_open_gate_what_goes_through_operations_is_zero(
        self, settings: DifferentiableSettings, stride: int
    ) -> None:
        mixed, x = operation_of(stride, settings), build_images(2, 8, 7)
        with_none = mixed(x, torch.eye(8)[0], [0])

        assert torch.equal(mixed(x, torch.zeros(8), []), with_none)
        assert with_none.shape == mixed(x, torch.eye(8)[2], [2]).shape

    def test_partial_channels_go_around_the_operations_and_are_shuffled(self) -> None:
        mixed, x = operation_of(1, PCDARTS), build_images(2, 8, 7)
        y = mixed(x, torch.eye(8)[1], [1])

        assert torch.equal(y, x[:, [0, 2, 4, 6, 1, 3, 5, 7]])  # a skip connection changes nothing

    def test_partial_channels_that_go_around_a_stride_are_pooled(self) -> None:
        mixed, x = operation_of(2, PCDARTS), build_images(2, 8, 8)
        y = mixed(x, torch.zeros(8), [])
        pooled = nn.functional.max_pool2d(x, 2)

        assert torch.equal(y[:, [1, 2, 3]], pooled[:, [2, 4, 6]])
        assert torch.equal(y[:, [5, 6, 7]], pooled[:, [3, 5, 7]])

    def test_shuffling_takes_channels_of_groups_in_turns(self) -> None:
        x = torch.arange(6.0).reshape(1, 6, 1, 1)

        assert shuffled(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


class TestCells:
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_cell_with_the_gates_of_a_genotype_is_the_cell_of_that_genotype(
        self, number: int
    ) -> None:
        space = searched_in(SPACE, replace(PRDARTS, **SMALL | {"cells": 5}))
        place = space.layout[number]
        mixed = MixedCell(space, place, replace(PRDARTS, **SMALL)).eval()
        plain = Cell(
            place, space.chosen(space.architecture(GENOTYPE), reduction=place.is_reduction)
        ).eval()
        copy_weights(mixed, plain, space)
        side = 8 if place.follows_reduction else 4
        states = build_images(2, place.before, side), build_images(2, place.last, 4)
        gates = gates_of(space, GENOTYPE, reduction=place.is_reduction)
        columns = [row.nonzero().flatten().tolist() for row in gates]

        before, found = mixed(states, Mixture(gates), columns)
        assert torch.equal(before, states[1])
        assert torch.allclose(found, plain(states)[1], atol=1e-6)

    def test_edges_are_weighed_where_they_have_weights(self) -> None:
        space = searched_in(SPACE, replace(PRDARTS, **SMALL))
        place = space.layout[0]
        mixed = MixedCell(space, place, replace(PRDARTS, **SMALL)).eval()
        states = build_images(2, place.before, 4), build_images(2, place.last, 4)
        gates, columns = torch.zeros(14, 8), [[] for _ in range(14)]
        gates[0, 1], gates[1, 1], columns[0], columns[1] = 1, 1, [1], [1]  # two skip connections
        edges = torch.full((14,), 0.5)
        edges[0] = 0.25
        a, b = mixed.preprocessing(states)

        _, found = mixed(states, Mixture(gates, edges), columns)
        assert torch.allclose(found[:, : place.channels], 0.25 * a + 0.5 * b)
        assert not found[:, place.channels :].any()

    @pytest.mark.parametrize("settings", [PRDARTS, DARTS, PCDARTS])
    @pytest.mark.parametrize("number", [0, 1])
    def test_what_all_edges_make_of_a_state_without_weights_is_made_once_and_the_same(
        self, number: int, settings: DifferentiableSettings
    ) -> None:
        space = searched_in(SPACE, replace(settings, **SMALL))
        place = space.layout[number]
        cell = MixedCell(space, place, replace(settings, **SMALL))
        states = build_images(2, place.before, 8), -build_images(2, place.last, 8)
        columns = [range(8)] * len(space.edges)
        pools = [part for part in cell.edges.modules() if isinstance(part, nn.AvgPool2d)]
        made: list[nn.Module] = []
        for pool in pools:
            pool.register_forward_hook(lambda pool, *_: made.append(pool))

        _, shared = cell(states, drawn(), columns)
        assert len(pools) == len(space.edges) == 14
        assert len(made) == 5  # both inputs and all nodes but the last
        for edge in cell.edges:
            edge.keys = [None] * 8
        _, alone = cell(states, drawn(), columns)
        assert torch.equal(shared, alone)


class TestNetwork:
    @pytest.mark.slow
    @pytest.mark.parametrize("settings", [PRDARTS, DARTS, PCDARTS])
    @pytest.mark.parametrize("side", [8, 13])
    def test_it_classifies_images_of_any_side(
        self, side: int, settings: DifferentiableSettings
    ) -> None:
        logits = network_of(settings)(build_images(2, 3, side), drawn(0), drawn(1))

        assert logits.shape == (2, 5)
        assert logits.isfinite().all()

    def test_it_has_the_cells_and_channels_of_the_search_and_a_stem_as_much_narrower(self) -> None:
        space = searched_in(shipped_cells("darts_cells"), PRDARTS)

        assert [place.channels for place in space.layout] == [16, 16, 32, 32, 64, 64]
        assert [n for n, place in enumerate(space.layout) if place.is_reduction] == [2, 4]
        assert space.stem.out_channels == 48

    def test_a_stem_of_two_states_is_as_much_narrower_and_leads_into_the_search(self) -> None:
        space = replace(SPACE, stem=TwoStateStem(2 * SPACE.channels))
        narrow = searched_in(space, PRDARTS)
        network = SearchNetwork(space, replace(PRDARTS, **SMALL), 3, 5)

        assert narrow.stem.out_channels == 2 * PRDARTS.channels
        assert network(build_images(2, 3, 32), drawn(0), drawn(1)).shape == (2, 5)

    def test_a_stem_of_another_kind_keeps_its_width(self) -> None:
        class Fixed:
            out_channels = 24

            def build(self, in_channels: int) -> nn.Module:
                return nn.Conv2d(in_channels, self.out_channels, 3, padding=1)

        narrow = searched_in(replace(SPACE, stem=Fixed()), PRDARTS)

        assert narrow.stem.out_channels == narrow.layout[0].before == 24

    def test_batch_norms_in_cells_have_nothing_to_learn(self) -> None:
        norms = [part for part in network_of().cells.modules() if isinstance(part, nn.BatchNorm2d)]

        assert norms
        assert not any(list(norm.parameters()) for norm in norms)

    def test_it_remembers_no_gates(self) -> None:
        network, images = network_of(), build_images(2, 3, 8)
        first = network(images, drawn(0), drawn(1))
        network(images, drawn(2), drawn(3))

        assert torch.equal(network(images, drawn(0), drawn(1)), first)

    def test_normal_and_reduction_cells_have_gates_of_their_own(self) -> None:
        network, images = network_of(), build_images(2, 3, 8)
        first = network(images, drawn(0), drawn(1))

        assert not torch.equal(network(images, drawn(1), drawn(0)), first)

    def test_an_operation_whose_gate_is_zero_is_not_computed_and_learns_nothing(self) -> None:
        network = network_of()
        gates = torch.ones(14, 8)
        gates[3, 4] = 0
        gates.requires_grad_()
        closed = [cell.edges[3].operations[4] for cell in network.cells]
        for module in closed:
            for parameter in module.parameters():
                parameter.data.fill_(torch.nan)
        network(build_images(2, 3, 8), Mixture(gates), Mixture(gates)).square().sum().backward()

        assert gates.grad is not None
        assert gates.grad.isfinite().all()
        assert gates.grad[3, 4] == 0
        assert (gates.grad[3, [2, 3, 5]] != 0).all()
        assert all(each.grad is None for module in closed for each in module.parameters())

    @pytest.mark.parametrize(("normed", "count"), [(False, 0), (True, 2)])
    def test_poolings_may_have_batch_norms(self, normed: bool, count: int) -> None:
        mixed = operation_of(1, replace(PRDARTS, pooling_norm=normed))
        norms = [
            part for part in mixed.operations[6:].modules() if isinstance(part, nn.BatchNorm2d)
        ]

        assert len(norms) == count


def copy_weights(mixed: MixedCell, plain: Cell, space: CellSpace) -> None:
    """Give a plain cell the weights of a mixed one; its batch norms have scales of one."""
    names = [operation.name for operation in space.operations]
    plain.preprocessing.load_state_dict(mixed.preprocessing.state_dict(), strict=False)
    for node, inputs in enumerate(plain.wiring):
        for name, source in inputs:
            edge = mixed.edges[space.edges.index((source, node))]
            column = next(
                i for i, each in enumerate(names) if name.split("_", 1)[1].startswith(each)
            )
            getattr(plain, name).load_state_dict(edge.operations[column].state_dict(), strict=False)
