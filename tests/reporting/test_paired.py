"""Two networks on the same images: their difference, its interval, and McNemar's test."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from raynas.reporting.paired import bootstrap_interval, compare_paired, mcnemar

RIGHTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300).map(
    lambda pairs: np.array(pairs, dtype=bool).T
)


@settings(max_examples=30)
@given(RIGHTS)
def test_the_other_way_round_the_difference_has_the_other_sign(rights: np.ndarray) -> None:
    there, back = compare_paired(*rights), compare_paired(*rights[::-1])

    assert there.difference == -back.difference
    assert there.difference == pytest.approx(rights[0].mean() - rights[1].mean())
    assert there.p_value == back.p_value
    assert (there.only_first, there.only_second) == (back.only_second, back.only_first)
    unit = 4 / len(rights[0])  # of a mean of so many images; draws differ
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=unit)


@given(RIGHTS)
def test_an_interval_holds_zero_where_nothing_differs_and_never_leaves_its_range(
    rights: np.ndarray,
) -> None:
    same, found = compare_paired(rights[0], rights[0]), compare_paired(*rights)

    assert same.low < 0 < same.high
    assert (same.p_value, same.difference, same.is_settled) == (1.0, 0.0, False)
    assert -1 <= found.low <= found.high <= 1
    assert compare_paired(*rights) == found  # the draws have a seed


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_p_is_that_of_the_exact_binomial_test(won: int, lost: int) -> None:
    if won + lost:
        wanted = binomtest(won, won + lost, 0.5).pvalue
        assert mcnemar(won, lost) == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_a_known_table_has_known_numbers() -> None:
    """Of 100 images 12 are won and 3 lost: 2 P[X <= 3] of 15 draws is 576 / 2^14."""
    first = np.repeat([True, True, False, False], [60, 12, 3, 25])
    second = np.repeat([True, False, True, False], [60, 12, 3, 25])
    found = compare_paired(first, second)
    deviation = math.sqrt((15 / 100 - 0.09**2) / 100)  # of the mean difference

    assert (found.only_first, found.only_second, found.images) == (12, 3, 100)
    assert found.p_value == pytest.approx(576 / 2**14)
    assert found.difference == pytest.approx(0.09)
    assert (found.low, found.high) == pytest.approx(
        (0.09 - 1.96 * deviation, 0.09 + 1.96 * deviation), abs=0.012
    )
    assert found.is_settled


@pytest.mark.parametrize(("won", "lost", "images"), [(0.03, 0.03, 341), (0.1, 0.04, 200)])
def test_intervals_hold_the_true_difference_in_about_95_of_100_test_sets(
    won: float, lost: float, images: int
) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(150):
        values = rng.choice([1.0, -1.0, 0.0], images, p=[won, lost, 1 - won - lost])
        low, high = bootstrap_interval(values)
        held += low <= won - lost <= high

    assert 0.92 <= held / 150 <= 0.99


def test_answers_to_different_numbers_of_images_or_to_none_are_refused() -> None:
    for first, second in ((3, 4), (0, 0)):
        with pytest.raises(ValueError, match="wanted as many"):
            compare_paired(np.ones(first, bool), np.ones(second, bool))
