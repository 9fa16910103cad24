"""Paths of a pretraining step: strict fairness, determinism, uniformity."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from raynas.search.sampling import count_updates, fair_paths, fairness_cycle, uniform_paths
from raynas.spaces.architecture import Architecture
from tests.builders import run_python

SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=12)
EXTRA = st.sampled_from(["rotate", "random"])
SEEDS = st.integers(0, 2**40)
STEPS = st.integers(0, 10**7)


@given(SIZES, SEEDS, STEPS, EXTRA)
def test_a_fair_step_uses_every_candidate_of_every_layer(
    sizes: list[int], seed: int, step: int, extra: str
) -> None:
    paths = fair_paths(sizes, seed, step, extra)

    assert len(paths) == max(sizes)
    for layer, size in enumerate(sizes):
        assert {path[layer] for path in paths} == set(range(size))


@given(SIZES, SEEDS, STEPS, EXTRA)
def test_a_layer_with_the_most_candidates_uses_each_exactly_once(
    sizes: list[int], seed: int, step: int, extra: str
) -> None:
    paths = fair_paths(sizes, seed, step, extra)

    for layer, size in enumerate(sizes):
        if size == max(sizes):
            assert sorted(path[layer] for path in paths) == list(range(size))


@given(SIZES, SEEDS, STEPS)
def test_a_rotating_layers_counts_in_one_step_differ_by_at_most_one(
    sizes: list[int], seed: int, step: int
) -> None:
    counts = count_updates(sizes, fair_paths(sizes, seed, step, "rotate"))

    for row, size in zip(counts, sizes, strict=True):
        assert row[:size].max() - row[:size].min() <= 1


@example([6, 4], 0)  # two extra turns for four candidates
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), SEEDS)
def test_rotating_counts_are_equal_after_every_cycle_and_not_before(
    sizes: list[int], seed: int
) -> None:
    cycle = fairness_cycle(sizes)
    counts = np.zeros((len(sizes), max(sizes)), dtype=int)
    for step in range(2 * cycle):
        counts += count_updates(sizes, fair_paths(sizes, seed, step, "rotate"))
        rows = zip(counts, sizes, strict=True)
        are_equal = all(len(set(row[:size].tolist())) == 1 for row, size in rows)

        assert are_equal is ((step + 1) % cycle == 0)


@pytest.mark.parametrize(
    ("sizes", "extra", "cycle"),
    [
        ((7, 6), "rotate", 6),
        ((6, 6), "rotate", 1),
        ((7, 4, 6), "rotate", 12),
        ((7, 6), "random", 1),
    ],
)
def test_a_cycle_is_as_long_as_the_slowest_layer_needs(
    sizes: tuple[int, ...], extra: str, cycle: int
) -> None:
    assert fairness_cycle(sizes, extra) == cycle


def test_random_extra_draws_are_uniform() -> None:
    sizes = (5, 4)
    paths = [path for step in range(800) for path in fair_paths(sizes, 0, step, "random")]
    extras = count_updates(sizes, paths)[1, :4] - 800  # each candidate had its one turn a step

    assert extras.sum() == 800
    assert stats.chisquare(extras).pvalue > 1e-3


def test_layers_are_permuted_independently_and_uniformly() -> None:
    pairs = Counter(path for step in range(1500) for path in fair_paths((3, 3), 0, step))

    assert set(pairs) == {(a, b) for a in range(3) for b in range(3)}
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3
    orders = Counter(tuple(p[0] for p in fair_paths((3, 3), 0, step)) for step in range(1500))
    assert len(orders) == math.factorial(3)
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


@given(SIZES, SEEDS, STEPS, EXTRA)
def test_the_same_seed_and_step_give_the_same_paths(
    sizes: list[int], seed: int, step: int, extra: str
) -> None:
    assert fair_paths(sizes, seed, step, extra) == fair_paths(sizes, seed, step, extra)
    assert uniform_paths(sizes, seed, step) == uniform_paths(sizes, seed, step)


def test_another_seed_or_another_step_gives_other_paths() -> None:
    sizes = (6,) * 20
    drawn = [fair_paths(sizes, seed, step) for seed in range(3) for step in range(3)]

    assert len({tuple(paths) for paths in drawn}) == 9


def test_another_process_draws_the_same_paths() -> None:
    sizes = (7, 6, 7, 3)
    program = (
        "from raynas.search.sampling import fair_paths, uniform_paths\n"
        f"print(fair_paths({sizes}, 5, 12), fair_paths({sizes}, 5, 12, 'random'),"
        f" uniform_paths({sizes}, 5, 12))"
    )
    here = [
        fair_paths(sizes, 5, 12),
        fair_paths(sizes, 5, 12, "random"),
        uniform_paths(sizes, 5, 12),
    ]

    assert run_python(program) == " ".join(map(str, here))


@given(SIZES, SEEDS, STEPS)
def test_a_uniform_step_is_one_path_in_the_space(sizes: list[int], seed: int, step: int) -> None:
    (path,) = uniform_paths(sizes, seed, step)

    assert len(path) == len(sizes)
    assert all(0 <= choice < size for choice, size in zip(path, sizes, strict=True))


def test_uniform_paths_are_uniform_in_every_layer() -> None:
    sizes = (2, 5)
    paths = [path for step in range(1000) for path in uniform_paths(sizes, 0, step)]
    counts = count_updates(sizes, paths)

    assert stats.chisquare(counts[0, :2]).pvalue > 1e-3
    assert stats.chisquare(counts[1]).pvalue > 1e-3


def test_counts_say_how_often_each_candidate_was_used() -> None:
    paths = [Architecture((0, 2)), Architecture((1, 2)), Architecture((1, 0))]

    assert count_updates((2, 3), paths).tolist() == [[1, 2, 0], [1, 0, 2]]
    assert count_updates((2, 3), []).tolist() == [[0, 0, 0], [0, 0, 0]]
