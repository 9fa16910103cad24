"""The calibrated search: the indicator until there is evidence, and the evidence thereafter."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raynas.costs.costs import Limits
from raynas.search import posterior
from raynas.search.calibration import Calibration
from raynas.search.constrained_sampling import all_legal
from raynas.search.exact import best
from raynas.search.experts import single_expert
from raynas.search.features import INDICATOR, build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.search.posterior import Observation, Prior, fit
from raynas.spaces.architecture import Architecture
from raynas.storage.schemas import SCHEMAS
from tests.bench.macro import SALIENCY, TAYLOR, Replay, checked, load_replay, planted, replay
from tests.builders import SHARED_DATA, shipped_costs, shipped_space

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
    """Return a calibration on NAS-Bench-Macro's space."""
    parts: dict[str, Any] = {"costs": COSTS, "limits": Limits(), "space": MACRO, "seed": 0}
    return Calibration(single_expert(tables() if table is None else table), **(parts | given))


def learn(
    calibration: Calibration, truth: list[Array], trials: int, noise: float = 0.0
) -> list[Architecture]:
    """Run trials of which the images per mistake add up over layers; return what was tried."""
    rng = np.random.default_rng(1)
    tried: list[Architecture] = []
    for _ in range(trials):
        architecture = calibration.propose(tried)
        assert architecture is not None
        score = AdditiveScorer(truth)([architecture])[0] + noise * rng.normal()
        calibration.observe(architecture, 1 - 1 / (15 + score))
        tried.append(architecture)
    return tried


def tau(calibration: Calibration, truth: list[Array]) -> float:
    """Return Kendall's tau of the calibrated table over the whole space."""
    calibrated = AdditiveScorer(calibration.table())(EVERY)
    return float(stats.kendalltau(calibrated, AdditiveScorer(truth)(EVERY)).statistic)


class TestWithoutEvidence:
    @pytest.mark.slow
    @settings(max_examples=25)
    @given(SEEDS)
    def test_the_ranking_and_the_first_proposal_are_the_indicators(self, seed: int) -> None:
        table = tables(seed)
        calibration = build_calibration(table, limits=LIMITS)
        scores = AdditiveScorer(table)(EVERY)
        mean, _ = calibration.predict(EVERY)

        np.testing.assert_array_equal(AdditiveScorer(calibration.table())(EVERY), scores)
        np.testing.assert_array_equal(np.argsort(mean), np.argsort(scores))
        assert calibration.propose() == best(table, COSTS, LIMITS)[0]

    def test_one_accuracy_alone_says_nothing_about_the_order(self) -> None:
        calibration = build_calibration()
        learn(calibration, tables(1), 1)

        assert tau(calibration, tables()) > 0.999

    def test_the_indicators_weight_is_one_and_all_others_are_zero(self) -> None:
        calibration = build_calibration()
        mean = dict(zip(calibration.features, calibration.posterior.mean, strict=True))

        assert mean.pop(INDICATOR) == pytest.approx(1)
        assert not any(mean.values())


class TestProposals:
    @given(SEEDS)
    def test_they_keep_the_limits_and_never_repeat(self, seed: int) -> None:
        calibration = build_calibration(limits=LIMITS, seed=seed)
        taken = [calibration.propose()]
        while len(taken) < 6:
            taken.append(calibration.propose([a for a in taken if a]))
        for architecture in taken:
            assert architecture is not None
            assert LIMITS.allow(COSTS.of(architecture))
            calibration.observe(architecture, 0.9)

        assert len({*taken, calibration.propose([a for a in taken if a])}) == 7

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
        calibration = build_calibration()
        first = calibration.propose()
        assert first is not None
        again = build_calibration()
        again.observe(first, 0.9, 0.2)

        assert again.propose() == first

    def test_the_first_is_not_insisted_on_where_it_is_taken(self) -> None:
        first = build_calibration().propose()
        assert first is not None

        assert build_calibration().propose([first]) not in {None, first}

    def test_a_candidate_without_an_indicator_is_never_proposed(self) -> None:
        table = tables()
        table[2][1] = -np.inf
        calibration = build_calibration(table)

        assert all(a[2] != 1 for a in learn(calibration, tables(1), 8))
        assert calibration.table()[2][1] == -np.inf


class TestEvidence:
    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(3))
    def test_a_planted_additive_truth_is_recovered(self, seed: int) -> None:
        truth, calibration = tables(seed + 10), build_calibration(seed=seed)
        before = tau(calibration, truth)
        learn(calibration, truth, 32, noise=0.05)

        assert before < 0.5
        assert tau(calibration, truth) > 0.9

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(3))
    def test_a_negated_indicator_is_abandoned(self, seed: int) -> None:
        truth = tables(seed)
        calibration = build_calibration([-row for row in truth], seed=seed)
        learn(calibration, truth, 32, noise=0.3)

        assert tau(calibration, truth) > 0.5

    @pytest.mark.parametrize("seed", range(3))
    def test_a_perfect_indicator_is_kept(self, seed: int) -> None:
        truth = tables(seed)
        calibration = build_calibration(truth, seed=seed)
        learn(calibration, truth, 16, noise=0.3)

        assert tau(calibration, truth) > 0.9

    def test_spread_shrinks_with_every_trial_on_the_whole(self) -> None:
        calibration = build_calibration()
        _, before = calibration.predict(EVERY)
        learn(calibration, tables(), 16)
        _, after = calibration.predict(EVERY)

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


