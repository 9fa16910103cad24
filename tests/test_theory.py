"""What the theory promises for every draw, beside the fixed claims of ``test_paper.py``."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from raynas.costs.costs import CostTable, Limits
from raynas.nets.frozen import FrozenSupernet
from raynas.nets.supernet import LayerIndicator
from raynas.search.constrained_sampling import all_legal
from raynas.search.exact import best
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer, Indicators, read_indicators, score_table
from raynas.search.sampling import count_updates, fair_paths
from raynas.settings.scores import ScoreName
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.parameter_layout import indices_on, units
from raynas.training.importance import Importance
from tests.builders import (
    build_costs,
    build_evolution,
    build_exact_supernet,
    build_images,
    build_space,
    run_to_end,
)

SEEDS = st.integers(0, 10**6)
READINGS: tuple[LayerIndicator, ...] = ("path", "parallel")  # R1 and R2 (9.2)
FACTORS = st.floats(0.2, 20).filter(lambda factor: abs(math.log(factor)) > 0.1)
LABELS = torch.arange(8) % 3

few = hypothesis_settings(max_examples=6)
both_readings = pytest.mark.parametrize("reading", READINGS)
both_breedings = pytest.mark.parametrize("breeding", ["generational", "steady_state"])


# --- gauge freedom, read off the numbers that a run trains (1.4, 9.5, 10.5 and 10.6) ---


class Gauge:
    """A supernet in double whose trained numbers are scaled layer by layer, and what follows."""

    def __init__(self, reading: LayerIndicator, factors: dict[int, float]) -> None:
        self.space = build_space("RNNRN", identity=reading == "path")
        self.sizes = [block.size for block in self.space.blocks]
        supernet = build_exact_supernet(self.space, reading)
        self.frozen = FrozenSupernet(supernet, "all_bn", train_classifier=False)
        for part, after in itertools.pairwise(self.frozen.segments):
            if part.is_indicator:  # gamma of a last batch norm, and its beta after it
                self.frozen.vector[part.start : after.stop] *= factors.get(part.layer or 0, 1.0)
        self.paths = fair_paths(self.sizes, seed=0, step=0)

    def logits(self) -> torch.Tensor:
        """Return the logits of a fair step's paths."""
        images = build_images(8, 3, 8, torch.float64)
        with torch.no_grad():
            return torch.stack([self.frozen.supernet(images, path) for path in self.paths])

    def pulls(self) -> Array:
        """Return p dL/dp of every trained number p, summed over a fair step's paths."""
        pulls = torch.zeros_like(self.frozen.vector)
        for path in self.paths:
            logits = self.frozen.supernet(build_images(8, 3, 8, torch.float64), path)
            loss = functional.cross_entropy(logits, LABELS)
            parts = torch.autograd.grad(loss, self.frozen.parameters_on(path))
            gradient = torch.cat([part.flatten() for part in parts])
            pulls[indices_on(self.frozen.segments, path)] += gradient
        found: Array = (pulls * self.frozen.vector).numpy()
        return found

    def importance(self) -> tuple[Array, Array]:
        """Return the sums of F6 and F7 per layer and candidate."""
        found = Importance(self.frozen.segments, (len(self.sizes), max(self.sizes)))
        pulls = self.pulls()
        for unit in units(self.frozen.segments):
            if unit.candidate is not None:
                found.add(unit, pulls[unit.start : unit.stop])
        return found.taylor, found.saliency

    def indicators(self) -> Indicators:
        """Return the indicators as the pretraining reads them."""
        vector, segments = self.frozen.vector.numpy(), self.frozen.segments
        return read_indicators(segments, vector, self.space, *self.importance())

    def table(self, formula: ScoreName) -> Array:
        """Return the whole score table as one vector."""
        settings = SearchSettings(score=formula)
        return np.concatenate(score_table(self.indicators(), self.space, settings))


def stage(number: int, factor: float) -> dict[int, float]:
    """Return the factor for each layer of a stage of R N N and R N."""
    return dict.fromkeys([(0, 1, 2), (3, 4)][number], factor)


@few
@both_readings
@given(st.integers(0, 1), FACTORS)
def test_no_logit_sees_the_scale_of_a_stage(
    reading: LayerIndicator, number: int, factor: float
) -> None:
    before, after = Gauge(reading, {}), Gauge(reading, stage(number, factor))

    assert float((after.logits() - before.logits()).abs().max()) < 1e-9


