"""Architectures, choice blocks and search spaces as values."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.errors import UserError
from raynas.nets.operations import Identity
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.spaces.loading import load_space, space_module_name
from tests.builders import MOBILE, SPACES, Named, build_block, build_space, shipped_space

CHOICES = st.lists(st.integers(-1, 30), min_size=1, max_size=30)


@given(CHOICES)
def test_an_architectures_text_reads_back_as_the_same_architecture(choices: list[int]) -> None:
    architecture = Architecture(choices)

    assert Architecture.parse(str(architecture)) == architecture


@given(CHOICES, st.sampled_from(["-", " ", ",", ", ", "\n", "- "]))
def test_commas_spaces_and_dashes_separate_alike(choices: list[int], separator: str) -> None:
    text = separator.join(map(str, choices))

    assert Architecture.parse(f" {text} ") == Architecture(choices)


def test_the_text_form_is_indices_joined_by_dashes() -> None:
    assert str(Architecture((3, 0, 5))) == "3-0-5"
    assert repr(Architecture((3, 0, 5))) == "Architecture(3-0-5)"


def test_bn_nas_notation_with_minus_one_reads_as_printed() -> None:
    assert Architecture.parse("3 -1 0 4 -1") == (3, -1, 0, 4, -1)


@pytest.mark.parametrize(
    "text", ["", " ", "-", "3-", "a-b", "3..5", "3-x-5", "1.5-2", "3 - -", "--1", "3---1", "3;5"]
)
def test_text_that_is_no_list_of_whole_numbers_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="wanted a candidate index per layer, such as 3-0-5"):
        Architecture.parse(text)


def test_an_architecture_is_a_value_that_hashes_and_compares_like_its_tuple() -> None:
    assert {Architecture((1, 2)): "found"}[Architecture([1, 2])] == "found"


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "expected"),
    [(4, 4, 1, False), (4, 4, 2, True), (4, 8, 1, True), (4, 8, 2, True)],
)
def test_a_layer_is_normal_only_at_stride_one_and_equal_width(
    in_channels: int, out_channels: int, stride: int, expected: bool
) -> None:
    assert build_block(3, in_channels, out_channels, stride).is_reduction is expected


def test_a_block_without_candidates_is_refused() -> None:
    with pytest.raises(UserError, match="got no candidates"):
        build_block(0)


def test_candidates_that_share_a_name_are_refused() -> None:
    with pytest.raises(UserError, match="share a name: a, a"):
        ChoiceBlock((Named("a"), Named("a")), 4, 4, 1)


def test_an_operation_that_is_no_value_is_refused_with_the_way_to_write_it() -> None:
    @dataclass
    class Mutable:
        name: str = "mutable"

        def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:  # noqa: ARG002
            return nn.Module()

    with pytest.raises(UserError, match=r"mutable .*write it as a @dataclass\(frozen=True\)"):
        ChoiceBlock((Mutable(),), 4, 4, 1)


@pytest.mark.parametrize(("out_channels", "stride"), [(4, 2), (8, 1)])
def test_identity_in_a_reduction_layer_is_refused(out_channels: int, stride: int) -> None:
    with pytest.raises(UserError, match="identity cannot turn 4 channels into"):
        ChoiceBlock((Named("a"), Identity()), 4, out_channels, stride)


def test_a_block_knows_the_index_of_its_identity() -> None:
    assert ChoiceBlock((Named("a"), Identity(), Named("b")), 4, 4, 1).identity == 1
    assert build_block().identity is None


def test_a_space_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="search space tiny: got no blocks"):
        replace(build_space(), blocks=())


def test_widths_that_do_not_fit_are_refused_with_the_layer_named() -> None:
    wrong = (build_block(3, 4, 6, 2), build_block(3, 5, 5))

    with pytest.raises(UserError, match="layer 1: it takes 5 channels, but 6 arrive"):
        replace(build_space(), blocks=wrong)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_the_size_is_the_product_of_the_layers_choices(sizes: list[int]) -> None:
    space = replace(build_space(), blocks=tuple(build_block(size) for size in sizes))

    assert space.size == math.prod(sizes)
    assert space.num_layers == len(sizes)


def test_a_reduction_layer_opens_a_stage() -> None:
    assert build_space("RNNRRN").stages == (0, 0, 0, 1, 2, 2)
    assert build_space("NNRN").stages == (0, 0, 1, 1)


def test_with_identity_adds_it_to_normal_layers_that_have_a_choice() -> None:
    space = build_space("RNIN").with_identity(Identity())

    assert [block.size for block in space.blocks] == [3, 4, 1, 4]
    assert [block.identity for block in space.blocks] == [None, 3, 0, 3]


def test_a_layer_of_one_candidate_gets_no_identity() -> None:
    space = build_space("N", MOBILE[:1])

    assert space.with_identity(Identity()) == space


def test_with_identity_twice_is_with_identity_once() -> None:
    once = build_space("RNIN").with_identity(Identity())

    assert once.with_identity(Identity()) == once


@st.composite
def spaces_and_choices(draw: st.DrawFn) -> tuple[SearchSpace, list[int]]:
    layers = draw(st.text("RNI", min_size=1, max_size=6))
    space = build_space(layers, identity=draw(st.booleans()))
    choices = [
        draw(st.integers(0 if block.identity is None else -1, block.size - 1))
        for block in space.blocks
    ]
    return space, choices


@given(spaces_and_choices())
def test_minus_one_is_another_name_for_the_identitys_index(
    pair: tuple[SearchSpace, list[int]],
) -> None:
    space, choices = pair
    checked = space.check(choices)

    for block, choice, index in zip(space.blocks, choices, checked, strict=True):
        assert index == (block.identity if choice == -1 else choice)
    assert space.parse(str(Architecture(choices))) == checked
    assert space.check(checked) == checked


def test_minus_one_is_refused_where_there_is_no_identity() -> None:
    space = build_space("RN", identity=True)

    with pytest.raises(UserError, match="tiny, layer 0: got candidate -1, wanted 0 to 2"):
        space.check((-1, 0))


def test_an_index_that_a_layer_does_not_have_is_refused_with_the_layer_named() -> None:
    space = build_space("RN", identity=True)

    with pytest.raises(UserError, match="layer 1: got candidate 4, wanted 0 to 3, or -1"):
        space.check((0, 4))
    with pytest.raises(UserError, match="layer 1: got candidate -2"):
        space.check((0, -2))


@pytest.mark.parametrize("choices", [(), (0,), (0, 0, 0)])
def test_a_wrong_number_of_layers_is_refused(choices: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=f"got {len(choices)} layers, but tiny has 2"):
        build_space("RN").check(choices)


def test_digits_alone_read_as_a_key_of_nas_bench_macro() -> None:
    space = shipped_space("nas_bench_macro")

    assert space.parse("02012100") == (0, 2, 0, 1, 2, 1, 0, 0)
    assert space.parse("02012100") == space.parse("0-2-0-1-2-1-0-0")


def test_one_digit_is_an_index_in_a_space_of_one_layer() -> None:
    assert build_space("R").parse("2") == (2,)


@pytest.mark.parametrize("text", ["²²²²²²²²", "0201210", "020121000", "0201210x", "33333333"])
def test_a_malformed_key_is_refused_as_a_persons_mistake(text: str) -> None:
    with pytest.raises(UserError):
        shipped_space("nas_bench_macro").parse(text)


def test_a_shipped_space_loads_by_name() -> None:
    assert load_space("small_mobile", SPACES).name == "small_mobile"


def test_a_persons_own_file_loads_by_path(tmp_path: Path) -> None:
    copy = tmp_path / "mine.py"
    copy.write_text((SPACES / "small_mobile.py").read_text())

    assert load_space(str(copy), SPACES) == shipped_space("small_mobile")


def test_the_module_of_a_space_is_found_under_its_name_so_that_its_classes_can_be_pickled() -> None:
    space = shipped_space("mobilenet_v2")

    assert space == sys.modules[space_module_name("mobilenet_v2")].SPACE
    assert type(space.head).__module__ == space_module_name("mobilenet_v2")


def test_a_missing_space_names_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean mobilenet_v2"):
        load_space("mobilnet_v2", SPACES)


def test_a_missing_space_near_nothing_lists_what_there_is() -> None:
    with pytest.raises(UserError, match=r"known are darts_cells, .*small_mobile"):
        load_space("xyzzy", SPACES)


@pytest.mark.parametrize("text", ["OTHER = 1", "SPACE = 3"])
def test_a_file_that_defines_no_space_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)

    with pytest.raises(UserError, match=r"mine\.py defines no SPACE = SearchSpace"):
        load_space(str(file), SPACES)
