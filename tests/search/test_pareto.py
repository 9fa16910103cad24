"""NSGA-II's order: fronts and crowding as pymoo computes them, ties in a fixed order."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from raynas.search.pareto import Array, along, best_first, crowding_distances, fronts

VALUES = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
SHAPES = st.tuples(st.integers(0, 40), st.integers(1, 4))
OBJECTIVES = npst.arrays(np.float64, SHAPES, elements=VALUES)  # with ties and equal points

many = hypothesis_settings(max_examples=200)


@pytest.mark.slow
@many
@given(OBJECTIVES)
def test_fronts_are_those_of_pymoo(objectives: Array) -> None:
    found = [front.tolist() for front in fronts(objectives)]

    assert found == [front.tolist() for front in NonDominatedSorting().do(objectives)]


@pytest.mark.slow
@many
@given(OBJECTIVES)
def test_crowding_distances_are_those_of_pymoo(objectives: Array) -> None:
    """Pymoo takes the mean over the objectives, and NSGA-II the sum."""
    for front in fronts(objectives):
        points = objectives[front]
        expected = get_crowding_function("cd").do(points) * points.shape[1]

        np.testing.assert_allclose(crowding_distances(points), expected, rtol=1e-9)


@pytest.mark.slow
@many
@given(OBJECTIVES)
def test_the_order_goes_by_front_then_by_crowding_then_by_position(objectives: Array) -> None:
    keys = {}
    for rank, front in enumerate(fronts(objectives)):
        for index, distance in zip(front, crowding_distances(objectives[front]), strict=True):
            keys[int(index)] = (rank, -distance, int(index))

    assert list(best_first(objectives)) == sorted(range(len(objectives)), key=keys.__getitem__)


def test_of_equal_points_the_earlier_comes_first() -> None:
    assert list(best_first(np.ones((5, 3)))) == [0, 1, 2, 3, 4]


def test_the_extremes_of_the_first_front_come_before_what_lies_between() -> None:
    """Crowding from 1 to 3: 0.4 + 0.6 between 0 and 4, 0.6 + 0.6, then 0.6 + 0.8 of 10 each."""
    front = np.array([[4.0, 6.0], [0, 10], [10, 0], [2, 9]])

    assert crowding_distances(front) == pytest.approx([0.8 + 0.9, np.inf, np.inf, 0.4 + 0.4])
    assert list(best_first(front)) == [1, 2, 0, 3]


def test_an_objective_that_is_the_same_for_all_leaves_the_order_as_it_was() -> None:
    rng = np.random.default_rng(0)
    two = rng.integers(0, 9, (60, 2)).astype(float)

    assert list(best_first(np.c_[two, np.ones(60)])) == list(best_first(two))


def test_twenty_thousand_points_are_sorted_front_by_front_without_a_matrix_of_all_pairs() -> None:
    """A matrix of pairs would hold 400 million entries; the first front alone needs few."""
    objectives = np.random.default_rng(0).normal(size=(20_000, 3))
    first = next(fronts(objectives))
    taken = list(itertools.islice(best_first(objectives), 10))

    assert first.tolist() == NonDominatedSorting().do(objectives, n_fronts=1)[0].tolist()
    assert set(taken) <= set(first.tolist())


@pytest.mark.slow
@many
@given(OBJECTIVES, st.integers(1, 8))
def test_along_a_front_lie_both_ends_and_different_points_in_its_order(
    objectives: Array, count: int
) -> None:
    front = objectives[next(fronts(objectives), np.zeros(0, dtype=np.intp))]
    chosen = along(front, count)
    firsts = front[chosen, 0].tolist()

    assert len(chosen) == len(set(chosen)) == min(count, len(front))
    assert firsts == sorted(firsts)
    if chosen:
        assert firsts[0] == front[:, 0].min()
    if len(chosen) > 1:
        assert firsts[-1] == front[:, 0].max()


@given(st.integers(2, 30), st.integers(2, 10), st.floats(0.01, 100))
def test_on_a_straight_front_they_are_as_even_as_its_points_allow(
    size: int, count: int, scale: float
) -> None:
    places = np.arange(size, dtype=float)
    chosen = along(np.c_[places, -scale * places], count)
    wanted = np.linspace(0, size - 1, min(count, size))

    assert np.abs(np.array(chosen) - wanted).max() <= 0.5 + 1e-9


def test_a_cluster_of_points_gets_no_more_of_them_than_its_length() -> None:
    """Nine of ten points lie in the first tenth of the front."""
    places = np.r_[np.linspace(0, 0.1, 9), 0.5, 1.0]
    chosen = along(np.c_[places, -places], 3)

    assert places[chosen].tolist() == [0.0, 0.5, 1.0]