@pytest.mark.slow
@few
@both_readings
@given(st.sampled_from([1, 2, 4]), FACTORS)
def test_every_normal_layers_own_scale_is_seen(
    reading: LayerIndicator, layer: int, factor: float
) -> None:
    """The negative control: a stage scales as a whole or not at all."""
    before, after = Gauge(reading, {}), Gauge(reading, {layer: factor})

    assert float((after.logits() - before.logits()).abs().max()) > 1e-5


@pytest.mark.slow
@few
@both_readings
@given(st.integers(0, 1), FACTORS)
def test_the_scores_f1_to_f4_do_not_see_the_scale_of_a_stage_and_f0_does(
    reading: LayerIndicator, number: int, factor: float
) -> None:
    before, after = Gauge(reading, {}), Gauge(reading, stage(number, factor))

    for formula in ("identity_ratio", "layer_weighted", "log_ratio", "zscore"):
        np.testing.assert_allclose(after.table(formula), before.table(formula), rtol=1e-9)
    layers = np.repeat(np.arange(5), before.sizes)
    scales = np.array([stage(number, factor).get(layer, 1.0) for layer in layers])
    np.testing.assert_allclose(after.table("bnnas"), scales * before.table("bnnas"), rtol=1e-9)
    assert not np.allclose(after.table("bnnas"), before.table("bnnas"))


@pytest.mark.slow
@few
@both_readings
@given(st.integers(0, 1), FACTORS)
def test_first_order_importance_of_all_batch_norms_does_not_see_the_scale_of_a_stage(
    reading: LayerIndicator, number: int, factor: float
) -> None:
    """F6: gradients of last batch norms fall as their scales grow; inner ones do not change."""
    before, after = Gauge(reading, {}), Gauge(reading, stage(number, factor))

    np.testing.assert_allclose(after.table("taylor"), before.table("taylor"), 1e-7, 1e-9)
    assert np.isfinite(before.table("taylor")).all()


def test_first_order_importance_sees_the_scale_of_one_layer() -> None:
    before, after = Gauge("path", {}), Gauge("path", {1: 3.7})

    assert not np.allclose(after.table("taylor"), before.table("taylor"), rtol=0.01)


def test_an_identity_that_another_one_follows_has_no_first_order_importance() -> None:
    """Reading R1: the next batch norm takes every channel's scale away, so dL/dgamma = 0."""
    gauge, identity = Gauge("path", {}), 3
    gauge.paths = [Architecture((0, identity, identity, 0, 0))]
    followed_by_identity, _ = gauge.importance()
    gauge.paths = [Architecture((0, identity, 0, 0, 0))]
    followed_by_block, _ = gauge.importance()

    assert followed_by_identity[1, identity] < 1e-9
    assert followed_by_identity[2, identity] > 1e-3
    assert followed_by_block[1, identity] > 1e-3


@few
@both_readings
@given(st.lists(FACTORS, min_size=5, max_size=5))
def test_the_loss_pulls_at_no_stages_scale_wherever_the_scales_are(
    reading: LayerIndicator, factors: list[float]
) -> None:
    """Euler: sum of gamma dL/dgamma + beta dL/dbeta over a stage's last batch norms is 0."""
    gauge = Gauge(reading, dict(enumerate(factors)))
    pulls, of_layer = gauge.pulls(), np.zeros(5)
    for part, after in itertools.pairwise(gauge.frozen.segments):
        if part.is_indicator:
            of_layer[part.layer] += pulls[part.start : after.stop].sum()

    assert of_layer[:3].sum() == pytest.approx(0, abs=1e-9)
    assert of_layer[3:].sum() == pytest.approx(0, abs=1e-9)
    assert np.abs(of_layer).max() > 1e-5  # single layers are pulled at


# --- additive scores (1.5 and 10.3) ---


@given(SEEDS)
@both_breedings
def test_a_layer_indicator_that_is_always_added_changes_no_search(breeding: str, seed: int) -> None:
    """It moves all scores by one constant; whole numbers keep the sums exact."""
    rng = np.random.default_rng(seed)
    table = [rng.integers(0, 9, 4).astype(float) for _ in range(5)]
    added = [row + rng.integers(0, 99) for row in table]
    searches = []
    for each in (table, added):
        evolution = build_evolution(seed=seed, breeding=breeding)
        run_to_end(evolution, AdditiveScorer(each))
        searches.append([scored.child for scored in evolution.ranked()])

    assert searches[0] == searches[1]


