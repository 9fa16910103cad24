"""Draws within limits: always legal, uniform, never hanging, never giving up too early."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from raynas.costs.costs import Cost, CostTable, Limits
from raynas.errors import UserError
from raynas.search.constrained_sampling import LegalSampler, all_legal
from raynas.search.possible_limits import refuse_impossible
from raynas.spaces.architecture import Architecture
from tests.builders import build_costs, shipped_costs

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=5)
SEEDS = st.integers(0, 1000)


def quantile_limits(costs: CostTable, share_macs: float, share_params: float) -> Limits:
    """Return limits at quantiles of a small space's costs; a share of 1 sets no limit."""
    every = [costs.of(a) for a in all_legal(costs, Limits())]

    def limit(values: list[int], share: float) -> int | None:
        return None if share == 1 else int(np.quantile(values, share))

    return Limits(
        limit([cost.macs for cost in every], share_macs),
        limit([cost.params for cost in every], share_params),
    )


def is_feasible(costs: CostTable, limits: Limits) -> bool:
    """Return whether any architecture is legal, by looking at all."""
    return any(True for _ in all_legal(costs, limits))


SHARES = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1])


@given(SIZES, SEEDS, SHARES, SHARES)
def test_every_draw_is_within_the_limits(
    sizes: list[int], seed: int, share_macs: float, share_params: float
) -> None:
    costs = build_costs(sizes, seed)
    limits = quantile_limits(costs, share_macs, share_params)
    assume(is_feasible(costs, limits))
    sampler = LegalSampler(costs, limits)
    rng = np.random.default_rng(seed)
    drawn = [architecture for _ in range(20) if (architecture := sampler.draw(rng)) is not None]

    for architecture in drawn:
        assert limits.allow(costs.of(architecture))
        assert sampler.allows(architecture)
    assert drawn


@given(SIZES, SEEDS, SHARES, SHARES)
def test_limits_are_refused_exactly_when_no_architecture_keeps_them(
    sizes: list[int], seed: int, share_macs: float, share_params: float
) -> None:
    costs = build_costs(sizes, seed)
    limits = quantile_limits(costs, share_macs, share_params)
    if is_feasible(costs, limits):
        refuse_impossible(costs, limits)
    else:
        with pytest.raises(UserError):
            refuse_impossible(costs, limits)


@given(SIZES, SEEDS)
def test_all_legal_lists_each_legal_architecture_once(sizes: list[int], seed: int) -> None:
    costs = build_costs(sizes, seed)
    limits = quantile_limits(costs, 0.5, 0.5)
    listed = list(all_legal(costs, limits))
    every = itertools.product(*map(range, sizes))

    assert listed == [a for a in every if limits.allow(costs.of(a))]
    assert all(isinstance(architecture, Architecture) for architecture in listed)


@pytest.mark.parametrize(
    ("share_macs", "share_params"), [(1, 1), (0.3, 1), (1, 0.6), (0.5, 0.5), (0.05, 1)]
)
def test_the_legal_draw_is_uniform(share_macs: float, share_params: float) -> None:
    costs = build_costs((3, 4, 3, 2), seed=3)
    limits = quantile_limits(costs, share_macs, share_params)
    legal = list(all_legal(costs, limits))
    sampler = LegalSampler(costs, limits)
    rng = np.random.default_rng(0)
    counts = Counter(sampler.draw(rng) for _ in range(40 * len(legal)))

    assert set(counts) == set(legal)  # those that reach a limit exactly are among them
    assert stats.chisquare([counts[a] for a in legal]).pvalue > 1e-3


def test_a_limit_at_the_minimum_leaves_the_smallest_architecture() -> None:
    costs = build_costs((4, 4, 4))
    sampler = LegalSampler(costs, Limits(max_macs=costs.smallest.macs))
    rng = np.random.default_rng(0)
    smallest = tuple(int(np.argmin(row)) for row in costs.macs)

    assert {sampler.draw(rng) for _ in range(20)} == {smallest}


def test_a_limit_below_the_minimum_is_refused_and_the_minimum_named() -> None:
    costs = build_costs()
    least = costs.smallest

    with pytest.raises(UserError, match=rf"--max-macs .* needs .*\({least.macs}\)"):
        LegalSampler(costs, Limits(max_macs=least.macs - 1))
    with pytest.raises(UserError, match=rf"--max-params .* needs .*\({least.params}\)"):
        LegalSampler(costs, Limits(max_params=least.params - 1))


def test_two_limits_that_exclude_each_other_are_refused_with_the_macs_that_are_needed() -> None:
    costs = CostTable(macs=((10, 90),), params=((90, 10),), fixed=Cost(5, 5))

    with pytest.raises(UserError, match=r"need at least 95 MACs \(95\); raise one of the limits"):
        LegalSampler(costs, Limits(max_macs=50, max_params=50))


@given(st.integers(0, 30))
def test_two_limits_are_judged_exactly_where_costs_are_large(seed: int) -> None:
    rng = np.random.default_rng(seed)
    macs, params = (
        tuple(tuple(map(int, rng.integers(1, scale, 4))) for _ in range(5))
        for scale in (10**9, 10**7)
    )
    costs = CostTable(macs, params, Cost(10**8, 10**6))
    every = [costs.of(a) for a in all_legal(costs, Limits())]
    max_params = int(np.quantile([cost.params for cost in every], 0.2))
    least = min(cost.macs for cost in every if cost.params <= max_params)

    refuse_impossible(costs, Limits(least, max_params))
    with pytest.raises(UserError):
        refuse_impossible(costs, Limits(least - 1, max_params))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "slack_macs", "slack_params"),
    [
        ("shufflenet_v2", 1.0, None),
        ("shufflenet_v2", 1.001, None),
        ("shufflenet_v2", 1.05, 1.05),
        ("mobilenet_v2", 1.0, None),
        ("mobilenet_v2", 1.01, 1.01),
        ("mobilenet_v2_bnnas", 1.0, 1.0),
        ("nas_bench_macro", 1.0, 1.3),
    ],
)
def test_feasible_limits_near_the_smallest_architecture_still_give_draws(
    name: str, slack_macs: float, slack_params: float | None
) -> None:
    costs = shipped_costs(name)
    least = costs.smallest
    max_params = None if slack_params is None else int(least.params * slack_params)
    sampler = LegalSampler(costs, Limits(int(least.macs * slack_macs), max_params))
    rng = np.random.default_rng(0)

    assert None not in [sampler.draw(rng) for _ in range(10)]


