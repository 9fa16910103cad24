"""Shares of stages: no scale of a layer decides between stages."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.search.formulas import Array
from raynas.search.stage_balance import balanced, centred, scaled

SEEDS = st.integers(0, 10**6)
STAGES = (0, 0, 1, 1, 1, 2)
SIZES = (3, 4, 2, 4, 3, 5)


def amounts(seed: int = 0) -> list[Array]:
    """Return what candidates have, some of it nothing."""
    rng = np.random.default_rng(seed)
    return [rng.exponential(size=size) * (rng.random(size) > 0.2) + 0.01 for size in SIZES]


def sums(table: list[Array]) -> Array:
    """Return the sums of all architectures."""
    return np.array([sum(choice) for choice in itertools.product(*table)])


@given(SEEDS, st.sampled_from(sorted(set(STAGES))), st.floats(1e-4, 1e4))
def test_multiplying_what_a_stage_has_changes_nothing(seed: int, stage: int, factor: float) -> None:
    x = amounts(seed)
    other = [row * factor if s == stage else row for row, s in zip(x, STAGES, strict=True)]

    for one, two in zip(balanced(x, STAGES), balanced(other, STAGES), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9)


@given(SEEDS)
def test_sums_have_mean_0_and_variance_1_over_all_architectures(seed: int) -> None:
    found = sums(balanced(amounts(seed), STAGES))

    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.var() == pytest.approx(1)


def test_a_table_is_what_its_equation_says() -> None:
    """Of M = 7, m = 1 and means of 2 in the first stage; a second one scales alike."""
    first, second = [np.array([1.0, 3.0]), np.array([0.0, 4.0])], [np.array([2.0, 10.0])]
    height = [math.log(1.1) - math.log(0.1 + least) for least in (1 / 7, 0.2)]
    raw = [
        *([math.log(0.1 + (each + 2) / 7) / height[0] for each in row] for row in first),
        [math.log(0.1 + each / 10) / height[1] for each in second[0]],
    ]
    expected = scaled([np.array(row) - np.mean(row) for row in raw])

    for row, wanted in zip(balanced([*first, *second], (0, 0, 1)), expected, strict=True):
        np.testing.assert_allclose(row, wanted)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_stage_without_a_choice_adds_nothing(value: float) -> None:
    x = amounts()
    x[2:5] = [np.full(len(row), value) for row in x[2:5]]
    table = balanced(x, STAGES)

    assert not any(row.any() for row in table[2:5])
    assert all(row.any() for row in (*table[:2], table[5]))


def test_what_is_not_known_stays_so_and_decides_nothing() -> None:
    x = amounts()
    x[3] = np.append(x[3], np.nan)
    for row, wanted in zip(balanced(x, STAGES), balanced(amounts(), STAGES), strict=True):
        np.testing.assert_array_equal(row[: len(wanted)], wanted)

    assert np.isnan(balanced(x, STAGES)[3][-1])


def test_a_table_without_variance_stays_as_it_is() -> None:
    table = centred([np.ones(3), np.full(2, np.nan)])

    for row in scaled(table):
        assert not np.nan_to_num(row).any()
