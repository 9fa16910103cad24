"""Genotypes: what people write, what successors of DARTS publish, and what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.spaces.genotype import Genotype, Input, Node

NAMES = ("sep3", "skip_connect", "maxpool3", "mine-2")
inputs = st.builds(Input, st.integers(0, 5), st.sampled_from(NAMES))
cells = st.lists(st.tuples(inputs, inputs), min_size=1, max_size=4).map(tuple)

PUBLISHED = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('dil_conv_5x5', 2), "
    "('max_pool_3x3', 0)], normal_concat=range(2, 4), reduce=[('avg_pool_3x3', 1), "
    "('sep_conv_5x5', 0), ('dil_conv_3x3', 2), ('mine', 1)], reduce_concat=[2, 3])"
)


@given(cells, cells)
def test_what_is_printed_is_parsed_as_the_same_genotype(
    normal: tuple[Node, ...], reduction: tuple[Node, ...]
) -> None:
    genotype = Genotype(normal, reduction)

    assert Genotype.parse(str(genotype)) == genotype


@given(cells, cells)
def test_the_order_of_a_nodes_inputs_means_nothing(
    normal: tuple[Node, ...], reduction: tuple[Node, ...]
) -> None:
    turned = tuple((second, first) for first, second in normal)

    assert Genotype(turned, reduction) == Genotype(normal, reduction)
    assert hash(Genotype(turned, reduction)) == hash(Genotype(normal, reduction))


def test_a_genotype_is_read_as_darts_publishes_it() -> None:
    assert str(Genotype.parse(PUBLISHED)) == (
        "normal: skip_connect(0) sep3(1) | maxpool3(0) dil5(2); "
        "reduction: sep5(0) avgpool3(1) | mine(1) dil3(2)"
    )


def test_plus_signs_and_the_short_name_of_the_reduction_cell_are_read_too() -> None:
    assert Genotype.parse("normal: a(0) + b(1);reduce:c(1)+d(0)") == Genotype.parse(
        "normal: a(0) b(1); reduction: d(0) c(1)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sep3(0) sep3(1)", "wanted normal: "),
        ("normal: sep3(0); reduction: a(0) b(1)", "node 'sep3(0)' is not two inputs"),
        ("normal: a(0) b(x); reduction: a(0) b(1)", "node 'a(0) b(x)' is not two inputs"),
        ("Genotype(normal=[('a', 0)], reduce=[])", "got 1 inputs in a cell"),
        ("Genotype(normal=[('a', 0)])", "wanted Genotype(normal="),
        ("Genotype(normal=[('a', 'b')], reduce=[])", "wanted Genotype(normal="),
        ("Genotype(normal=open('x'), reduce=[])", "wanted Genotype(normal="),
        ("Genotype(", "wanted Genotype(normal="),
    ],
)
def test_what_is_no_genotype_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        Genotype.parse(text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
