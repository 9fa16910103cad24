"""Sums of gradients: the same bits in any order and grouping, and as close as floats can be."""

import math
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raynas.training.exact_sums import LIMIT, UNIT, ExactAdder, ExactSum

CPU = torch.device("cpu")
SIZE = 5
SHARES = (0.5, 1 / 3, 0.1, 5 / 14)
VALUES = arrays(np.float32, SIZE, elements=st.floats(width=32, min_value=-LIMIT, max_value=LIMIT))
TERMS = st.lists(st.tuples(VALUES, st.sampled_from(SHARES)), min_size=1, max_size=8)
ANY = arrays(np.float32, SIZE, elements=st.floats(width=32))


def summed(terms: list[tuple[np.ndarray, float]]) -> ExactSum:
    """Return the sum of terms that one device adds up."""
    adder = ExactAdder(SIZE, CPU)
    for values, weight in terms:
        adder.add(torch.from_numpy(values), weight)
    return adder.take()


def joined(parts: list[ExactSum]) -> ExactSum:
    """Return the sum of what several devices have added up."""
    return reduce(ExactSum.plus_, parts)


@given(TERMS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_sum_has_the_same_bits_in_any_order_and_grouping(
    terms: list[tuple[np.ndarray, float]], random: object, count: int
) -> None:
    order = list(terms)
    random.shuffle(order)  # type: ignore[attr-defined]
    groups = [order[start::count] for start in range(count)]
    parts = [summed(group) for group in groups if group]

    assert np.array_equal(joined(parts).units, summed(terms).units)


@given(TERMS)
def test_each_term_is_off_by_half_a_unit_at_most(terms: list[tuple[np.ndarray, float]]) -> None:
    found = summed(terms).to_floats()

    for place in range(SIZE):
        wanted = math.fsum(float(values[place]) * weight for values, weight in terms)
        room = len(terms) * (UNIT / 2 + 2.0**-53 * LIMIT) + 1e-15 * abs(wanted)
        assert abs(found[place] - wanted) <= room


@pytest.mark.parametrize(("value", "wanted"), [(0.75, 1), (0.25, 0), (-0.75, -1), (-1.25, -1)])
def test_a_term_is_rounded_to_the_nearest_unit(value: float, wanted: int) -> None:
    values = np.full(SIZE, 2 * value * UNIT, np.float32)

    assert summed([(values, 0.5)]).units.tolist() == [wanted] * SIZE


@given(VALUES)
def test_terms_of_opposite_sign_leave_nothing(values: np.ndarray) -> None:
    assert not summed([(values, 0.1), (-values, 0.1)]).to_floats().any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(SIZE))
def test_one_term_that_is_not_finite_makes_the_sum_no_number(bad: float, place: int) -> None:
    good, spoiled = np.ones(SIZE, np.float32), np.ones(SIZE, np.float32)
    spoiled[place] = bad
    for parts in (
        [summed([(good, 1.0), (spoiled, 0.5), (good, 1.0)])],
        [summed([(good, 1.0)]), summed([(spoiled, 1.0)]), summed([(good, 1.0)])],
    ):
        assert np.isnan(joined(parts).to_floats()).all()


@given(st.lists(ANY, min_size=1, max_size=4))
def test_a_sum_is_a_number_exactly_if_all_its_terms_are(terms: list[np.ndarray]) -> None:
    found = summed([(values, 0.5) for values in terms]).to_floats()

    assert np.isfinite(found).all() == np.isfinite(np.array(terms)).all()


@pytest.mark.parametrize("big", [2 * LIMIT, float(np.finfo(np.float32).max)])
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_a_finite_term_beyond_the_limit_counts_as_the_limit(big: float, weight: float) -> None:
    values = np.array([big, -big, 1, 0, LIMIT], np.float32)

    wanted = weight * np.array([LIMIT, -LIMIT, 1, 0, LIMIT])
    assert np.array_equal(summed([(values, weight)]).to_floats(), wanted)


def test_as_many_paths_as_a_step_may_have_at_the_limit_do_not_overflow() -> None:
    shards = [(np.full(SIZE, big, np.float32), 0.5) for big in (LIMIT, LIMIT)]

    assert summed(127 * shards).to_floats() == pytest.approx(127 * LIMIT)


def test_a_taken_sum_stays_as_it_is_and_the_next_one_starts_at_zero() -> None:
    adder = ExactAdder(SIZE, CPU)
    adder.add(torch.full((SIZE,), math.nan), 1.0)
    adder.take()
    adder.add(torch.ones(SIZE), 1.0)
    first = adder.take()
    adder.add(torch.full((SIZE,), 3.0), 1.0)

    assert first.to_floats().tolist() == [1.0] * SIZE
    assert adder.take().to_floats().tolist() == [3.0] * SIZE


@pytest.mark.parametrize("is_writable", [True, False], ids=["", "a view of a message"])
def test_a_sum_is_added_to_one_that_may_not_be_written(is_writable: bool) -> None:
    first, second = (summed([(np.full(SIZE, number, np.float32), 1.0)]) for number in (1, 2))
    for units in [second.units] if is_writable else [first.units, second.units]:
        units.setflags(write=False)

    assert first.plus_(second).to_floats().tolist() == [3.0] * SIZE
    assert second.to_floats().tolist() == [2.0] * SIZE
    assert (first.to_floats().tolist() == [1.0] * SIZE) is not is_writable


def test_nothing_adds_up_to_nothing() -> None:
    adder = ExactAdder(0, CPU)
    adder.add(torch.zeros(0), 1.0)
    found = joined([adder.take(), adder.take()])

    assert found.is_finite
    assert found.to_floats().shape == (0,)
