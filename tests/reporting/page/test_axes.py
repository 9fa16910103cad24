"""Axes: where values lie, and which are marked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.reporting.page.axes import Axis, spanning

RANGES = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))


@given(RANGES, st.integers(2, 12))
def test_ticks_lie_on_the_axis_are_even_and_not_too_many(
    limits: tuple[float, float], most: int
) -> None:
    low, width = limits
    axis = Axis("", low, low + width)
    values = [value for value, _ in axis.ticks(most)]

    assert all(low - 1e-6 * width <= value <= low + 1.000001 * width for value in values)
    assert 1 <= len(values) <= most + 1
    steps = np.diff(values)
    assert steps == pytest.approx(np.full(len(steps), steps[0]) if len(steps) else [], rel=1e-3)


def test_ticks_have_as_many_decimals_as_they_need_and_thousands_a_comma() -> None:
    assert [text for _, text in Axis("", 0, 1).ticks(5)] == [
        "0.0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1.0",
    ]
    assert [text for _, text in Axis("", 0, 2000).ticks(2)] == ["0", "1,000", "2,000"]


def test_whole_numbers_alone_are_marked_where_asked_for() -> None:
    ticks = Axis("", 0.9, 4.1, is_whole=True).ticks(8)

    assert [text for _, text in ticks] == ["1", "2", "3", "4"]


def test_a_logarithmic_axis_marks_powers_and_gives_equal_ratios_equal_room() -> None:
    axis = Axis("", 0.01, 100, is_log=True)

    assert [value for value, _ in axis.ticks(5)] == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert axis.places([0.01, 1, 100], 0, 400).tolist() == pytest.approx([0, 200, 400])


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [float("nan")], [float("inf"), 2.0]])
def test_odd_values_still_give_an_axis_on_which_they_have_room(values: list[float]) -> None:
    axis = spanning(values, "x")
    finite = [value for value in values if np.isfinite(value)]

    assert axis.low < axis.high
    assert all(axis.low < value < axis.high for value in finite)
    assert np.isfinite(axis.places(finite, 0, 100)).all()


def test_values_that_a_logarithm_does_not_have_do_not_decide_its_range() -> None:
    axis = spanning([0.0, 1.0, 100.0], "x", margin=0.0, is_log=True)

    assert (axis.low, axis.high) == pytest.approx((1, 100))
