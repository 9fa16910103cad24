"""Costs: additive tables, limits and quantities."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import (
    Cost,
    CostTable,
    Limits,
    parse_duration,
    parse_quantity,
    show_duration,
    show_quantity,
)
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
        (Limits(min_macs=10, min_params=20), True),
        (Limits(max_macs=10, min_macs=10), True),
        (Limits(min_macs=11), False),
        (Limits(10, 20, min_params=21), False),
    ],
)
def test_a_cost_is_allowed_from_and_up_to_and_including_each_limit(
    limits: Limits, allowed: bool
) -> None:
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


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("12ms", 12_000_000),
        ("0.5s", 500_000_000),
        ("800us", 800_000),
        ("1.5 ms", 1_500_000),
        ("7µs", 7000),
        ("90ns", 90),
        ("1e-3s", 1_000_000),
    ],
)
def test_durations_are_read_with_their_unit_as_whole_nanoseconds(
    text: str, nanoseconds: int
) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["12", "", "ms", "-1ms", "0s", "1e400s", "nans", "5min", "1ms2"])
def test_what_is_no_positive_duration_with_a_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="wanted a positive number and its unit, such as 12ms"):
        parse_duration(text)


@given(st.integers(1, 10**10))
def test_a_duration_that_is_shown_is_read_again_within_its_three_decimals(amount: int) -> None:
    read = parse_duration(show_duration(amount))

    assert abs(read - amount) <= max(amount // 1000, 0)


TIMED = CostTable(((1, 2),), ((3, 4),), Cost(10, 20, 100), latency=((5, 7),))


def test_a_latency_adds_up_like_macs_and_is_limited_like_them() -> None:
    assert TIMED.of((1,)) == Cost(12, 24, 107)
    assert (TIMED.smallest.latency, TIMED.largest.latency) == (105, 107)
    assert Limits(max_latency=107).allow(TIMED.of((1,)))
    assert not Limits(max_latency=106).allow(TIMED.of((1,)))
    assert Cost(1, 2, 1_500_000).latency_ms == 1.5


def test_without_measurements_there_is_no_latency_and_its_column_is_null() -> None:
    cost = CostTable(((1,),), ((3,),), Cost(10, 20)).of((0,))

    assert cost.columns == {"macs": 11, "params": 23, "latency_ms": None}
    with pytest.raises(AssertionError, match="without a table"):
        Limits(max_latency=1).allow(cost)


def test_a_further_limit_lowers_one_of_its_kind_and_never_raises_it() -> None:
    assert Limits(10).within("macs", 20) == Limits(10)
    assert Limits(10).within("macs", 5) == Limits(5)
    assert Limits(10).within("latency", 7).within("params", 3) == Limits(10, 3, 7)


def test_some_candidates_of_each_layer_keep_their_costs() -> None:
    costs = CostTable(((1, 2, 3),), ((4, 5, 6),), Cost(1, 1, 1), ((7, 8, 9),))

    assert costs.only([[2, 0]]) == CostTable(((3, 1),), ((6, 4),), Cost(1, 1, 1), ((9, 7),))


def test_limits_are_told_kind_by_kind() -> None:
    assert Limits(330_000_000, None, 12_500_000, 300_000_000, 3_000_000).words == [
        "300M to 330M MACs",
        "at least 3M parameters",
        "at most 12.5ms",
    ]
    assert Limits().words == []


def test_limits_of_some_kinds_are_those_alone() -> None:
    limits = Limits(5, 6, 7, 1, 2)

    assert limits.only(["params"]) == Limits(max_params=6, min_params=2)
    assert limits.only(limits.kinds) == limits
