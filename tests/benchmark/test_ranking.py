"""Rank agreement: planted truths, parts, first choices under limits, nDCG."""

import json
import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from raynas.benchmark import ranking
from raynas.benchmark.ranking import Estimate
from raynas.benchmark.truths.reading import parse_truths
from raynas.benchmark.truths.truth import Truth
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from tests.macro import Array, build_table, build_truth, record, sampled

LIMITS = {"40M": 40e6, "50M": 50e6, "60M": 60e6, "70M": 70e6, "any": math.inf}


def planted(table: Array, count: int = 300) -> Truth:
    return parse_truths(json.dumps(build_truth(sampled(count), table)).encode(), "planted")


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
    return parse_truths(json.dumps(table).encode(), "four")


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
    regrets = [value for name, value in found.items() if name.startswith("regret")]
    assert regrets == [0.0] * 8


def test_the_opposite_of_the_planted_score_disagrees_entirely() -> None:
    table = build_table()
    found = ranking.measure(-score(table, planted(table)), planted(table))

    assert found["tau"] == found["tau_depth"] == found["tau_macs"] == pytest.approx(-1.0)
    assert found["regret_any"] == pytest.approx(np.ptp(planted(table).accuracy))


def test_equivalent_architectures_count_once() -> None:
    shared = record(90.0)
    table = {"100": record(80.0), "010": shared, "001": shared, "020": record(95.0)}
    truth = parse_truths(json.dumps(table).encode(), "three networks")

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
    found = ranking.first_choices(np.array([1.0, 3.0, 2.0, 4.0]), four_networks(), LIMITS)
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
    found = ranking.first_choices(np.array([1.0, 3.0, 2.0, 4.0]), four_networks(), LIMITS)

    assert found["regret3_60M"] == 0.0  # the third of three is the best
    assert found["regret3_any"] == 0.0
    assert (
        ranking.first_choices(np.array([4.0, 3, 1, 2]), four_networks(), LIMITS)["regret3_any"]
        == 5.0
    )


def test_among_equal_scores_one_is_taken_blindly() -> None:
    found = ranking.first_choices(np.ones(4), four_networks(), LIMITS)

    assert found["accuracy_40M"] == 82.5
    assert found["regret_any"] == 95 - (80 + 85 + 95 + 90) / 4


def test_a_limit_that_no_network_keeps_has_no_first_choice() -> None:
    truth = replace(four_networks(), macs=np.array([55e6, 56e6, 57e6, 80e6]))

    found = ranking.first_choices(np.ones(4), truth, LIMITS)
    assert {name.split("_")[1] for name in found} == {"60M", "70M", "any"}


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


VALUES = st.lists(st.integers(0, 20), min_size=2, max_size=40)


@st.composite
def scored_networks(draw: st.DrawFn) -> tuple[Array, Array]:
    """Return scores and accuracies of networks, some of them equal, and not all."""
    accuracy = draw(VALUES.filter(lambda values: len(set(values)) > 1))
    scores = draw(st.lists(st.integers(-3, 3), min_size=len(accuracy), max_size=len(accuracy)))
    return np.array(scores, dtype=np.float64), 50 + np.array(accuracy, dtype=np.float64)


class TestNdcg:
    @given(scored_networks())
    def test_it_lies_in_0_to_1_and_is_1_for_the_true_order(
        self, networks: tuple[Array, Array]
    ) -> None:
        scores, accuracy = networks

        found = ranking.ndcg(scores, accuracy)
        assert math.isnan(found) == (len(set(scores)) == 1)
        assert math.isnan(found) or 0 <= found <= 1
        assert ranking.ndcg(accuracy, accuracy) == pytest.approx(1.0)
        assert ranking.ndcg(accuracy**3, accuracy) == pytest.approx(1.0)

    @given(scored_networks())
    def test_it_is_that_of_a_library_with_the_published_gains(
        self, networks: tuple[Array, Array]
    ) -> None:
        scores, accuracy = networks
        low, best = np.quantile(accuracy, 0.2), accuracy.max()
        assume(best > low and np.ptp(scores) > 0)
        gains = 2 ** (20 * np.clip((accuracy - low) / (best - low), 0, 1)) - 1

        wanted = ndcg_score([gains], [scores], k=math.ceil(len(scores) / 10))
        assert ranking.ndcg(scores, accuracy) == pytest.approx(wanted, abs=1e-9)

    def test_places_are_discounted_as_published(self) -> None:
        accuracy = np.array([90.0, 89.0, 88.0, *np.linspace(60, 70, 27)])
        scores = np.array([1.0, 3.0, 2.0, *np.linspace(-9, -1, 27)])
        low = np.quantile(accuracy, 0.2)
        gains = 2 ** (20 * (accuracy[:3] - low) / (90 - low)) - 1

        discounts = [1, 1 / np.log2(3), 1 / 2]
        wanted = (gains[[1, 2, 0]] @ discounts) / (gains @ discounts)
        assert ranking.ndcg(scores, accuracy) == pytest.approx(wanted)

    def test_the_first_tenth_counts_alone(self) -> None:
        accuracy = np.arange(50.0, 70.0)
        scores = np.where(accuracy >= 68, accuracy, -accuracy)

        assert ranking.ndcg(scores, accuracy) == pytest.approx(1.0)

    def test_the_best_network_counts_where_all_others_are_equal(self) -> None:
        accuracy = np.array([90.0, *[80.0] * 4, *[90.0] * 15])

        assert ranking.ndcg(accuracy, accuracy) == pytest.approx(1.0)
        assert ranking.ndcg(-accuracy, accuracy) == 0.0


class TestRegret:
    @given(scored_networks(), st.randoms(use_true_random=False))
    def test_it_is_never_negative_and_0_for_the_truth_itself(
        self, networks: tuple[Array, Array], random: Random
    ) -> None:
        scores, accuracy = networks
        count = len(accuracy)
        macs = np.array([float(random.randint(1, 5)) for _ in range(count)])
        keys = tuple(Architecture([at]) for at in range(count))
        truth = Truth("it", keys, np.arange(count), accuracy, accuracy[:, None], macs=macs)

        found = ranking.first_choices(scores, truth)
        regrets = {name: v for name, v in found.items() if name.startswith("regret")}
        assert min(regrets.values()) >= 0
        assert "regret_any" in regrets
        known = ranking.first_choices(accuracy, truth)
        assert {known[name] for name in regrets} == {0.0}


class TestLimits:
    def test_without_wishes_they_are_the_quartiles_that_networks_have(self) -> None:
        truth = planted(build_table())
        limits = ranking.limits_of(truth)

        assert list(limits)[-1] == "any"
        assert truth.macs is not None
        kept = [(truth.macs <= limit).mean() for limit in list(limits.values())[:-1]]
        assert all(share >= quarter for share, quarter in zip(kept, (0.25, 0.5, 0.75), strict=True))
        assert set(limits.values()) - {math.inf} <= set(truth.macs)

    def test_wishes_are_named_as_they_are_written(self) -> None:
        assert ranking.limits_of(four_networks(), [50e6, 40e6]) == {
            "40M": 40e6,
            "50M": 50e6,
            "any": math.inf,
        }

    def test_there_are_none_where_nobody_knows_the_costs(self) -> None:
        truth = replace(four_networks(), macs=None)

        assert ranking.limits_of(truth, [40e6]) == {"any": math.inf}
        found = ranking.measure(np.array([1.0, 3.0, 2.0, 4.0]), truth)
        assert found["regret_any"] == 5.0
        assert "tau_macs" not in found