def test_the_posterior_is_that_of_a_ridge_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one scale left, the mean solves (P + X'WX) w = X'Wr with the offset unpenalised."""
    for name, values in {
        "_POWERS": (-1,),
        "_SCALES": (2.0,),
        "_DEPARTURES": (0.5,),
        "_NOISES": (0.4,),
    }.items():
        monkeypatch.setattr(posterior, name, values)
    rng = np.random.default_rng(0)
    x, accuracy = rng.normal(size=(9, 4)), rng.uniform(0.6, 0.9, 9)
    prior = Prior(np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 0.5, 2]))
    found = fit(prior, [Observation(row, a, 0.7) for row, a in zip(x, accuracy, strict=True)])

    y = 1 / (1 - accuracy)
    r = (y - y.mean()) / (2.0 * y.std(ddof=1)) - x @ prior.mean
    penalty = np.diag(np.r_[(0.5 * prior.spread) ** -2.0, 100.0**-2])
    design = np.c_[x, np.ones(9)]
    precision = penalty + design.T @ design * 0.7 / 0.16
    solution = np.linalg.solve(precision, design.T @ r * 0.7 / 0.16)

    np.testing.assert_allclose(found.mean, prior.mean + solution[:4])
    _, spread = found.project(np.eye(4))
    np.testing.assert_allclose(spread, np.sqrt(np.diag(np.linalg.inv(precision))[:4]))


def test_evidence_is_the_density_of_what_was_observed() -> None:
    """It is log N(r; 0, X V X' + N) up to the constant that all grid points share."""
    rng = np.random.default_rng(0)
    x, r, variance, noise = rng.normal(size=(6, 3)), rng.normal(size=6), np.ones(3), np.full(6, 0.3)
    log, _, _ = posterior._regress(x, r[:, None], variance, noise)
    density = stats.multivariate_normal(np.zeros(6), x @ x.T + 0.3 * np.eye(6)).logpdf(r)

    assert log[0] - 3 * np.log(2 * np.pi) == pytest.approx(density)


def test_each_group_of_features_varies_by_one_over_the_space() -> None:
    features = build_features(tables(), MACRO)
    values = features.of(EVERY)
    groups = np.array([name.split(":")[0] for name in features.names])

    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    for group in np.unique(groups):
        assert values[:, groups == group].var(axis=0).sum() == pytest.approx(1)


def test_a_state_that_went_through_json_continues_bit_by_bit() -> None:
    calibration = build_calibration(limits=LIMITS)
    learn(calibration, tables(1), 5)
    state = json.loads(json.dumps(calibration.state()))
    again = build_calibration(limits=LIMITS).restore(state)

    for one, other in zip(calibration.table(), again.table(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert learn(calibration, tables(1), 4) == learn(again, tables(1), 4)
    assert calibration.state() == again.state()


def test_rows_hold_every_weight_with_its_spread() -> None:
    calibration = build_calibration()
    (tried,) = learn(calibration, tables(1), 1)
    rows = calibration.rows()

    assert [row["feature"] for row in rows] == list(calibration.features)
    assert all(list(row) == SCHEMAS["calibration"].names for row in rows)
    assert {(row["trial_number"], row["architecture"]) for row in rows} == {(1, str(tried))}
    assert all(row["standard_deviation"] > 0 for row in rows if row["feature"] != "trend:identity")


@pytest.fixture(scope="module")
def table() -> Replay:
    """The development table of NAS-Bench-Macro."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no development data at {SHARED_DATA}")
    return load_replay(SHARED_DATA / "nas_bench_macro" / "development.json")


@pytest.mark.data
class TestReplay:
    def test_a_measured_indicator_gains_in_rank_and_finds_good_networks(
        self, table: Replay
    ) -> None:
        """In the mean of ten seeds; trainings are noisy by 0.3 points."""
        ends = [replay(table, list(TAYLOR), None, seed, (32,))[-1] for seed in range(10)]

        assert table.tau(list(TAYLOR)) == pytest.approx(0.733, abs=0.001)
        assert np.mean([end.tau for end in ends]) > 0.78
        assert np.mean([end.regret for end in ends]) < 0.3

    def test_trainings_spread_over_the_scores_improve_even_a_good_indicator(
        self, table: Replay
    ) -> None:
        """What ``--check 32 --search calibrated`` begins with, in the mean of ten seeds."""
        taus = [checked(table, list(SALIENCY), 32, seed) for seed in range(10)]

        assert table.tau(list(SALIENCY)) == pytest.approx(0.835, abs=0.001)
        assert np.mean(taus) > 0.84

    @pytest.mark.slow
    def test_a_weak_indicator_gains_more(self, table: Replay) -> None:
        ends = [
            replay(table, planted(table, 0.62, seed), None, seed, (32,))[-1] for seed in range(10)
        ]

        assert np.mean([end.tau for end in ends]) > 0.74
        assert np.mean([end.regret for end in ends]) < 0.3
