"""The interval of an accuracy: scipy's own numbers, its ends, and how it narrows."""

import pytest
from scipy.stats import binomtest

from raynas.reporting.confidence import wilson


class TestWilson:
    @pytest.mark.parametrize(
        ("correct", "images"), [(0, 1), (1, 1), (5, 10), (29, 30), (0, 360), (9312, 10_000)]
    )
    def test_it_is_the_interval_that_scipy_computes(self, correct: int, images: int) -> None:
        expected = binomtest(correct, images).proportion_ci(0.95, method="wilson")

        assert wilson(correct / images, images) == pytest.approx((expected.low, expected.high))

    def test_right_answers_only_leave_doubt_that_fades_with_more_images(self) -> None:
        few, many = wilson(1.0, 20), wilson(1.0, 2000)

        assert few == pytest.approx((0.8389, 1.0), abs=1e-4)
        assert few[0] < many[0] < 1.0

    def test_no_images_say_nothing(self) -> None:
        assert wilson(0.0, 0) == (0.0, 1.0)

    @pytest.mark.parametrize(("share", "images"), [(-0.1, 5), (1.1, 5), (93.0, 5), (0.5, -1)])
    def test_what_is_no_share_is_refused(self, share: float, images: int) -> None:
        with pytest.raises(ValueError, match="wanted one in"):
            wilson(share, images)
