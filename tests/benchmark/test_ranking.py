"""Rank agreement: planted truths, parts, first choices, and the published yardsticks (13.1)."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from raynas.benchmark import ranking
from raynas.benchmark.ranking import Estimate
from raynas.benchmark.truth import Truth, read_truth
from raynas.search.indicators import AdditiveScorer
from tests.macro import Array, build_table, build_truth, record, sampled
from tests.test_paper import macro_table


def planted(table: Array, count: int = 300) -> Truth:
    return read_truth(json.dumps(build_truth(sampled(count), table)).encode(), "planted")


def score(table: Array, truth: Truth) -> Array:
    return truth.merged(AdditiveScorer(list(table))(truth.architectures))


def four_networks() -> Truth:
    """Return networks of 30, 40, 60 and 90 M MACs, of which the third is the best."""
    table = {
        "001": record(80.0, macs=30_000_000),
        "011": record(85.0, macs=40_000_000),
        "111": record(95.0, macs=60_000_000),
        "112": record(90.0, macs=90_000_000),
    }
    return read_truth(json.dumps(table).encode(), "four")


def test_tau_and_rho_are_kendalls_and_spearmans() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])

    assert ranking.tau(a, b) == pytest.approx(4 / 6)  # 5 pairs agree, 1 does not
    assert ranking.rho(a, b) == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 - 6 sum d^2 / (n^3 - n)


def test_ties_count_as_in_tau_b() -> None:
    a, b = np.array([1.0, 1, 2]), np.array([1.0, 2, 3])

    assert ranking.tau(a, b) == pytest.approx(2 / math.sqrt(2 * 3))


@pytest.mark.parametrize("flat", [[], [1.0], [2.0, 2.0, 2.0]])
def test_what_does_not_vary_agrees_with_nothing(flat: list[float]) -> None:
    values = np.arange(float(len(flat)))

    assert math.isnan(ranking.tau(np.array(flat), values))
    assert math.isnan(ranking.rho(values, np.array(flat)))


def test_the_planted_score_agrees_with_its_truth_entirely() -> None:
    table = build_table()
    found = ranking.measure(score(table, planted(table)), planted(table))

    ones = [name for name in found if name.startswith(("tau", "rho"))]
    assert len(ones) > 20
    assert {name: found[name] for name in ones} == pytest.approx(dict.fromkeys(ones, 1.0))
    assert [found[f"regret_{name}"] for name in ranking.BUDGETS] == [0.0] * 5


def test_the_opposite_of_the_planted_score_disagrees_entirely() -> None:
    table = build_table()
    found = ranking.measure(-score(table, planted(table)), planted(table))

    assert found["tau"] == found["tau_depth"] == found["tau_macs"] == pytest.approx(-1.0)
    assert found["regret_any"] == pytest.approx(np.ptp(planted(table).accuracy))


def test_equivalent_architectures_count_once() -> None:
    shared = record(90.0)
    table = {"100": record(80.0), "010": shared, "001": shared, "020": record(95.0)}
    truth = read_truth(json.dumps(table).encode(), "three networks")

    scores = truth.merged([1.0, 2.0, 6.0, 3.0])  # 1, 4, 3: of three pairs two agree
    assert ranking.measure(scores, truth)["tau"] == pytest.approx(1 / 3)


def test_a_mean_within_parts_is_plain_and_leaves_out_what_is_unknown() -> None:
    truth = planted(build_table())
    scores = score(build_table(1), truth)
    scores[truth.depth == 5] = 1.0
    found = ranking.correlations(scores, truth)

    depths = ranking.parts(truth)["depth"]
    assert "5" in depths
    each = [found[f"tau_depth_{depth}"] for depth in depths if depth != "5"]
    assert math.isnan(found["tau_depth_5"])
    assert found["tau_depth"] == pytest.approx(np.mean(each))


def test_a_score_that_only_counts_layers_says_nothing_within_equal_depth() -> None:
    truth = planted(build_table())
    found = ranking.correlations(truth.depth, truth)

    assert math.isnan(found["tau_depth"])
    assert math.isfinite(found["tau_macs"])


def test_a_part_of_fewer_than_ten_networks_is_left_out() -> None:
    truth = planted(build_table())
    depths = ranking.parts(truth)["depth"]

    counts = {str(depth): int((truth.depth == depth).sum()) for depth in range(9)}
    assert min(counts.values()) < 10
    assert {k: len(v) for k, v in depths.items()} == {k: n for k, n in counts.items() if n >= 10}


def test_quarters_by_macs_hold_every_network_once_and_the_cheapest_come_first() -> None:
    truth = replace(
        planted(build_table()), macs=np.random.default_rng(0).permutation(np.arange(300.0))
    )
    quarters = list(ranking.parts(truth)["macs"].values())

    assert [len(members) for members in quarters] == [75] * 4
    spans = [(truth.macs[members].min(), truth.macs[members].max()) for members in quarters]
    assert spans == [(0, 74), (75, 149), (150, 224), (225, 299)]


def test_regret_is_what_the_first_choice_under_a_limit_lacks() -> None:
    found = ranking.first_choices(np.array([1.0, 3.0, 2.0, 4.0]), four_networks())
    first = {name: value for name, value in found.items() if not name.startswith("regret3")}

    assert first == {
        "accuracy_40M": 85.0,
        "regret_40M": 0.0,
        "accuracy_50M": 85.0,
        "regret_50M": 0.0,
        "accuracy_60M": 85.0,
        "regret_60M": 10.0,
        "accuracy_70M": 85.0,
        "regret_70M": 10.0,
        "accuracy_any": 90.0,
        "regret_any": 5.0,
    }


def test_regret_of_three_is_what_the_best_of_the_first_three_lacks() -> None:
    found = ranking.first_choices(np.array([1.0, 3.0, 2.0, 4.0]), four_networks())

    assert found["regret3_60M"] == 0.0  # the third of three is the best
    assert found["regret3_any"] == 0.0
    assert ranking.first_choices(np.array([4.0, 3, 1, 2]), four_networks())["regret3_any"] == 5.0


def test_among_equal_scores_one_is_taken_blindly() -> None:
    found = ranking.first_choices(np.ones(4), four_networks())

    assert found["accuracy_40M"] == 82.5
    assert found["regret_any"] == 95 - (80 + 85 + 95 + 90) / 4


def test_a_limit_that_no_network_keeps_has_no_first_choice() -> None:
    truth = replace(four_networks(), macs=np.array([55e6, 56e6, 57e6, 80e6]))

    found = ranking.first_choices(np.ones(4), truth)
    assert {name.split("_")[1] for name in found} == {"60M", "70M", "any"}


def test_random_scores_are_positive_but_for_choice_0() -> None:
    table = {"".join("1" if j == i else "0" for j in range(8)): record(i) for i in range(8)}
    truth = read_truth(json.dumps({"00000000": record(9)} | table).encode(), "one layer each")
    scores = ranking.random_scores(truth, np.random.default_rng(0))

    assert scores[0] == 0.0
    assert len(set(scores[1:])) == 8
    assert scores[1:].min() > 0


@pytest.mark.slow
def test_yardsticks_repeat_and_random_ones_have_an_interval() -> None:
    truth = planted(build_table(), 60)
    found = ranking.yardsticks(truth)

    assert list(found) == ["depth", "sum of choices", "MACs", "params", "random positive scores"]
    assert found["random positive scores"].low is not None
    assert found["random positive scores"].high is not None
    assert (
        found["random positive scores"].low["tau"]
        < found["random positive scores"].mean["tau"]
        < found["random positive scores"].high["tau"]
    )
    assert (
        ranking.yardsticks(truth)["random positive scores"].mean["tau"]
        == found["random positive scores"].mean["tau"]
    )
    assert (
        ranking.yardsticks(truth, seed=1)["random positive scores"].mean["tau"]
        != found["random positive scores"].mean["tau"]
    )


@pytest.mark.slow
@pytest.mark.data
def test_yardsticks_of_nas_bench_macro_are_near_the_published_ones() -> None:
    truth = read_truth(json.dumps(macro_table()).encode(), "development")
    found = ranking.yardsticks(truth)

    taus = {name: estimate.mean["tau"] for name, estimate in found.items()}
    wanted = {
        "depth": 0.679,
        "sum of choices": 0.647,
        "MACs": 0.546,
        "params": 0.216,
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
    one, mean = ranking.ceilings(
        read_truth(json.dumps(macro_table()).encode(), "development")
    ).values()

    assert one.mean["tau"] == pytest.approx(0.880, abs=0.01)
    assert mean.mean["tau"] == pytest.approx(0.896, abs=0.01)
    depths = {2: 0.92, 3: 0.88, 4: 0.85, 5: 0.83, 6: 0.76, 7: 0.65, 8: 0.33}
    found = {depth: one.mean[f"tau_depth_{depth}"] for depth in depths}
    assert found == pytest.approx(depths, abs=0.07)


def test_the_ceiling_is_the_mean_over_pairs_of_trainings() -> None:
    repeats = np.array([[1.0, 1, 1], [2, 3, 2], [3, 2, 3], [4, 4, 4]])
    one, others = ranking.ceilings(replace(four_networks(), repeats=repeats)).values()

    assert one.mean["tau"] == pytest.approx((2 * 4 / 6 + 1) / 3)
    tied = 5 / math.sqrt(6 * 5)  # the mean of the first two puts 2.5 twice
    assert others.mean["tau"] == pytest.approx((1 * tied + 1 * tied + 4 / 6) / 3)
    assert "regret_any" not in one.mean


@pytest.mark.parametrize(("trainings", "rows"), [(1, 0), (2, 1), (3, 2)])
def test_a_ceiling_needs_trainings_to_compare(trainings: int, rows: int) -> None:
    repeats = np.random.default_rng(0).uniform(size=(4, trainings))

    assert len(ranking.ceilings(replace(four_networks(), repeats=repeats))) == rows


def test_a_spread_holds_95_percent_of_the_samples() -> None:
    found = ranking.spread([{"tau": float(value)} for value in range(1001)])

    assert found == Estimate({"tau": 500.0}, {"tau": 25.0}, {"tau": 975.0})


def test_the_bootstrap_interval_is_that_of_the_mean_when_runs_are_drawn_again() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 40)
    found = ranking.bootstrap([{"tau": float(value)} for value in values])

    assert found.low is not None
    assert found.high is not None
    error = 1.96 * values.std() / math.sqrt(40)
    assert found.mean["tau"] == pytest.approx(values.mean())
    assert found.low["tau"] == pytest.approx(values.mean() - error, abs=0.005)
    assert found.high["tau"] == pytest.approx(values.mean() + error, abs=0.005)


def test_one_run_has_no_interval() -> None:
    assert ranking.bootstrap([{"tau": 0.5}]) == Estimate({"tau": 0.5})
