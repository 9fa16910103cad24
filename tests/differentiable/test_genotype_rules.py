"""Genotypes from weights by both rules, and how deep and how full of skip connections they are."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.differentiable.genotype_rules import (
    CellWeights,
    Rule,
    best_edges,
    best_pairs,
    best_within,
    inputs_of,
    path_depth,
    skip_share,
)
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.spaces.architecture import Architecture
from raynas.spaces.genotype import Genotype, Input
from tests.builders import Named, shipped_cells

NAMES = ("none", "skip", "conv", "pool")
SPACE = replace(shipped_cells(), operations=tuple(map(Named, NAMES)), nodes=2)
DARTS_CELLS = shipped_cells("darts_cells")
WEIGHTED = {"sep3", "sep5", "dil3", "dil5"}

BY_HAND = np.array(
    [
        # none, skip, conv, pool
        [0.90, 0.01, 0.05, 0.04],  # state 0 to node 0
        [0.10, 0.20, 0.40, 0.30],  # state 1 to node 0
        [0.10, 0.45, 0.10, 0.35],  # state 0 to node 1
        [0.97, 0.01, 0.01, 0.01],  # state 1 to node 1
        [0.60, 0.10, 0.10, 0.20],  # state 2 to node 1
    ]
)

tables = st.integers(0, 2**31).map(
    lambda seed: np.random.default_rng(seed).dirichlet(np.ones(8), 14)
)


class TestRules:
    def test_pairs_are_the_two_largest_weights_of_a_node_even_on_one_edge(self) -> None:
        assert best_pairs(SPACE, BY_HAND) == (
            (Input(1, "conv"), Input(1, "pool")),
            (Input(0, "skip"), Input(0, "pool")),
        )

    def test_edges_are_the_two_best_ones_each_with_its_best_operation(self) -> None:
        assert best_edges(SPACE, BY_HAND) == (
            (Input(1, "conv"), Input(0, "conv")),
            (Input(0, "skip"), Input(2, "pool")),
        )

    def test_of_equal_weights_the_first_edges_and_operations_win(self) -> None:
        equal = np.full((5, 4), 0.25)

        assert best_pairs(SPACE, equal)[1] == (Input(0, "skip"), Input(0, "conv"))
        assert best_edges(SPACE, equal)[1] == (Input(0, "skip"), Input(1, "skip"))

    @given(tables)
    def test_every_genotype_lies_in_the_space_and_has_no_missing_connections(
        self, weights: npt.NDArray[np.float64]
    ) -> None:
        for rule in (best_pairs, best_edges):
            genotype = Genotype(rule(DARTS_CELLS, weights), rule(DARTS_CELLS, weights))

            assert DARTS_CELLS.genotype(DARTS_CELLS.architecture(genotype)) == genotype

    @given(tables)
    def test_only_the_rule_of_edges_always_takes_two_of_them(
        self, weights: npt.NDArray[np.float64]
    ) -> None:
        assert all(
            first.source != second.source for first, second in best_edges(DARTS_CELLS, weights)
        )

    @given(tables)
    def test_no_pair_that_is_left_out_weighs_more_than_one_that_is_taken(
        self, weights: npt.NDArray[np.float64]
    ) -> None:
        names = [operation.name for operation in DARTS_CELLS.operations]
        for number, node in enumerate(best_pairs(DARTS_CELLS, weights)):
            rows = [row for row, edge in enumerate(DARTS_CELLS.edges) if edge[1] == number]
            taken = [weights[rows[each.source], names.index(each.operation)] for each in node]

            assert sorted(taken) == sorted(weights[rows, 1:].flatten())[-2:]


class TestShape:
    def test_a_chain_is_as_deep_as_the_operations_that_count_on_it(self) -> None:
        chain = [
            [Input(0, "conv"), Input(1, "conv")],  # two paths of 1
            [Input(2, "conv"), Input(2, "conv")],  # four of 2
        ]

        assert path_depth(chain, {"conv"}) == pytest.approx((2 * 1 + 4 * 2) / 6)

    def test_what_does_not_count_makes_a_path_no_deeper(self) -> None:
        mixed = [
            [Input(0, "conv"), Input(1, "skip")],  # paths of 1 and 0
            [Input(2, "pool"), Input(0, "conv")],  # of 1, 0 and 1
        ]

        assert path_depth(mixed, {"conv"}) == pytest.approx(3 / 5)
        assert path_depth(mixed, {"conv", "pool"}) == pytest.approx(5 / 5)

    def test_cells_of_skip_connections_have_no_depth(self) -> None:
        skips = [[Input(0, "skip"), Input(1, "skip")]] * 4

        assert path_depth(skips, {"conv"}) == 0
        assert skip_share(skips, {"skip"}) == 1

    def test_nodes_that_nothing_reaches_have_no_paths(self) -> None:
        assert path_depth([[], [Input(2, "conv")]], {"conv"}) == 0
        assert skip_share([[], []], {"skip"}) == 0

    def test_the_published_cell_of_pr_darts_is_deeper_than_that_of_darts(self) -> None:
        known = dict(DARTS_CELLS.genotypes)
        darts, prdarts = (known[name].normal for name in ("DARTS_V2", "PR_DARTS"))

        assert path_depth(darts, WEIGHTED) < path_depth(prdarts, WEIGHTED)
        assert skip_share(darts, {"skip_connect"}) == 2 / 8
        assert skip_share(prdarts, {"skip_connect"}) == 1 / 8

    def test_open_gates_are_what_nodes_add_up_and_none_connects_nothing(self) -> None:
        chosen = np.zeros((5, 4))
        chosen[0, [1, 2]] = chosen[1, [0, 3]] = chosen[4, 2] = 1

        assert inputs_of(SPACE, chosen) == [
            [Input(0, "skip"), Input(0, "conv"), Input(1, "pool")],
            [Input(2, "conv")],
        ]


class TestLimits:
    SPACE = replace(shipped_cells(), operations=shipped_cells().operations[:3], nodes=2)
    COSTS = cost_table(SPACE, 8, 1, 10)

    def weights(self, seed: int) -> CellWeights:
        rng, edges = np.random.default_rng(seed), len(self.SPACE.edges)
        return CellWeights(*(rng.dirichlet(np.ones(3), edges) for _ in range(2)))

    def total(self, weights: CellWeights, architecture: Architecture) -> float:
        """Return the sum of the weights of all that a genotype chose."""
        names, edges = ["none", "skip_connect", "sep3"], self.SPACE.edges
        genotype = self.SPACE.genotype(architecture)
        return sum(
            of[edges.index((each.source, number)), names.index(each.operation)]
            for of, cell in zip(weights, (genotype.normal, genotype.reduction), strict=True)
            for number, node in enumerate(cell)
            for each in node
        )

    def on_two_edges(self, architecture: Architecture) -> bool:
        genotype = self.SPACE.genotype(architecture)
        return all(a.source != b.source for a, b in (*genotype.normal, *genotype.reduction))

    @pytest.mark.parametrize("rule", ["pairs", "edges"])
    def test_without_a_limit_it_is_the_genotype_of_the_rule(self, rule: Rule) -> None:
        weights = self.weights(0)
        of = best_pairs if rule == "pairs" else best_edges
        genotype = Genotype(of(self.SPACE, weights.normal), of(self.SPACE, weights.reduction))

        found = best_within(self.SPACE, weights, rule, self.COSTS, Limits())
        assert found == self.SPACE.architecture(genotype)

    @pytest.mark.parametrize("rule", ["pairs", "edges"])
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("is_lower", [False, True])
    def test_within_a_limit_none_that_the_rule_allows_has_a_larger_sum_of_weights(
        self, rule: Rule, seed: int, *, is_lower: bool
    ) -> None:
        weights = self.weights(seed)
        free = best_within(self.SPACE, weights, rule, self.COSTS, Limits())
        macs, least, most = (
            each.macs for each in (self.COSTS.of(free), self.COSTS.smallest, self.COSTS.largest)
        )
        lower = Limits(min_macs=(macs + most) // 2)
        limits = lower if is_lower else Limits(max_macs=(macs + least) // 2)
        found = best_within(self.SPACE, weights, rule, self.COSTS, limits)
        allowed = [
            each
            for each in map(Architecture, np.ndindex(*(b.size for b in self.SPACE.blocks)))
            if limits.allow(self.COSTS.of(each)) and (rule == "pairs" or self.on_two_edges(each))
        ]

        assert found != free
        assert found in allowed
        best = max(self.total(weights, each) for each in allowed)
        assert self.total(weights, found) == pytest.approx(best)

    def test_a_limit_that_nothing_keeps_is_refused(self) -> None:
        limits = Limits(min_params=10**9)
        with pytest.raises(UserError, match="--min-params 1G: the largest"):
            best_within(self.SPACE, self.weights(0), "pairs", self.COSTS, limits)
        with pytest.raises(UserError, match="--max-macs 1"):
            best_within(self.SPACE, self.weights(0), "pairs", self.COSTS, Limits(max_macs=1))
