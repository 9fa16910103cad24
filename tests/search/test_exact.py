"""The exact search: what HiGHS finds is what looking at every architecture finds."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from raynas.costs.costs import KINDS, Cost, CostTable, Kind, Limits
from raynas.errors import UserError
from raynas.search.constrained_sampling import all_legal
from raynas.search.exact import best, front, k_best
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from tests.builders import build_costs, build_evolution, run_to_end, score_of, shipped_costs

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
SEEDS = st.integers(0, 10**6)
SHARES = st.sampled_from([0.0, 0.02, 0.3, 0.7, None])
LEVELS = st.sampled_from([2, 10**6])  # few levels make ties

Point = tuple[float, int]

many = hypothesis_settings(max_examples=60)


def build_table(
    costs: CostTable, seed: int, levels: int = 10**6, lacking: float = 0
) -> list[Array]:
    """Return whole-numbered scores, so that sums are exact; some candidates lack one."""
    rng = np.random.default_rng(seed)
    table = [rng.integers(0, levels, len(row)).astype(float) for row in costs.macs]
    for row in table:
        row[rng.random(len(row)) < lacking] = rng.choice([np.nan, -np.inf])
    return table


def limits_at(costs: CostTable, share_macs: float | None, share_params: float | None) -> Limits:
    """Return limits at quantiles of all costs, met exactly by one architecture."""
    every = [costs.of(architecture) for architecture in all_legal(costs, Limits())]

    def limit(values: list[int], share: float | None) -> int | None:
        return None if share is None else int(np.quantile(values, share, method="lower"))

    return Limits(
        limit([cost.macs for cost in every], share_macs),
        limit([cost.params for cost in every], share_params),
    )


def ranked(table: list[Array], costs: CostTable, limits: Limits) -> list[Architecture]:
    """Return every legal architecture with a score, best first, by looking at all."""
    legal = [a for a in all_legal(costs, limits) if np.isfinite(score_of(table, a))]
    return sorted(legal, key=lambda a: (-score_of(table, a), costs.of(a).macs, a))


def distance(one: Architecture, other: Architecture) -> int:
    """Return in how many layers two architectures differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@many
@given(SIZES, SEEDS, SHARES, SHARES, LEVELS, st.integers(1, 6), st.integers(1, 5))
def test_the_k_best_are_those_that_looking_at_all_finds(
    sizes: list[int],
    seed: int,
    share_macs: float | None,
    share_params: float | None,
    levels: int,
    k: int,
    min_distance: int,
) -> None:
    """Limits, ties (fewer MACs, then lexicographic), missing scores, distances, too few."""
    costs = build_costs(sizes, seed)
    table = build_table(costs, seed, levels, lacking=0.1)
    limits = limits_at(costs, share_macs, share_params)
    wanted: list[Architecture] = []
    for architecture in ranked(table, costs, limits):
        if len(wanted) < k and all(distance(architecture, a) >= min_distance for a in wanted):
            wanted.append(architecture)

    if wanted:
        found = k_best(table, costs, limits, k, min_distance)
        assert found == [(a, score_of(table, a)) for a in wanted]
        assert best(table, costs, limits) == found[0]
    else:
        with pytest.raises(UserError):
            k_best(table, costs, limits, k, min_distance)


@pytest.mark.slow
@many
@given(SEEDS, st.integers(0, 255))
def test_limits_are_kept_to_the_last_unit_where_costs_are_near_a_billion(
    seed: int, position: int
) -> None:
    rng = np.random.default_rng(seed)
    spread = int(rng.choice([3, 10**3, 10**9 - 1]))

    def costs_of_all() -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(int, 10**9 - rng.integers(0, spread, 4))) for _ in range(4))

    costs = CostTable(costs_of_all(), costs_of_all(), Cost(10**8, 10**7))
    macs = sorted(costs.of(a).macs for a in all_legal(costs, Limits()))
    table = [np.array(row, dtype=float) for row in costs.macs]  # the limit alone holds it back

    for limit in (macs[position], macs[position] - 1):
        legal = ranked(table, costs, Limits(limit))
        assert not legal or best(table, costs, Limits(limit))[0] == legal[0]