def test_draws_are_as_varied_as_the_seed_and_the_same_for_the_same_seed() -> None:
    sampler = LegalSampler(build_costs((6,) * 10), Limits(max_macs=5000))

    def draws(seed: int) -> list[Architecture | None]:
        rng = np.random.default_rng(seed)
        return [sampler.draw(rng) for _ in range(5)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize("seed", range(8))
def test_two_limits_are_judged_exactly_where_costs_differ_by_little(seed: int) -> None:
    """A solver that stops within a ten-thousandth of the least MACs refuses what can be kept."""
    rng = np.random.default_rng(seed)
    macs = tuple(tuple((10**9 - rng.integers(1, 10**5, 4)).tolist()) for _ in range(4))
    params = tuple(tuple(rng.integers(1, 100, 4).tolist()) for _ in range(4))
    costs = CostTable(macs, params, Cost(0, 0))
    every = [costs.of(architecture) for architecture in all_legal(costs, Limits())]
    max_params = sorted(cost.params for cost in every)[len(every) // 4]
    least = min(cost.macs for cost in every if cost.params <= max_params)

    refuse_impossible(costs, Limits(least, max_params))
    with pytest.raises(UserError):
        refuse_impossible(costs, Limits(least - 1, max_params))


def test_a_draw_that_misses_too_often_gives_up() -> None:
    sampler = LegalSampler(build_costs(), Limits())

    assert sampler.draw(np.random.default_rng(0), attempts=0) is None


def three_limits(costs: CostTable, shares: tuple[float, float, float]) -> Limits:
    """Return limits of all three kinds at quantiles of a small space's costs."""
    every = [costs.of(a) for a in all_legal(costs, Limits())]
    values = ([cost.of(kind) for cost in every] for kind in costs.kinds)
    return Limits(*(int(np.quantile(v, share)) for v, share in zip(values, shares, strict=True)))


@given(SIZES, SEEDS, st.tuples(*[st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])] * 3))
def test_three_limits_are_refused_exactly_when_nothing_keeps_them_and_else_kept_by_every_draw(
    sizes: list[int], seed: int, shares: tuple[float, float, float]
) -> None:
    costs = build_costs(sizes, seed, latency=True)
    limits = three_limits(costs, shares)
    if not is_feasible(costs, limits):
        with pytest.raises(UserError):
            LegalSampler(costs, limits)
        return
    sampler, rng = LegalSampler(costs, limits), np.random.default_rng(seed)
    drawn = [each for _ in range(20) if (each := sampler.draw(rng)) is not None]

    assert drawn
    assert all(limits.allow(costs.of(each)) for each in drawn)


def test_the_draw_within_three_limits_is_uniform() -> None:
    costs = build_costs((3, 4, 3, 2), seed=3, latency=True)
    limits = three_limits(costs, (0.7, 0.7, 0.7))
    legal = list(all_legal(costs, limits))
    sampler, rng = LegalSampler(costs, limits), np.random.default_rng(0)
    counts = Counter(sampler.draw(rng) for _ in range(40 * len(legal)))

    assert set(counts) == set(legal)
    assert stats.chisquare([counts[a] for a in legal]).pvalue > 1e-3


def test_an_impossible_latency_is_refused_with_the_least_in_its_unit() -> None:
    costs = CostTable(((1, 2),), ((1, 2),), Cost(0, 0, 10**6), ((2 * 10**6, 3 * 10**6),))

    with pytest.raises(UserError, match=r"--max-latency 2.5ms: the smallest .* needs 3ms"):
        LegalSampler(costs, Limits(max_latency=2_500_000))


def test_a_latency_that_the_other_limits_exclude_is_refused_with_what_they_need() -> None:
    costs = CostTable(((1, 9),), ((1, 1),), Cost(0, 0, 0), ((8 * 10**6, 2 * 10**6),))

    with pytest.raises(
        UserError,
        match=r"--max-latency 5ms with --max-macs 4: .* within the MACs need at least 8ms",
    ):
        LegalSampler(costs, Limits(max_macs=4, max_latency=5_000_000))


def test_tight_limits_of_all_three_kinds_on_a_large_space_still_give_draws() -> None:
    """Latencies like MACs, but noisy: what a device measures."""
    plain = shipped_costs("mobilenet_v2", identity=True)
    rng = np.random.default_rng(0)
    latency = tuple(
        tuple(round(macs * rng.uniform(0.5, 1.5)) for macs in row) for row in plain.macs
    )
    fixed = replace(plain.fixed, latency=0)
    costs = CostTable(plain.macs, plain.params, fixed, latency)
    least, most = costs.smallest, costs.largest
    limits = Limits(*(least.of(k) + (most.of(k) - least.of(k)) // 8 for k in costs.kinds))
    sampler = LegalSampler(costs, limits)

    drawn = [sampler.draw(rng) for _ in range(20)]
    assert None not in drawn
    assert len(set(drawn)) == 20
