"""The time left of a stage: what its own pace says, and what the forecast says before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.terminal.eta import Remaining, longest_queue


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def worked(
    remaining: Remaining, clock: Clock, units: int, seconds: float, left: float = 100
) -> None:
    """Let a number of units be done, each in some seconds."""
    for done in range(1, units + 1):
        clock.now += seconds
        remaining.saw(left - done)


@given(st.integers(2, 90), st.floats(0.01, 100))
def test_a_steady_pace_without_a_forecast_is_told_exactly(units: int, seconds: float) -> None:
    clock = Clock()
    remaining = Remaining(100, clock=clock)
    worked(remaining, clock, units, seconds)

    assert remaining.seconds() == pytest.approx((100 - units) * seconds)


def test_nothing_is_said_while_nothing_is_known() -> None:
    clock = Clock()
    remaining = Remaining(100, clock=clock)
    assert remaining.seconds() is None
    worked(remaining, clock, 1, 5.0)
    assert remaining.seconds() is None  # the first unit came with the start of processes


def test_the_forecast_stands_in_until_work_is_done_and_counts_down() -> None:
    clock = Clock()
    remaining = Remaining(100, 50.0, clock)
    clock.now += 20
    assert remaining.seconds() == pytest.approx(30.0)
    clock.now += 100
    assert remaining.seconds() == 0.0


def test_a_forecast_that_was_wrong_gives_way_to_the_pace() -> None:
    clock = Clock()
    remaining = Remaining(100, 50.0, clock)
    worked(remaining, clock, 50, 4.0)  # forecast: 0.5 s each

    assert remaining.seconds() == pytest.approx(50 * 4.0, rel=0.2)


def test_the_start_of_processes_and_what_a_continued_run_had_done_do_not_count() -> None:
    clock = Clock()
    remaining = Remaining(100, clock=clock)
    clock.now += 60
    remaining.saw(40)
    worked(remaining, clock, 10, 2.0, left=40)

    assert remaining.seconds() == pytest.approx(30 * 2.0)


def test_a_change_of_pace_shows() -> None:
    clock = Clock()
    remaining = Remaining(1000, clock=clock)
    worked(remaining, clock, 100, 1.0, left=1000)
    worked(remaining, clock, 300, 3.0, left=900)

    assert remaining.seconds() == pytest.approx(600 * 3.0, rel=0.02)


def test_time_passes_between_two_units() -> None:
    clock = Clock()
    remaining = Remaining(100, clock=clock)
    worked(remaining, clock, 10, 10.0)
    clock.now += 7
    assert remaining.seconds() == pytest.approx(90 * 10.0 - 7)


@pytest.mark.parametrize(
    ("lengths", "places", "longest"),
    [([], 2, 0), ([15, 15, 15], 2, 30), ([14, 15, 15], 2, 29), ([5, 5, 5], 3, 5), ([2, 3], 1, 5)],
)
def test_the_longest_queue_ends_when_the_last_piece_does(
    lengths: list[float], places: int, longest: float
) -> None:
    assert longest_queue(lengths, places) == longest


@given(st.lists(st.integers(0, 50)), st.integers(1, 6))
def test_a_queue_is_no_shorter_than_the_work_shared_evenly(lengths: list[int], places: int) -> None:
    longest = longest_queue(lengths, places)
    assert longest >= sum(lengths) / places
    assert longest <= sum(lengths)