@given(SEEDS, SHARES, st.integers(1, 5))
def test_what_is_excluded_is_passed_over(seed: int, share: float | None, count: int) -> None:
    costs = build_costs((3, 2, 4), seed)
    table = build_table(costs, seed, lacking=0.1)
    limits = limits_at(costs, share, None)
    every = ranked(table, costs, limits)
    excluded = [*every[:count], *all_legal(costs, Limits())][: count + 1]  # legal, scored or not
    wanted = [a for a in every if a not in excluded]

    if wanted:
        assert k_best(table, costs, limits, 1, excluded=excluded)[0][0] == wanted[0]
    elif every:
        with pytest.raises(UserError):
            k_best(table, costs, limits, 1, excluded=excluded)


def test_equal_scores_are_ordered_by_macs_and_then_lexicographically() -> None:
    costs = CostTable(((3, 1, 1), (5, 5, 4)), ((1, 1, 1), (1, 1, 1)), Cost(0, 0))
    table = [np.array([0.3, 0.3, 0.1 + 0.2]), np.array([0.3, 0.1 + 0.2, 0.0])]
    found = [architecture for architecture, _ in k_best(table, costs, Limits(), 6)]

    assert found == [(1, 0), (1, 1), (2, 0), (2, 1), (0, 0), (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3, 1, 4, 2), (2, 1000, 3, 400)])
def test_where_all_is_equal_the_order_is_lexicographic(sizes: tuple[int, ...]) -> None:
    ones = tuple((1,) * size for size in sizes)
    found = k_best(
        [np.zeros(size) for size in sizes], CostTable(ones, ones, Cost(0, 0)), Limits(), 8
    )
    every = itertools.product(*map(range, sizes))

    assert [architecture for architecture, _ in found] == list(itertools.islice(every, 8))


def test_scores_that_differ_by_a_ten_millionth_are_no_ties() -> None:
    costs = CostTable(((1, 2),) * 2, ((1, 1),) * 2, Cost(0, 0))
    table = [np.array([1.0, 1.0 + 1e-7]), np.array([0.0, 1.0])]

    assert best(table, costs, Limits())[0] == (1, 1)


def test_ties_in_a_large_space_go_to_the_lexicographically_first() -> None:
    costs = CostTable(((1,) * 7,) * 20, ((1,) * 7,) * 20, Cost(0, 0))
    table = [np.array([0.0, 0, 1, 0, 1, 1, 0])] * 20

    assert best(table, costs, Limits()) == (Architecture([2] * 20), 20.0)


def test_limits_that_scored_candidates_cannot_keep_are_refused_with_the_least_they_need() -> None:
    costs = CostTable(((10, 90), (1, 2)), ((1, 1), (1, 1)), Cost(5, 5))
    table = [np.array([np.nan, 1.0]), np.array([1.0, 2.0])]

    with pytest.raises(UserError, match=r"--max-macs 50: .* needs 96 \(96\)"):
        best(table, costs, Limits(max_macs=50))
    assert best(table, costs, Limits(max_macs=96)) == (Architecture((1, 0)), 2.0)


def test_a_layer_without_any_score_is_refused_by_its_number() -> None:
    table = [np.array([1.0, 2.0]), np.array([np.nan, -np.inf])]

    with pytest.raises(UserError, match="layer 1 has a finite score"):
        best(table, build_costs((2, 2)), Limits())