MONOTONE: list[Callable[[float], float]] = [
    lambda x: 2.0 * x - 7.0,
    lambda x: x**3,
    lambda x: math.exp(x / 20),
    lambda x: 1 / (1 + math.exp(-x / 20)),
]


@given(SEEDS, st.sampled_from(MONOTONE), st.integers(2, 99))
def test_a_truth_that_grows_with_the_planted_sum_is_ranked_without_any_error(
    seed: int, grow: Callable[[float], float], levels: int
) -> None:
    """Kendall's tau is 1, ties among them, and -1 the other way round."""
    space, rng = build_space("RNRN"), np.random.default_rng(seed)
    planted = tuple(rng.integers(-levels, levels, block.size) for block in space.blocks)
    indicators = Indicators(
        tuple(np.ones(3) for _ in planted),
        np.full(len(planted), np.nan),
        *[tuple(row.astype(float) for row in planted)] * 3,
    )
    every = [Architecture(choices) for choices in itertools.product(range(3), repeat=4)]
    sums = [sum(int(row[i]) for row, i in zip(planted, a, strict=True)) for a in every]
    assume(len(set(sums)) > 1)
    scores = AdditiveScorer(score_table(indicators, space, SearchSettings(score="taylor")))(every)
    truth = [grow(x) for x in sums]

    assert stats.kendalltau(scores, truth).statistic == pytest.approx(1.0, abs=1e-12)
    assert stats.kendalltau(-scores, truth).statistic == pytest.approx(-1.0, abs=1e-12)


# --- strict fairness (7.3 and 9.3) ---


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), SEEDS)
def test_after_any_number_of_fair_steps_counts_of_a_layer_differ_by_at_most_one(
    sizes: list[int], seed: int
) -> None:
    """Where no turn is extra they are equal after every step, also if layers differ in size."""
    counts = np.zeros((len(sizes), max(sizes)), dtype=int)
    for step in range(20):
        counts += count_updates(sizes, fair_paths(sizes, seed, step, "rotate"))
        for row, size in zip(counts, sizes, strict=True):
            assert np.ptp(row[:size]) <= (1 if max(sizes) % size else 0)
            assert row[:size].sum() == (step + 1) * max(sizes)


# --- evolution and the proven optimum (6.3) ---


def whole_numbered(costs: CostTable, seed: int) -> list[Array]:
    """Return a table of whole numbers, whose sums are exact."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 1000, len(row)).astype(float) for row in costs.macs]


def limits_at(costs: CostTable, share_macs: float, share_params: float) -> Limits:
    """Return limits that this share of the way from the cheapest to the dearest is within.

    Parameters are those of the cheapest in MACs or more, so that at least one network is legal.
    """
    every = [costs.of(architecture) for architecture in all_legal(costs, Limits())]
    low, high = costs.smallest.macs, costs.largest.macs
    macs = int(low + share_macs * (high - low))
    fitting = [cost.params for cost in every if cost.macs <= macs]
    return Limits(macs, int(np.quantile(fitting, share_params, method="higher")))


SHARES = st.floats(0, 1)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    SEEDS,
    SHARES,
    SHARES,
    st.sampled_from(["score", "score,macs,params"]),
)
@both_breedings
def test_no_search_finds_more_than_the_optimum(
    breeding: str, sizes: list[int], seed: int, macs: float, params: float, objectives: str
) -> None:
    costs = build_costs(sizes, seed)
    table, limits = whole_numbered(costs, seed), limits_at(costs, macs, params)
    evolution = build_evolution(costs, limits, seed, breeding=breeding, objectives=objectives)
    run_to_end(evolution, AdditiveScorer(table))
    found = max(scored.score for scored in evolution.history)

    assert found <= best(table, costs, limits)[1]


@pytest.mark.slow
@both_breedings
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_with_enough_generations_the_optimum_of_a_small_space_is_found(
    breeding: str, seed: int, share: float
) -> None:
    """Among 1,024 architectures, by scoring no more than 400 of them."""
    costs = build_costs((4,) * 5, seed)
    table, limits = whole_numbered(costs, seed), limits_at(costs, share, 1.0)
    sizes = {"generations": 20, "population": 20, "parents": 5, "mutations": 10, "crossovers": 10}
    evolution = build_evolution(costs, limits, seed, breeding=breeding, **sizes)
    run_to_end(evolution, AdditiveScorer(table))

    assert len(evolution.history) <= 400
    assert evolution.ranked()[0].score == best(table, costs, limits)[1]
