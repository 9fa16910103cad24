"""A score that learns: itself until there is evidence, and the evidence thereafter."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raynas.costs.costs import Limits
from raynas.search.calibration import Calibration
from raynas.search.constrained_sampling import all_legal
from raynas.search.exact import best, k_best
from raynas.search.experts import balanced_experts, mixed, single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from raynas.storage.schemas import SCHEMAS
from tests.builders import shipped_costs, shipped_space

SEEDS = st.integers(0, 10**6)
MACRO = shipped_space("nas_bench_macro")
COSTS = shipped_costs("nas_bench_macro")
EVERY = list(all_legal(COSTS, Limits()))
LIMITS = Limits(max_macs=50_000_000)


def tables(seed: int = 0) -> list[Array]:
    """Return a random additive table of the space."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=block.size) for block in MACRO.blocks]


def build_calibration(table: list[Array] | None = None, **given: Any) -> Calibration:
    """Return a calibration on NAS-Bench-Macro's space that begins as a table."""
    parts: dict[str, Any] = {"costs": COSTS, "limits": Limits(), "space": MACRO, "seed": 0}
    return Calibration(single_expert(tables() if table is None else table), **(parts | given))


def build_mixture(seed: int = 0) -> Calibration:
    """Return a calibration that begins as two experts' score."""
    rng = np.random.default_rng(seed)
    x, counted = ([rng.exponential(size=b.size) for b in MACRO.blocks] for _ in range(2))
    return Calibration(balanced_experts(x, counted, MACRO), COSTS, Limits(), MACRO, 0)


def accuracy_of(truth: list[Array], architecture: Architecture, noise: float = 0.0) -> float:
    """Return an accuracy of which the images per mistake add up over layers."""
    return 1 - 1 / (15 + float(AdditiveScorer(truth)([architecture])[0]) + noise)


def learn(
    calibration: Calibration, truth: list[Array], trials: int, noise: float = 0.0
) -> list[Architecture]:
    """Run trials that the calibration proposes; return what was tried."""
    rng = np.random.default_rng(1)
    tried: list[Architecture] = []
    for _ in range(trials):
        architecture = calibration.propose(tried)
        assert architecture is not None
        calibration.observe(architecture, accuracy_of(truth, architecture, noise * rng.normal()))
        tried.append(architecture)
    return tried


def shown(calibration: Calibration, truth: list[Array], count: int, noise: float) -> Calibration:
    """Show a calibration random trainings."""
    rng = np.random.default_rng(2)
    for at in rng.choice(len(EVERY), count, replace=False):
        calibration.observe(EVERY[at], accuracy_of(truth, EVERY[at], noise * rng.normal()))
    return calibration


def tau(calibration: Calibration, truth: list[Array]) -> float:
    """Return Kendall's tau of the calibrated table over the whole space."""
    calibrated = AdditiveScorer(calibration.table())(EVERY)
    return float(stats.kendalltau(calibrated, AdditiveScorer(truth)(EVERY)).statistic)


