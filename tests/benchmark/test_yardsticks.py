"""Yardsticks and noise ceilings: what they are, and the published ones."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from raynas.benchmark import yardsticks
from raynas.benchmark.ranking import tau
from raynas.benchmark.truths.reading import parse_truths
from tests.benchmark.test_ranking import four_networks, planted
from tests.benchmark.test_truth_files import accel_truth
from tests.macro import build_table, record
from tests.test_paper import macro_table


def test_random_scores_are_positive_but_for_choice_0() -> None:
    table = {"".join("1" if j == i else "0" for j in range(8)): record(70 + i) for i in range(8)}
    truth = parse_truths(json.dumps({"00000000": record(60)} | table).encode(), "one layer each")
    scores = yardsticks.random_scores(truth, np.random.default_rng(0))

    assert scores[0] == 0.0
    assert len(set(scores[1:])) == 8
    assert scores[1:].min() > 0


@pytest.mark.slow
def test_yardsticks_repeat_and_random_ones_have_an_interval() -> None:
    truth = planted(build_table(), 60)
    found = yardsticks.yardsticks(truth)

    trivial = ["depth", "MACs", "params", "log params + log MACs"]
    assert list(found) == [*trivial, "random positive scores"]
    assert found["random positive scores"].low is not None
    assert found["random positive scores"].high is not None
    assert (
        found["random positive scores"].low["tau"]
        < found["random positive scores"].mean["tau"]
        < found["random positive scores"].high["tau"]
    )
    assert (
        yardsticks.yardsticks(truth)["random positive scores"].mean["tau"]
        == found["random positive scores"].mean["tau"]
    )
    assert (
        yardsticks.yardsticks(truth, seed=1)["random positive scores"].mean["tau"]
        != found["random positive scores"].mean["tau"]
    )


@pytest.mark.slow
@pytest.mark.data
def test_yardsticks_of_nas_bench_macro_are_near_the_published_ones() -> None:
    truth = parse_truths(json.dumps(macro_table()).encode(), "development")
    found = yardsticks.yardsticks(truth)

    taus = {name: estimate.mean["tau"] for name, estimate in found.items()}
    wanted = {
        "depth": 0.679,
        "MACs": 0.546,
        "params": 0.216,
        "log params + log MACs": 0.38,
        "random positive scores": 0.47,
    }
    assert taus == pytest.approx(wanted, abs=0.03)
    random = found["random positive scores"]
    assert random.mean["tau_depth"] == pytest.approx(0.0, abs=0.05)
    assert [random.mean[f"tau_depth_{depth}"] for depth in range(2, 9)] == pytest.approx(
        [0.01] * 7, abs=0.05
    )
    within = [found["MACs"].mean[f"tau_depth_{depth}"] for depth in range(3, 9)]
    assert within == pytest.approx([0.18, 0.12, 0.10, 0.14, 0.21, 0.54], abs=0.08)


@pytest.mark.data
def test_the_noise_ceiling_of_nas_bench_macro_is_near_the_published_one() -> None:
    one, mean = yardsticks.ceilings(
        parse_truths(json.dumps(macro_table()).encode(), "development")
    ).values()

    assert one.mean["tau"] == pytest.approx(0.880, abs=0.01)
    assert mean.mean["tau"] == pytest.approx(0.896, abs=0.01)
    depths = {2: 0.92, 3: 0.88, 4: 0.85, 5: 0.83, 6: 0.76, 7: 0.65, 8: 0.33}
    found = {depth: one.mean[f"tau_depth_{depth}"] for depth in depths}
    assert found == pytest.approx(depths, abs=0.07)


def test_the_ceiling_is_the_mean_over_pairs_of_trainings() -> None:
    repeats = np.array([[1.0, 1, 1], [2, 3, 2], [3, 2, 3], [4, 4, 4]])
    one, others = yardsticks.ceilings(replace(four_networks(), repeats=repeats)).values()

    assert one.mean["tau"] == pytest.approx((2 * 4 / 6 + 1) / 3)
    tied = 5 / math.sqrt(6 * 5)  # the mean of the first two puts 2.5 twice
    assert others.mean["tau"] == pytest.approx((1 * tied + 1 * tied + 4 / 6) / 3)
    assert "regret_any" not in one.mean


@pytest.mark.parametrize(("trainings", "rows"), [(1, 0), (2, 1), (3, 2)])
def test_a_ceiling_needs_trainings_to_compare(trainings: int, rows: int) -> None:
    repeats = np.random.default_rng(0).uniform(size=(4, trainings))

    assert len(yardsticks.ceilings(replace(four_networks(), repeats=repeats))) == rows


@pytest.mark.data
def test_yardsticks_of_accel_nasbench_are_near_the_published_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yardsticks, "_DRAWS", 2)
    truth = accel_truth()
    found = yardsticks.yardsticks(truth)

    taus = {name: estimate.mean["tau"] for name, estimate in found.items()}
    del taus["random positive scores"]
    wanted = {"depth": 0.25, "MACs": 0.48, "params": 0.65, "log params + log MACs": 0.67}
    assert taus == pytest.approx(wanted, abs=0.03)
    within = [found["params"].mean[f"tau_macs_{quarter}"] for quarter in range(1, 5)]
    assert within == pytest.approx([0.6, 0.62, 0.61, 0.5], abs=0.07)
    assert yardsticks.ceilings(truth) == {}  # six of them were trained twice


def test_the_ceiling_is_of_the_networks_that_were_trained_again() -> None:
    truth = planted(build_table(), 40)
    again = np.random.default_rng(0).normal(truth.accuracy, 1)
    repeats = np.stack([truth.accuracy, np.where(np.arange(40) < 12, again, np.nan)], axis=1)
    (one,) = yardsticks.ceilings(replace(truth, repeats=repeats)).values()

    assert one.mean["tau"] == pytest.approx(tau(truth.accuracy[:12], again[:12]))
    few = np.where(np.arange(40)[:, None] < 9, repeats, repeats * [1, np.nan])
    assert yardsticks.ceilings(replace(truth, repeats=few)) == {}


def test_what_nobody_knows_is_no_yardstick() -> None:
    truth = replace(four_networks(), skips=None, params=None)
    known = [
        name for name, values in yardsticks.trivial_scores(truth).items() if values is not None
    ]

    assert known == ["MACs"]
