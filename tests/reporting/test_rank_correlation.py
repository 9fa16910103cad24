"""Short trainings' statistics: golden values, verdicts, and what ranks nothing."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from raynas.reporting.rank_correlation import YARDSTICKS, Agreement, Check, checked

ACCURACIES = [0.1, 0.2, 0.3, 0.4, 0.5]


def row(accuracy: float | None, **values: float) -> dict[str, Any]:
    """Return a row of the table ``checks`` in which what is not named is constant."""
    constant = dict.fromkeys(("score", *YARDSTICKS), 1.0)
    return {**constant, "val_accuracy": accuracy} | values


def rows(**columns: list[float]) -> list[dict[str, Any]]:
    """Return a row for each of the accuracies, with some columns given."""
    return [
        row(accuracy, **{name: values[place] for name, values in columns.items()})
        for place, accuracy in enumerate(ACCURACIES)
    ]


def found(found_rows: list[dict[str, Any]]) -> Check:
    """Return what rows say; there must be enough of them."""
    check = checked(found_rows)
    assert check is not None
    return check


def spread_rows(score_noise: float, macs_noise: float, count: int = 30) -> list[dict[str, Any]]:
    """Return networks whose scores and MACs follow their accuracies up to noise."""
    rng = np.random.default_rng(3)
    accuracies = np.linspace(0.1, 0.9, count)
    scores = accuracies + score_noise * rng.normal(size=count)
    macs = accuracies + macs_noise * rng.normal(size=count)
    return [
        row(float(a), score=float(s), macs=float(m))
        for a, s, m in zip(accuracies, scores, macs, strict=True)
    ]


class TestTau:
    @pytest.mark.slow
    def test_a_swapped_pair_of_ten_is_tau_four_fifths(self) -> None:
        check = found(rows(score=[1, 2, 3, 5, 4], macs=[5, 4, 3, 2, 1]))

        assert check.score.tau == pytest.approx(0.8)  # nine pairs agree, one does not
        assert check.yardsticks["macs"].tau == pytest.approx(-1.0)

    def test_ties_count_as_in_tau_b(self) -> None:
        depth = [1.0, 1.0, 2.0, 2.0, 3.0]
        check = found(rows(depth=depth))

        assert check.yardsticks["depth"].tau == pytest.approx(8 / (8 * 10) ** 0.5)
        expected = stats.kendalltau(depth, ACCURACIES).statistic
        assert check.yardsticks["depth"].tau == pytest.approx(expected)

    def test_perfect_agreement_is_one_with_an_interval_that_ends_there(self) -> None:
        check = found(spread_rows(0.0, 0.0))

        score = check.score
        assert (score.low, score.tau, score.high) == pytest.approx((1.0, 1.0, 1.0))
        assert check.gains["macs"] == (0.0, 0.0)

    @pytest.mark.slow
    def test_an_interval_holds_tau_and_narrows_with_more_networks(self) -> None:
        few, many = (found(spread_rows(0.3, 0.3, count)) for count in (10, 100))

        for check in (few, many):
            for agreement in (check.score, *check.yardsticks.values()):
                assert agreement.low <= agreement.tau <= agreement.high
        assert many.score.high - many.score.low < (few.score.high - few.score.low) / 2

    def test_a_constant_column_ranks_nothing(self) -> None:
        check = found(rows(score=[1, 2, 3, 4, 5]))

        assert check.yardsticks["macs"] == Agreement(0.0, 0.0, 0.0)

    def test_equal_accuracies_rank_nothing(self) -> None:
        check = found([row(0.5, score=float(number)) for number in range(4)])

        assert check.score == Agreement(0.0, 0.0, 0.0)

    def test_minus_infinity_is_the_lowest_and_nan_ranks_nothing(self) -> None:
        check = found(rows(naswot=[-np.inf, 1, 2, 3, 4], depth=[np.nan, 1, 2, 3, 4]))

        assert check.yardsticks["naswot"].tau == pytest.approx(1.0)
        assert check.yardsticks["depth"].tau == 0.0

    @pytest.mark.slow
    def test_the_same_rows_say_the_same_again(self) -> None:
        assert checked(spread_rows(0.3, 0.5)) == checked(spread_rows(0.3, 0.5))


class TestLearned:
    def test_what_is_predicted_of_each_network_from_the_others_is_what_must_win(self) -> None:
        given = spread_rows(5.0, 0.5)
        rows = [row | {"architecture": f"{at}"} for at, row in enumerate(given)]
        predicted = [
            {"architecture": f"{at}", "kind": "left_out", "predicted_accuracy": row["val_accuracy"]}
            for at, row in enumerate(given)
        ]
        check = checked(rows, predicted)

        assert check is not None
        assert check.learned is not None
        assert check.learned.tau == pytest.approx(1.0)
        assert check.best == check.learned != check.score
        assert check.verdict.startswith("on these images the learned score beats")

    def test_of_counts_the_better_one_is_the_rival(self) -> None:
        given = [row | {"params": row["val_accuracy"]} for row in spread_rows(0.05, 0.5)]

        assert "does not beat parameters" in found(given).verdict

    @pytest.mark.parametrize("missing", [None, "absent"])
    def test_a_network_that_nothing_predicts_leaves_the_score_as_it_was(
        self, missing: str | None
    ) -> None:
        given = [row | {"architecture": f"{at}"} for at, row in enumerate(spread_rows(0.1, 0.5))]
        predicted = [
            {"architecture": row["architecture"], "kind": "left_out", "predicted_accuracy": 0.5}
            for row in given
        ]
        if missing is None:
            predicted[3]["predicted_accuracy"] = None
        else:
            del predicted[3]
        check = checked(given, predicted)

        assert check is not None
        assert check.learned is None


class TestWhatCounts:
    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_fewer_than_three_networks_say_nothing(self, count: int) -> None:
        assert checked(rows(score=[1, 2, 3, 4, 5])[:count]) is None

    @pytest.mark.slow
    def test_failed_trainings_do_not_count(self) -> None:
        good = rows(score=[1, 2, 3, 4, 5])

        assert found([*good, row(None, score=9.0)]) == found(good)
        assert checked([*good[:2], row(None), row(None)]) is None


class TestVerdict:
    def test_a_score_below_macs_does_not_beat_them(self) -> None:
        verdict = found(spread_rows(0.5, 0.05)).verdict

        assert "the score does not beat MACs" in verdict
        assert "no more trust than large networks" in verdict

    def test_a_score_that_equals_macs_does_not_beat_them(self) -> None:
        assert "does not beat MACs (tau 1.00 against 1.00)" in found(spread_rows(0, 0)).verdict

    def test_a_small_lead_of_few_networks_may_be_chance(self) -> None:
        check = found(rows(score=[1, 2, 3, 4, 5], macs=[1, 2, 3, 5, 4]))

        assert check.gains["macs"][0] == 0.0
        assert check.verdict == (
            "on these images the score ranks better than MACs (tau 1.00 against 0.80), "
            "but with 5 networks that may be chance"
        )

    def test_a_large_lead_is_a_win(self) -> None:
        check = found(spread_rows(0.05, 0.5))

        assert check.gains["macs"][0] > 0
        score, macs = check.score.tau, check.yardsticks["macs"].tau
        assert check.verdict == (
            f"on these images the score beats MACs (tau {score:.2f} against {macs:.2f})"
        )

    def test_where_small_networks_are_ahead_it_says_that_trainings_were_short(self) -> None:
        given = [row | {"macs": -row["macs"], "params": -row["macs"]} for row in spread_rows(0, 0)]

        assert found(given).verdict.startswith("after so few epochs small networks are ahead")