def same(one: list[Array], other: list[Array]) -> bool:
    """Return whether two tables are equal bit by bit."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class TestWithoutEvidence:
    @settings(max_examples=5)
    @given(SEEDS)
    def test_the_ranking_and_the_first_proposal_are_the_scores(self, seed: int) -> None:
        table = tables(seed)
        calibration = build_calibration(table, limits=LIMITS)
        scores = AdditiveScorer(table)(EVERY)
        mean, _ = calibration.predict(EVERY)

        assert stats.spearmanr(mean, scores).statistic > 1 - 1e-9
        assert (
            stats.spearmanr(AdditiveScorer(calibration.table())(EVERY), mean).statistic > 1 - 1e-9
        )
        assert calibration.propose() == best(table, COSTS, LIMITS)[0]

    def test_the_table_is_the_experts_mixture_itself(self) -> None:
        calibration = build_mixture()

        assert same(calibration.table(), mixed(calibration._experts))

    @pytest.mark.parametrize(
        "accuracies", [[], [0.8], [0.0], [1.0], [0.8] * 6, [0.0] * 6, [1.0, 0.9999, 0.9995]]
    )
    def test_accuracies_that_tell_nothing_apart_leave_the_score(
        self, accuracies: list[float]
    ) -> None:
        """None, one alone, all equal, all of chance, all within one error in a thousand."""
        calibration = build_mixture()
        for at, accuracy in enumerate(accuracies):
            calibration.observe(EVERY[500 * at], accuracy)
        _, left_out = calibration.left_out()

        assert calibration.posterior is None
        assert same(calibration.table(), build_mixture().table())
        assert np.isnan(calibration.accuracies(EVERY[:2])).all()
        assert np.isnan(left_out).all()
        assert len(left_out) == len(accuracies)
        assert calibration.propose() is not None


class TestProposals:
    @settings(max_examples=4)
    @given(SEEDS)
    def test_they_keep_the_limits_and_never_repeat(self, seed: int) -> None:
        calibration = build_calibration(limits=LIMITS, seed=seed)
        taken: list[Architecture] = []
        for _ in range(5):
            architecture = calibration.propose(taken)
            assert architecture is not None
            assert LIMITS.allow(COSTS.of(architecture))
            calibration.observe(architecture, 0.9)
            taken.append(architecture)

        assert len(set(taken)) == 5

    def test_they_end_when_no_legal_architecture_is_left(self) -> None:
        macs = sorted(COSTS.of(a).macs for a in EVERY)
        limits = Limits(max_macs=macs[8], min_macs=macs[4])
        calibration = build_calibration(limits=limits)
        legal = {a for a in EVERY if limits.allow(COSTS.of(a))}
        found = set(learn(calibration, tables(1), len(legal)))

        assert found == legal
        assert calibration.propose(found) is None

    def test_what_was_trained_elsewhere_may_still_be_proposed(self) -> None:
        """A short training of the best architecture does not keep it from a long one."""
        first = build_calibration().propose()
        assert first is not None
        again = build_calibration()
        again.observe(first, 0.9, 0.2)

        assert again.propose() == first

    def test_a_candidate_without_a_score_is_never_proposed(self) -> None:
        table = tables()
        table[2][1] = -np.inf
        calibration = build_calibration(table)

        assert all(a[2] != 1 for a in learn(calibration, tables(1), 6))
        assert calibration.table()[2][1] == -np.inf
        assert np.isfinite(np.concatenate(calibration.table())).sum() == 23

    @pytest.mark.parametrize("limits", [Limits(), LIMITS])
    def test_the_best_of_a_learned_table_are_those_of_all_6561(self, limits: Limits) -> None:
        table = shown(build_mixture(), tables(1), 12, 0.1).table()
        legal = [each for each in EVERY if limits.allow(COSTS.of(each))]
        scores = AdditiveScorer(table)(legal)
        order = np.argsort(-scores)[:5]
        found = k_best(table, COSTS, limits, 5)

        assert [each for each, _ in found] == [legal[at] for at in order]
        np.testing.assert_allclose([score for _, score in found], scores[order])


class TestEvidence:
    def test_a_planted_additive_truth_is_recovered(self) -> None:
        truth = tables(10)
        calibration = shown(build_calibration(), truth, 64, 0.05)

        assert tau(build_calibration(), truth) < 0.5
        assert tau(calibration, truth) > 0.9

    def test_a_negated_score_is_abandoned(self) -> None:
        truth = tables()
        calibration = shown(build_calibration([-row for row in truth]), truth, 32, 0.3)

        assert tau(calibration, truth) > 0.5

    def test_a_perfect_score_is_kept(self) -> None:
        truth = tables()
        calibration = shown(build_calibration(truth), truth, 16, 0.3)

        assert tau(calibration, truth) > 0.9

    def test_the_expert_that_is_right_is_believed(self) -> None:
        """ReLU inputs are believed to a fifth before, and almost alone once they are the truth."""
        calibration = build_mixture()
        shown(calibration, [4 * row for row in calibration._experts[1].table], 32, 0.1)

        assert calibration._moments(1)[0] > 0.9

    def test_spread_shrinks_with_every_training_on_the_whole(self) -> None:
        _, before = build_calibration().predict(EVERY)
        _, after = shown(build_calibration(), tables(), 16, 0.0).predict(EVERY)

        assert after.mean() < 0.7 * before.mean()

    def test_what_counts_more_moves_the_weights_more(self) -> None:
        pair = [EVERY[0], EVERY[-1]]
        moved = []
        for weight in (0.05, 1.0):
            calibration = build_calibration(table=[np.arange(3.0) for _ in range(8)])
            for architecture, accuracy in zip(pair, (0.95, 0.6), strict=True):
                calibration.observe(architecture, accuracy, weight)
            mean, _ = calibration.predict(pair)
            moved.append(mean[1] - mean[0])

        assert moved[1] < moved[0]


class TestLevels:
    def test_early_rungs_are_compared_with_each_other_only(self) -> None:
        """All that early rungs share, such as accuracies still low, changes nothing."""
        scores = []
        for early in (0.3, 0.5):
            calibration = build_calibration()
            for at in (0, 900, 4000):
                calibration.observe(EVERY[at], 0.9 + at / 1e5)
            calibration.observe(EVERY[5000], early, 0.3)
            scores.append(calibration.predict(EVERY)[0])

        np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)

    def test_a_rung_that_contradicts_within_itself_is_learned_from(self) -> None:
        truth, means = tables(), []
        for sign in (1, -1):
            calibration = build_calibration()
            for at in range(0, 6000, 250):
                early = 0.4 + 0.02 * sign * float(AdditiveScorer(truth)([EVERY[at]])[0])
                calibration.observe(EVERY[at], early, 0.3)
            means.append(tau(calibration, truth))

        assert means[0] > 0.8
        assert means[1] < -0.3

    def test_short_trainings_alone_may_favour_some_macs_and_layers(self) -> None:
        """Both vary by 1 over the space, as a score does."""
        calibration = build_calibration()
        biases = calibration._biases([*EVERY, *EVERY], np.repeat([1.0, 0.2], len(EVERY)))
        macs, layers = biases[len(EVERY) :].T

        assert not biases[: len(EVERY)].any()
        assert np.corrcoef(macs, [COSTS.of(each).macs for each in EVERY])[0, 1] > 1 - 1e-9
        assert np.corrcoef(layers, np.count_nonzero(EVERY, axis=1))[0, 1] > 0.7
        np.testing.assert_allclose([macs.std(), layers.std()], 1)

    def test_what_size_alone_explains_of_short_trainings_is_not_learned(self) -> None:
        """Here they favour networks of few MACs, by as much as networks truly differ."""
        macs = np.array([COSTS.of(each).macs for each in EVERY], float)
        truth, found = tables(), []
        favour = -AdditiveScorer(truth)(EVERY).std() / macs.std()
        for weight in (1.0, 0.2):
            calibration, rng = build_calibration(truth), np.random.default_rng(0)
            for at in rng.choice(len(EVERY), 24, replace=False):
                favoured = favour * (macs[at] - macs.mean())
                calibration.observe(EVERY[at], accuracy_of(truth, EVERY[at], favoured), weight)
            found.append(tau(calibration, truth))

        assert found[0] < 0.7
        assert found[1] > 0.85


class TestIntervals:
    def test_they_are_ordered_accuracies_that_hold_nine_in_ten_unseen_trainings(self) -> None:
        rng = np.random.default_rng(0)
        held, spans = list[bool](), list[float]()
        for seed in range(4):
            truth = tables(seed)
            calibration = shown(build_calibration(tables(seed + 20)), truth, 24, 0.3)
            unseen = [EVERY[at] for at in rng.choice(len(EVERY), 60, replace=False)]
            reached = [accuracy_of(truth, each, 0.3 * rng.normal()) for each in unseen]
            low, middle, high = calibration.accuracies(unseen).T
            held += ((low <= reached) & (reached <= high)).tolist()

            assert (low >= 0).all()
            assert (high <= 1).all()
            assert (np.diff([low, middle, high], axis=0) >= 0).all()
            spans.append(float(np.mean(high - low) / np.ptp(np.quantile(reached, [0.05, 0.95]))))

        assert 0.82 < np.mean(held) < 0.98
        assert np.mean(spans) < 1

    def test_only_a_kind_of_training_that_was_seen_is_predicted(self) -> None:
        calibration = shown(build_calibration(), tables(), 6, 0.1)

        assert np.isnan(calibration.accuracies(EVERY[:2], 0.5)).all()
        assert np.isfinite(calibration.accuracies(EVERY[:2])).all()


class TestLeftOut:
    def test_what_is_predicted_knows_nothing_of_the_one_left_out(self) -> None:
        found = []
        for accuracy in (0.1, 0.99):
            calibration = shown(build_mixture(), tables(), 6, 0.1)
            calibration.observe(EVERY[77], accuracy)
            found.append([part[-1] for part in calibration.left_out()])

        assert found[0][0] == found[1][0]
        np.testing.assert_array_equal(found[0][1], found[1][1])

    def test_each_is_predicted_as_by_a_calibration_of_the_others(self) -> None:
        calibration = shown(build_mixture(), tables(), 6, 0.1)
        scores, accuracies = calibration.left_out()
        others = build_mixture()
        for architecture, accuracy, _ in calibration.observed[1:]:
            others.observe(architecture, accuracy)
        first = [calibration.observed[0][0]]

        assert scores[0] == pytest.approx(others.predict(first)[0][0])
        np.testing.assert_allclose(accuracies[:1], others.accuracies(first))


def test_a_state_that_went_through_json_continues_bit_by_bit() -> None:
    calibration = build_calibration(limits=LIMITS)
    learn(calibration, tables(1), 5)
    state = json.loads(json.dumps(calibration.state()))
    again = build_calibration(limits=LIMITS).restore(state)

    assert same(calibration.table(), again.table())
    assert learn(calibration, tables(1), 3) == learn(again, tables(1), 3)
    assert calibration.state() == again.state()


def test_rows_hold_every_weight_with_its_spread_and_the_belief_in_its_expert() -> None:
    calibration = build_mixture()
    for count in (1, 2):
        calibration.observe(EVERY[900 * count], 0.7 + count / 20)
        rows = calibration.rows()
        beliefs = {row["feature"].split("/")[0]: row["belief"] for row in rows}

        assert [row["feature"] for row in rows] == list(calibration.features)
        assert all(list(row) == SCHEMAS["calibration"].names for row in rows)
        assert {(row["trial_number"], row["architecture"]) for row in rows} == {
            (count, str(EVERY[900 * count]))
        }
        assert all(row["standard_deviation"] > 0 for row in rows)
        assert list(beliefs) == ["saliency", "relu_inputs"]
        assert sum(beliefs.values()) == pytest.approx(1)
