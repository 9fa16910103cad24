"""Limits from below: what looking at every architecture finds within a band, searches find."""

import re
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from raynas.costs.costs import Cost, CostTable, Limits
from raynas.errors import UserError
from raynas.search import constrained_sampling
from raynas.search.constrained_sampling import LegalSampler, all_legal
from raynas.search.exact import front, k_best
from raynas.search.possible_limits import reachable, refuse_impossible
from tests.builders import build_costs, build_evolution, run_to_end, score_of

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
SEEDS = st.integers(0, 1000)
BANDS = st.sampled_from([None, (0.0, 0.2), (0.4, 0.4), (0.45, 0.5), (0.3, 1.0), (0.0, 1.0)])
NARROW = st.sampled_from([0, 1, 7])

Band = tuple[float, float] | None


def bands(costs: CostTable, macs: Band, params: Band, narrower: int = 0) -> Limits:
    """Return bands between shares of the ranges of costs, perhaps so narrow that none is left."""

    def ends(kind: Literal["macs", "params"], band: Band) -> tuple[int | None, int | None]:
        if band is None:
            return None, None
        low, high = costs.smallest.of(kind), costs.largest.of(kind)
        least, most = (low + round((high - low) * share) for share in band)
        return min(least + narrower, most), most

    (min_macs, max_macs), (min_params, max_params) = ends("macs", macs), ends("params", params)
    return Limits(max_macs, max_params, None, min_macs, min_params)


@hypothesis_settings(max_examples=60)
@given(SIZES, SEEDS, BANDS, BANDS, NARROW)
def test_draws_are_legal_exactly_where_some_architecture_is_and_refused_where_none_is(
    sizes: list[int], seed: int, macs: Band, params: Band, narrower: int
) -> None:
    costs = build_costs(sizes, seed)
    limits = bands(costs, macs, params, narrower)
    legal = set(all_legal(costs, limits))
    if not legal:
        with pytest.raises(UserError, match=r"--m(in|ax)-(macs|params)"):
            LegalSampler(costs, limits)
        return
    sampler, rng = LegalSampler(costs, limits), np.random.default_rng(seed)

    assert {sampler.draw(rng) for _ in range(10)} <= legal
    if limits.least:
        assert sampler.draw(rng, attempts=0) in legal


@pytest.mark.parametrize("cells", [(1, 90_000, 90_000), (1, 40, 400)])
@pytest.mark.parametrize("params", [None, (0.2, 0.7)])
def test_draws_within_bands_are_uniform_also_where_the_grid_is_coarse(
    monkeypatch: pytest.MonkeyPatch, cells: tuple[int, ...], params: Band
) -> None:
    monkeypatch.setattr(constrained_sampling, "_CELLS", cells)
    costs = build_costs((3, 4, 3, 2), seed=3)
    limits = bands(costs, (0.4, 0.6), params)
    legal = list(all_legal(costs, limits))
    sampler, rng = LegalSampler(costs, limits), np.random.default_rng(0)
    counts = Counter(sampler.draw(rng) for _ in range(40 * len(legal)))

    assert set(counts) == set(legal)
    assert stats.chisquare([counts[a] for a in legal]).pvalue > 1e-3


@given(SIZES, SEEDS, st.sampled_from([(0.0, 0.2), (0.45, 0.5), (0.3, 1.0), (0.4, 0.6)]))
def test_the_completions_that_are_counted_within_a_band_are_those_that_are_legal(
    sizes: list[int], seed: int, macs: Band
) -> None:
    costs = build_costs(sizes, seed)
    limits = bands(costs, macs, None)
    legal = list(all_legal(costs, limits))
    if legal:
        assert LegalSampler(costs, limits)._counts[0].flat[-1] == len(legal)


@given(SIZES, SEEDS)
def test_reachable_sums_are_those_of_all_architectures(sizes: list[int], seed: int) -> None:
    costs = build_costs(sizes, seed)
    unit, reached = reachable(costs.macs, 10**6)
    least = costs.smallest.macs
    sums = {costs.of(a).macs for a in all_legal(costs, Limits())}

    assert {least + unit * i for i in range(reached.bit_length()) if reached >> i & 1} == sums


