"""AZ-NAS' aggregation: one score of several, by ranks."""

from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raynas.benchmark.log_ranks import log_ranks

TABLES = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 8)),
    elements=st.integers(-5, 5).map(float),
)


def test_ranks_begin_at_the_worst_and_ties_share_their_mean() -> None:
    found = log_ranks([np.array([0.5, 9.0, 0.1]), np.array([-2.0, 3.0, 3.0])])

    assert found == pytest.approx(np.log([2 / 3 * 1 / 3, 3 / 3 * 2.5 / 3, 1 / 3 * 2.5 / 3]))


def test_a_network_that_one_score_ranks_last_falls_behind_one_that_is_in_the_middle_of_all() -> (
    None
):
    """Means of ranks would call them equal: 1 and 5 against 3 and 3."""
    found = log_ranks([np.array([1.0, 3, 2, 4, 5]), np.array([5.0, 3, 1, 2, 4])])

    assert found[0] < found[1]


def test_a_score_that_is_not_known_comes_last() -> None:
    assert np.argsort(log_ranks([np.array([3.0, np.nan, -np.inf, np.inf])])).tolist() == [
        1,
        2,
        0,
        3,
    ]


@given(TABLES, st.randoms())
def test_only_the_orders_matter_and_neither_places_nor_which_score_is_which(
    scores: npt.NDArray[np.float64], random: Random
) -> None:
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    found = log_ranks(list(scores))

    assert (found <= 0).all()
    assert log_ranks(list(scores[::-1, order])) == pytest.approx(found[order])
    assert log_ranks(list(scores**3 - 7)) == pytest.approx(found)