def test_a_table_padded_to_a_rectangle_means_the_same() -> None:
    costs = build_costs((3, 1, 2))
    table = build_table(costs, seed=0)
    padded = [np.pad(row, (0, 3 - len(row)), constant_values=np.nan) for row in table]
    limits = limits_at(costs, 0.5, None)

    assert k_best(padded, costs, limits, 10) == k_best(table, costs, limits, 10)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_of_seven_to_the_twentieth_is_found_within_a_second(seed: int) -> None:
    costs = shipped_costs("mobilenet_v2", identity=True)
    table = [np.random.default_rng([seed, i]).normal(size=len(r)) for i, r in enumerate(costs.macs)]
    limits = Limits(330_000_000, 4_000_000)
    start = time.process_time()
    architecture, score = best(table, costs, limits)

    assert time.process_time() - start < 1
    assert limits.allow(costs.of(architecture))
    assert score == score_of(table, architecture)


@given(SEEDS, st.sampled_from([0.1, 0.5, None]))
def test_evolution_never_exceeds_the_optimum(seed: int, share: float | None) -> None:
    costs = build_costs((4,) * 5, seed)
    table = build_table(costs, seed)
    limits = limits_at(costs, share, share)
    if not ranked(table, costs, limits):
        return
    evolution = build_evolution(costs, limits, seed)
    run_to_end(evolution, AdditiveScorer(table))

    assert evolution.ranked()[0].score <= best(table, costs, limits)[1]


def front_of(table: list[Array], costs: CostTable, limits: Limits, kind: Kind) -> set[Point]:
    """Return score and cost of all that nothing dominates, by looking at all."""
    points = {
        (score_of(table, a), costs.of(a).of(kind))
        for a in all_legal(costs, limits)
        if np.isfinite(score_of(table, a))
    }
    return {
        (score, cost)
        for score, cost in points
        if not any(s >= score and c <= cost and (s, c) != (score, cost) for s, c in points)
    }


def test_a_front_of_as_many_points_as_there_are_is_the_whole_front() -> None:
    """Budgets are lowered below what was found, so no point between two of them is found twice."""
    costs = build_costs((4, 4, 3), seed=5, latency=True)
    table = [np.sqrt(row).round() for row in costs.rows("latency")]  # what is slow is good
    whole = front_of(table, costs, Limits(), "latency")
    found = front(table, costs, Limits(), "latency", 10_000)

    assert {(score, costs.of(a).latency) for a, score in found} == whole
    assert len(found) == len(whole) > 4


@pytest.mark.slow
@many
@given(
    SIZES,
    SEEDS,
    SHARES,
    LEVELS,
    st.integers(1, 6),
    st.sampled_from(KINDS),
)
def test_points_of_an_exact_front_are_undominated_evenly_budgeted_and_end_where_it_ends(
    sizes: list[int], seed: int, share: float | None, levels: int, k: int, kind: Kind
) -> None:
    costs = build_costs(sizes, seed, latency=True)
    table = build_table(costs, seed, levels, lacking=0.1)
    limits = limits_at(costs, share, None)
    whole = front_of(table, costs, limits, kind)
    if not whole:
        with pytest.raises(UserError):
            front(table, costs, limits, kind, k)
        return
    found = front(table, costs, limits, kind, k)
    points = [(score, costs.of(a).of(kind)) for a, score in found]

    assert set(points) <= whole
    assert points == sorted(set(points), reverse=True)  # none twice, the best first
    assert points[0] == max(whole)
    assert len(points) <= k
    if k > 1 and len(points) == k:
        budget = min(cost for _, cost in whole)
        assert points[-1][1] >= budget
        if points[-2][1] > budget:
            assert points[-1][1] == budget
    assert all(limits.allow(costs.of(a)) for a, _ in found)


def test_a_limit_of_latency_holds_to_the_nanosecond() -> None:
    costs = build_costs((4,) * 4, seed=2, latency=True)
    table = build_table(costs, 2)
    for limit in sorted(costs.of(a).of("latency") for a in all_legal(costs, Limits()))[::40]:
        limits = Limits(max_latency=limit)
        assert best(table, costs, limits)[0] == ranked(table, costs, limits)[0]