@given(SIZES, SEEDS, st.floats(0, 1))
def test_an_empty_band_is_refused_with_the_nearest_costs_on_both_sides(
    sizes: list[int], seed: int, share: float
) -> None:
    costs = build_costs(sizes, seed)
    found = sorted({costs.of(a).macs for a in all_legal(costs, Limits())})
    wanted = round(found[0] + share * (found[-1] - found[0]))
    if wanted in found:
        refuse_impossible(costs, Limits(max_macs=wanted, min_macs=wanted))
        return
    below = max(cost for cost in found if cost < wanted)
    above = min(cost for cost in found if cost > wanted)
    with pytest.raises(UserError) as refusal:
        refuse_impossible(costs, Limits(max_macs=wanted, min_macs=wanted))

    assert re.findall(r"\((\d+)\)", str(refusal.value)) == [str(below), str(above)]


def test_limits_that_exclude_each_other_are_refused_with_what_the_others_leave() -> None:
    costs = CostTable(macs=((10, 90),), params=((10, 90),), fixed=Cost(5, 5))

    with pytest.raises(
        UserError,
        match=r"^--min-macs 90 with --max-params 50: none lies there; of architectures within the "
        r"parameters the nearest has 15 MACs \(15\); widen one of the limits$",
    ):
        LegalSampler(costs, Limits(max_params=50, min_macs=90))
    with pytest.raises(UserError, match=r"^--min-params 96: the largest .* has 95 \(95\); lower"):
        LegalSampler(costs, Limits(min_params=96))


@hypothesis_settings(max_examples=25)
@given(SIZES, SEEDS, BANDS, BANDS, NARROW)
def test_exact_searches_find_what_looking_at_all_within_a_band_finds(
    sizes: list[int], seed: int, macs: Band, params: Band, narrower: int
) -> None:
    costs = build_costs(sizes, seed)
    rng = np.random.default_rng(seed)
    table = [rng.integers(0, 10**6, len(row)).astype(float) for row in costs.macs]
    limits = bands(costs, macs, params, narrower)
    legal = sorted(all_legal(costs, limits), key=lambda a: -score_of(table, a))
    if not legal:
        with pytest.raises(UserError):
            k_best(table, costs, limits, 3)
        return
    scores = [score for _, score in k_best(table, costs, limits, 3)]
    points = [a for a, _ in front(table, costs, limits, "macs", 3)]

    assert scores == [score_of(table, a) for a in legal[:3]]
    assert points[0] in legal
    assert set(points) <= set(legal)


@pytest.mark.parametrize("breeding", ["generations", "steady_state"])
@hypothesis_settings(max_examples=8)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    SEEDS,
    st.sampled_from([(0.4, 0.4), (0.3, 0.6), (0.5, 1.0)]),
)
def test_an_evolution_proposes_all_of_a_small_band_and_nothing_else(
    breeding: str, sizes: list[int], seed: int, macs: Band
) -> None:
    costs = build_costs(sizes, seed)
    limits = bands(costs, macs, None)
    legal = sorted(all_legal(costs, limits))
    if not legal:
        return
    endless = {"generations": 10**6, "population": 81, "breeding": breeding}

    assert sorted(run_to_end(build_evolution(costs, limits, seed, **endless))) == legal


def test_a_band_that_one_sum_meets_still_gives_draws_from_a_large_space() -> None:
    costs, rng = build_costs((6,) * 20), np.random.default_rng(0)
    macs = costs.of(rng.integers([len(row) for row in costs.macs])).macs
    sampler = LegalSampler(costs, Limits(max_macs=macs, min_macs=macs))
    drawn = [sampler.draw(rng) for _ in range(5)]

    assert len(set(drawn)) == 5
    assert {costs.of(each).macs for each in drawn if each} == {macs}
