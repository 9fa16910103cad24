"""Costs: additive tables, limits and quantities."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs import Cost, CostTable, Limits, parse_quantity, show_quantity
from raynas.errors import UserError
from tests.builders import build_costs

SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def test_a_cost_is_the_fixed_part_and_one_entry_of_each_layer() -> None:
    costs = CostTable(macs=((1, 2), (10, 20)), params=((3, 4), (30, 40)), fixed=Cost(100, 300))

    assert costs.of((0, 1)) == Cost(macs=121, params=343)


@pytest.mark.parametrize("choices", [(), (0,), (0, 0, 0)])
def test_an_architecture_of_another_depth_has_no_cost(choices: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="zip"):
        build_costs((2, 2)).of(choices)


@given(SIZES, st.integers(0, 1000))
def test_smallest_and_largest_bound_every_architecture_and_are_reached(
    sizes: list[int], seed: int
) -> None:
    costs = build_costs(sizes, seed)
    every = [costs.of(choices) for choices in itertools.product(*map(range, sizes))]

    assert costs.smallest == Cost(min(c.macs for c in every), min(c.params for c in every))
    assert costs.largest == Cost(max(c.macs for c in every), max(c.params for c in every))


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(), True),
        (Limits(max_macs=10), True),
        (Limits(max_params=20), True),
        (Limits(10, 20), True),
        (Limits(max_macs=9), False),
        (Limits(max_params=19), False),
        (Limits(10, 19), False),
        (Limits(9, 20), False),
    ],
)
def test_a_cost_is_allowed_up_to_and_including_each_limit(limits: Limits, allowed: bool) -> None:
    assert limits.allow(Cost(macs=10, params=20)) is allowed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("330M", 330_000_000),
        ("3.5M", 3_500_000),
        ("47_000", 47_000),
        ("1e6", 1_000_000),
        ("47k", 47_000),
        ("47K", 47_000),
        ("1.5g", 1_500_000_000),
        (" 330 M ", 330_000_000),
        ("1", 1),
        ("475.25M", 475_250_000),
    ],
)
def test_a_quantity_reads_as_a_whole_number(text: str, expected: int) -> None:
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    "text", ["", "M", "0", "-5M", "nan", "inf", "infM", "0.1", "five", "3.5.5", "5kM", "5MM", "1 2"]
)
def test_what_is_no_positive_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="wanted a positive number such as 330M"):
        parse_quantity(text)


@given(st.integers(1, 2**50))
def test_a_whole_number_reads_back_exactly(value: int) -> None:
    assert parse_quantity(str(value)) == value


@given(st.integers(1, 10**12))
def test_a_shown_quantity_reads_back_within_its_printed_digits(value: int) -> None:
    assert parse_quantity(show_quantity(value)) == pytest.approx(value, rel=5e-4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(330_000_000, "330M"), (3_528_960, "3.529M"), (47_000, "47k"), (999, "999"), (10**9, "1G")],
)
def test_a_quantity_is_shown_with_a_letter_and_at_most_three_decimals(
    value: int, expected: str
) -> None:
    assert show_quantity(value) == expected
