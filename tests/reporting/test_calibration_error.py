"""Whether confidences are what they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.reporting.calibration_error import reliability

ANSWERS = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=200
).map(lambda pairs: tuple(map(np.array, zip(*pairs, strict=True))))


def test_the_error_is_the_mean_gap_weighted_by_images() -> None:
    """Two of four answers at 0.9 are right, and both at 0.3: (4 x 0.4 + 2 x 0.7) / 6."""
    confidence = np.array([0.9] * 4 + [0.3] * 2)
    found = reliability(confidence, np.array([1, 1, 0, 0, 1, 1], bool))

    assert found.error == pytest.approx((4 * 0.4 + 2 * 0.7) / 6)
    assert found.images.tolist() == [0] * 4 + [2] + [0] * 8 + [4, 0]
    assert math.isnan(found.accuracy[0])


@given(ANSWERS)
def test_each_answer_is_in_the_bin_of_its_confidence(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    confidence, right = answers
    found = reliability(confidence, right)
    known = found.images > 0
    edges = np.arange(16) / 15

    assert found.images.sum() == len(right)
    assert np.dot(found.accuracy[known], found.images[known]) == pytest.approx(right.sum())
    assert (found.confidence[known] >= edges[:-1][known] - 1e-6).all()
    assert (found.confidence[known] <= edges[1:][known] + 1e-6).all()
    assert 0 <= found.error <= 1


def test_of_no_answers_there_is_no_error() -> None:
    assert math.isnan(reliability(np.array([]), np.array([])).error)
