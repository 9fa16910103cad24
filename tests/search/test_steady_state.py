"""Steady-state breeding: a child at a time, from the best of everything told so far."""

import itertools
import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Limits
from raynas.search.evolution import Evolution
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from tests.builders import build_costs, build_evolution, run_to_end, sum_of_choices

SEEDS = st.integers(0, 10**6)
POPULATION = 8  # of build_evolution, in 4 generations


def build(seed: int = 0, **settings: Any) -> Evolution:
    """Return a steady-state evolution over eight layers of six candidates."""
    return build_evolution(build_costs((6,) * 8), seed=seed, breeding="steady_state", **settings)


def first_told(evolution: Evolution) -> list[Architecture]:
    """Tell the whole first population, and return it."""
    first = evolution.ask()
    evolution.tell(first, sum_of_choices(first))
    return first


def best_of(evolution: Evolution, told: int, count: int) -> list[Architecture]:
    """Return the best of the first so many that were told."""
    ranked = sorted(
        evolution.history[:told], key=lambda scored: (-scored.score, scored.child.order)
    )
    return [scored.child.architecture for scored in ranked[:count]]


def test_generations_are_the_default() -> None:
    assert SearchSettings().breeding == "generational"


def test_nothing_is_bred_before_the_whole_first_population_is_told() -> None:
    evolution = build()
    first = evolution.ask(100)
    evolution.tell(first[:-1], sum_of_choices(first[:-1]))

    assert len(first) == POPULATION
    assert (evolution.ask(), evolution.ask(3), evolution.finished) == ([], [], False)
    evolution.tell(first[-1:], sum_of_choices(first[-1:]))
    assert len(evolution.ask()) == 1


def test_after_the_first_population_each_ask_breeds_one_child_or_as_many_as_it_says() -> None:
    evolution = build()
    first_told(evolution)

    assert [len(evolution.ask(count)) for count in (None, 3, 1, 0)] == [1, 3, 1, 0]


@given(SEEDS, st.integers(1, 5))
def test_parents_are_the_best_of_everything_told_before_the_ask(seed: int, parents: int) -> None:
    evolution = build(seed, parents=parents)
    run_to_end(evolution)
    for scored in evolution.history[POPULATION:]:
        assert set(scored.child.parents) <= set(best_of(evolution, scored.child.order, parents))


def test_a_new_best_breeds_at_once_and_not_a_generation_later() -> None:
    evolution = build(parents=1, mutations=8, crossovers=0)
    run_to_end(evolution)
    waits = [
        scored.child.order - 1 - [s.child.architecture for s in evolution.history].index(parent)
        for scored in evolution.history
        for parent in scored.child.parents
    ]

    assert min(waits) == 0


def test_a_child_is_bred_of_what_is_told_while_others_are_still_out() -> None:
    evolution = build(parents=1, mutations=8, crossovers=0)
    first_told(evolution)
    out = evolution.ask(3)
    evolution.tell(out[1:2], [1e6])
    child = evolution.ask()
    evolution.tell(child, [0.0])

    assert evolution.history[-1].child.parents == (out[1],)


@given(SEEDS, st.data())
def test_as_many_are_scored_as_generations_would_score_whatever_the_asks(
    seed: int, data: st.DataObject
) -> None:
    """Several may be out at a time; none comes twice; windows of told ones are generations."""
    evolution = build(seed)
    out: list[Architecture] = []
    told: list[Architecture] = []
    while not evolution.finished:
        out += evolution.ask(data.draw(st.integers(1, 5)))
        position = data.draw(st.integers(0, len(out) - 1))
        told.append(out.pop(position))
        evolution.tell([told[-1]], [data.draw(st.sampled_from([math.nan, 1.0, 2.0]))])
        assert evolution.generation == len(told) // POPULATION

    assert len(set(told)) == len(told) == 4 * POPULATION
    assert out == []
    for scored in evolution.history:
        assert scored.generation == told.index(scored.child.architecture) // POPULATION


@pytest.mark.parametrize(
    ("mutations", "crossovers", "shares"),
    [(30, 10, (0.75, 0.25, 0.0)), (10, 10, (0.25, 0.25, 0.5)), (60, 20, (0.75, 0.25, 0.0))],
)
def test_mutations_and_crossovers_have_the_shares_of_a_generation(
    mutations: int, crossovers: int, shares: tuple[float, float, float]
) -> None:
    evolution = build_evolution(
        build_costs((6,) * 30),
        breeding="steady_state",
        population=40,
        parents=20,
        generations=16,
        mutations=mutations,
        crossovers=crossovers,
    )
    run_to_end(evolution)
    origins = Counter(scored.child.origin for scored in evolution.history[40:])
    found = [origins[name] / origins.total() for name in ("mutation", "crossover", "random")]

    assert found == pytest.approx(shares, abs=0.06)


def test_ten_attempts_without_a_new_child_are_followed_by_a_random_one() -> None:
    """A parent crossed with itself is nothing new."""
    evolution = build(parents=1, mutations=0, crossovers=8)
    run_to_end(evolution)

    assert {scored.child.origin for scored in evolution.history} == {"random"}
    assert len(evolution.history) == 4 * POPULATION


def test_a_limit_that_leaves_one_architecture_ends_after_it() -> None:
    costs = build_costs((4, 4, 4))
    evolution = build_evolution(
        costs, Limits(costs.smallest.macs), generations=1000, breeding="steady_state"
    )

    assert len(run_to_end(evolution)) == 1


def test_where_all_has_failed_children_are_random() -> None:
    evolution = build()
    proposed = run_to_end(evolution, lambda architectures: [math.nan] * len(architectures))

    assert len(proposed) == 4 * POPULATION
    assert (evolution.history, evolution.generation) == ([], 4)


def test_a_search_that_was_exhausted_stays_finished_when_it_is_restored() -> None:
    costs = build_costs((2, 2))
    evolution = build_evolution(costs, generations=100, breeding="steady_state")
    run_to_end(evolution)
    again = build_evolution(costs, generations=100, breeding="steady_state")
    again.restore(json.loads(json.dumps(evolution.state())))

    assert len(evolution.history) == 4
    assert again.finished


def test_it_finds_better_architectures_than_random_search() -> None:
    costs = build_costs((6,) * 20)
    evolution = build_evolution(
        costs,
        breeding="steady_state",
        generations=10,
        population=20,
        parents=5,
        mutations=10,
        crossovers=10,
    )
    run_to_end(evolution)
    random_ones = build_evolution(costs, generations=1, population=200)
    run_to_end(random_ones)

    assert evolution.ranked()[0].score > random_ones.ranked()[0].score + 5


@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_same_seed_and_the_same_asks_give_the_same_search(seed: int, chunks: list[int]) -> None:
    first, second = build(seed), build(seed)
    for evolution in (first, second):
        for chunk in itertools.cycle(chunks):
            if evolution.finished:
                break
            asked = evolution.ask(chunk)
            evolution.tell(asked, sum_of_choices(asked))

    assert first.state() == second.state()
