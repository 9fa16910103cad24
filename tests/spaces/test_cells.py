"""Spaces of cells as values: architectures and genotypes, the layout of the cells, mistakes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.errors import UserError
from raynas.search.constrained_sampling import LegalSampler
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.genotype import Genotype
from raynas.spaces.protocol import Space
from tests.builders import Named, build_space, run_python, shipped_cells, shipped_costs

SPACE = shipped_cells("darts_cells")
architectures = st.tuples(*(st.integers(0, block.size - 1) for block in SPACE.blocks)).map(
    Architecture
)
TINY = replace(SPACE, operations=(Named("none"), Named("a"), Named("b")), nodes=2)


class TestArchitectures:
    @given(architectures)
    def test_an_architecture_is_its_genotype_in_every_written_form(
        self, architecture: Architecture
    ) -> None:
        genotype = SPACE.genotype(architecture)

        assert SPACE.architecture(genotype) == architecture
        assert SPACE.parse(str(genotype)) == architecture
        assert SPACE.parse(str(architecture)) == architecture

    @given(architectures, st.integers(0, 7))
    def test_a_genotype_with_two_inputs_exchanged_is_the_same_architecture(
        self, architecture: Architecture, turned: int
    ) -> None:
        genotype = SPACE.genotype(architecture)
        nodes = [*genotype.normal, *genotype.reduction]
        nodes[turned] = (nodes[turned][1], nodes[turned][0])
        text = str(Genotype(tuple(nodes[:4]), tuple(nodes[4:])))

        assert SPACE.parse(text) == architecture

    def test_no_two_architectures_have_one_genotype(self) -> None:
        every = {
            TINY.genotype(Architecture((first, second, 0, 0)))
            for first in range(TINY.blocks[0].size)
            for second in range(TINY.blocks[1].size)
        }

        assert [block.size for block in TINY.blocks] == [6, 15, 6, 15]  # 4 and 6 inputs, by two
        assert len(every) == 6 * 15
        assert TINY.size == (6 * 15) ** 2

    def test_a_node_reads_every_earlier_state_and_may_read_one_twice(self) -> None:
        names = [pair.name for pair in TINY.blocks[0].candidates]

        assert names == [
            "a(0)+b(0)",
            "a(0)+a(1)",
            "a(0)+b(1)",
            "b(0)+a(1)",
            "b(0)+b(1)",
            "a(1)+b(1)",
        ]
        assert len(SPACE.edges) == 14

    def test_published_genotypes_go_by_their_names(self) -> None:
        known = dict(SPACE.genotypes)

        assert SPACE.genotype(SPACE.parse("PR_DARTS")) == known["PR_DARTS"]
        assert str(known["PR_DARTS"]) == (
            "normal: skip_connect(0) sep3(1) | sep3(0) dil3(2) | sep3(1) dil3(3) | dil3(1) dil3(4);"
            " reduction: avgpool3(0) dil5(1) | sep3(0) dil5(2) | sep5(1) dil3(3) | dil5(1) dil5(4)"
        )

    def test_draws_within_a_limit_are_architectures_of_the_space(self) -> None:
        costs = shipped_costs("darts_cells")
        sampler = LegalSampler(costs, Limits(max_params=3_000_000))
        drawn = sampler.draw(np.random.default_rng(0))

        assert drawn is not None
        assert SPACE.check(drawn) == drawn
        assert costs.of(drawn).params <= 3_000_000

    @pytest.mark.slow
    def test_another_process_counts_candidates_alike(self) -> None:
        text = str(dict(SPACE.genotypes)["DARTS_V2"])
        program = (
            "from tests.builders import shipped_cells\n"
            f"print(shipped_cells('darts_cells').parse({text!r}))"
        )

        assert run_python(program) == str(SPACE.parse(text))


class TestLayout:
    def test_reductions_stand_at_a_third_and_two_thirds_and_double_the_channels(self) -> None:
        places = SPACE.layout

        assert [n for n, place in enumerate(places) if place.is_reduction] == [6, 13]
        assert {place.channels for place in places[:6]} == {36}
        assert {place.channels for place in places[6:13]} == {72}
        assert {place.channels for place in places[13:]} == {144}
        assert [n for n, place in enumerate(places) if place.follows_reduction] == [7, 14]

    def test_a_cell_receives_what_the_two_before_it_put_out(self) -> None:
        first, second, third = SPACE.layout[:3]

        assert (first.before, first.last) == (108, 108)
        assert (second.before, second.last) == (108, 144)
        assert (third.before, third.last) == (144, 144)
        assert SPACE.out_channels == 4 * 144

    def test_the_fewest_cells_are_three_of_which_two_reduce(self) -> None:
        kinds = [place.kind for place in replace(SPACE, cells=3).layout]

        assert kinds == ["normal", "reduction", "reduction"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("cells", 2, "got 2 cells, wanted at least 3"),
            ("nodes", 0, "got 0 nodes, wanted at least 1"),
            ("channels", 7, "got 7 channels, wanted an even number"),
            ("operations", (Named("a (b)"),), "got an operation 'a \\(b\\)', wanted a name"),
            ("operations", (Named("none"),), "one at least beside none"),
            ("operations", (Named("a"), Named("a")), "got operations a, a, wanted different"),
        ],
    )
    def test_a_space_that_cannot_be_is_refused(self, field: str, value: Any, said: str) -> None:
        with pytest.raises(UserError, match=said):
            replace(SPACE, **{field: value})

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("1-2-3", "got 3 indices, but darts_cells has 8"),
            ("0-0-0-595-0-0-0-0", "node 3 of the normal cell: got candidate 595, wanted 0 to 594"),
            ("0-0-0-0--1-0-0-0", "node 0 of the reduction cell: got candidate -1"),
            ("three", "wanted a candidate index per layer"),
            ("normal: sep3(0) sep3(1); reduction: sep3(0) sep3(1)", "got 1 nodes in its normal"),
        ],
    )
    def test_what_is_no_architecture_of_the_space_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(UserError, match=said):
            SPACE.parse(text)

    @pytest.mark.parametrize(
        ("node", "said"),
        [
            ("a(0) none(1)", "operations of a, b"),
            ("a(0) b(2)", "wanted states 0 to 1"),
            ("a(1) a(1)", "the same input twice"),
        ],
    )
    def test_what_a_node_cannot_be_is_told(self, node: str, said: str) -> None:
        text = f"normal: {node} | a(0) b(2); reduction: a(0) b(0) | a(0) b(1)"

        with pytest.raises(UserError, match=said) as caught:
            TINY.parse(text)
        assert "node 0 of the normal cell" in str(caught.value)


def test_chains_and_cells_are_spaces_and_only_chains_are_chains() -> None:
    chain = build_space("RN")
    everything: list[Space] = [chain, SPACE]

    assert all(isinstance(each, Space) for each in everything)
    assert isinstance(SPACE, CellSpace)
    assert not isinstance(SPACE, SearchSpace)
    assert chain_of(chain, "this") is chain
    with pytest.raises(UserError, match=r"this: it needs .* darts_cells is one of cells"):
        chain_of(SPACE, "this")
