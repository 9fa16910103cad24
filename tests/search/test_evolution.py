"""Evolution with ask and tell: bounded, resumable, and as SPOS published it."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from raynas.costs.costs import Kind, Limits
from raynas.search.breeding import Child
from raynas.search.constrained_sampling import LegalSampler, all_legal
from raynas.search.evolution import Evolution, Scored, apart
from raynas.search.pareto import best_first
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from tests.builders import build_costs, build_evolution, run_python, run_to_end, sum_of_choices

SEEDS = st.integers(0, 10**6)
SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)
BREEDINGS = st.sampled_from(["generational", "steady_state"])
OBJECTIVES = st.sampled_from(["score", "score,macs,params"])
both_breedings = pytest.mark.parametrize("breeding", ["generational", "steady_state"])


def generations(evolution: Evolution) -> Iterator[list[Architecture]]:
    """Yield what is asked for in each generation, and tell its scores."""
    while not evolution.finished:
        asked = evolution.ask()
        yield asked
        evolution.tell(asked, sum_of_choices(asked))


def saved_and_restored(evolution: Evolution) -> Evolution:
    """Return a fresh evolution of another seed that continues from the state's JSON."""
    return build_evolution(seed=987).restore(json.loads(json.dumps(evolution.state())))


def test_the_published_search_ranks_a_thousand_architectures_in_twenty_generations() -> None:
    sampler = LegalSampler(build_costs((6,) * 20), Limits())
    evolution = Evolution(sampler, SearchSettings(), seed=0)
    sizes = [len(asked) for asked in generations(evolution)]
    origins = Counter((scored.generation, scored.child.origin) for scored in evolution.history)

    assert sizes == [50] * 20
    assert len(evolution.ranked()) == 1000
    assert origins[0, "random"] == 50
    assert all(origins[g, "mutation"] == origins[g, "crossover"] == 25 for g in range(1, 6))


def test_a_generation_of_too_few_new_children_fills_up_with_random_architectures() -> None:
    """Once the parents are much alike, crossovers mostly repeat what was seen."""
    evolution = build_evolution(build_costs((6,) * 10), parents=1)
    run_to_end(evolution)
    origins = Counter((scored.generation, scored.child.origin) for scored in evolution.history)

    assert origins[0, "random"] == 8
    for generation in (1, 2, 3):
        assert origins[generation, "mutation"] == 4
        assert origins[generation, "crossover"] == 0  # a parent crossed with itself
        assert origins[generation, "random"] == 4


@given(SEEDS, st.integers(1, 5))
def test_parents_are_the_best_of_all_generations_so_far(seed: int, num_parents: int) -> None:
    """The elite is cumulative: an early champion breeds until it is beaten."""
    evolution = build_evolution(build_costs((6,) * 8), seed=seed, parents=num_parents)
    for _ in generations(evolution):
        pass
    for scored in evolution.history:
        before = [other for other in evolution.history if other.generation < scored.generation]
        elite = sorted(before, key=lambda other: (-other.score, other.child.order))[:num_parents]

        assert set(scored.child.parents) <= {other.child.architecture for other in elite}


def test_a_champion_of_the_first_generation_still_breeds_in_the_last() -> None:
    evolution = build_evolution(build_costs((6,) * 8), parents=1)
    asked = evolution.ask()
    evolution.tell(asked, [100.0, *[0.0] * (len(asked) - 1)])
    run_to_end(evolution, lambda architectures: [1.0] * len(architectures))
    last = [s.child for s in evolution.history if s.generation == 3]

    assert last
    assert {parent for child in last for parent in child.parents} == {asked[0]}


@given(SEEDS)
def test_children_are_made_of_their_parents(seed: int) -> None:
    evolution = build_evolution(build_costs((6,) * 8), seed=seed, mutation_probability=0.0)
    run_to_end(evolution)
    for scored in evolution.history:
        child = scored.child
        genes = [set(layer) for layer in zip(*child.parents, strict=True)]
        match child.origin:
            case "random":
                assert child.parents == ()
            case "crossover":
                assert len(child.parents) == 2
                assert all(c in g for c, g in zip(child.architecture, genes, strict=True))
            case "mutation":
                pytest.fail("a mutation that redraws nothing is its parent, which was proposed")


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_a_mutation_redraws_each_layer_with_the_set_probability(probability: float) -> None:
    costs = build_costs((10,) * 200)
    evolution = build_evolution(
        costs,
        population=60,
        mutations=60,
        crossovers=0,
        generations=2,
        mutation_probability=probability,
    )
    run_to_end(evolution)
    mutants = [s.child for s in evolution.history if s.child.origin == "mutation"]
    changed = [
        np.mean(np.array(child.architecture) != np.array(child.parents[0])) for child in mutants
    ]

    assert len(mutants) == 60
    assert np.mean(changed) == pytest.approx(probability * 0.9, rel=0.1)  # one in ten stays


def test_a_crossover_takes_about_half_of_the_layers_from_each_parent() -> None:
    evolution = build_evolution(
        build_costs((10,) * 200), population=60, mutations=0, crossovers=60, generations=2
    )
    run_to_end(evolution)
    crossed = [s.child for s in evolution.history if s.child.origin == "crossover"]
    shares = []
    for child in crossed:
        first, second = (np.array(parent) for parent in child.parents)
        differs = first != second
        if differs.any():
            shares.append(np.mean(np.array(child.architecture)[differs] == first[differs]))

    assert len(shares) > 30
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


@given(SIZES, SEEDS, st.integers(1, 9), st.integers(1, 9), BREEDINGS)
def test_no_architecture_is_proposed_twice_and_all_are_legal(
    sizes: list[int], seed: int, population: int, chunk: int, breeding: str
) -> None:
    costs = build_costs(sizes, seed)
    middle = (costs.smallest.macs + costs.largest.macs) // 2
    limits = Limits(max_macs=middle)
    evolution = build_evolution(costs, limits, seed, population=population, breeding=breeding)
    proposed = run_to_end(evolution, chunk=chunk)

    assert len(set(proposed)) == len(proposed)
    assert all(limits.allow(costs.of(architecture)) for architecture in proposed)


@given(SIZES, SEEDS, BREEDINGS)
def test_a_space_smaller_than_one_generation_is_exhausted_and_ends(
    sizes: list[int], seed: int, breeding: str
) -> None:
    costs = build_costs(sizes, seed)
    endless = {"generations": 10**6, "population": 81, "breeding": breeding}
    evolution = build_evolution(costs, seed=seed, **endless)

    assert sorted(run_to_end(evolution)) == sorted(all_legal(costs, Limits()))
    assert evolution.finished
    assert evolution.ask() == []


def test_a_limit_that_leaves_one_architecture_ends_after_it() -> None:
    costs = build_costs((4, 4, 4))
    evolution = build_evolution(costs, Limits(max_macs=costs.smallest.macs), generations=1000)

    assert len(run_to_end(evolution)) == 1


def test_more_children_than_the_population_holds_lose_no_architecture() -> None:
    """What did not fit is not marked as seen: a small space can still be searched to its end."""
    sizes = (4, 4)
    evolution = build_evolution(
        build_costs(sizes), generations=1000, population=4, mutations=8, crossovers=8
    )

    assert len(run_to_end(evolution)) == 16


def test_crossovers_have_a_place_when_the_population_is_smaller_than_the_children() -> None:
    evolution = build_evolution(build_costs((6,) * 8), population=4, mutations=4, crossovers=4)
    run_to_end(evolution)

    assert "crossover" in {scored.child.origin for scored in evolution.history}


def test_too_many_children_share_the_population_in_proportion() -> None:
    evolution = build_evolution(build_costs((6,) * 8), population=6, mutations=8, crossovers=4)
    run_to_end(evolution)
    first = Counter(s.child.origin for s in evolution.history if s.generation == 1)

    assert first == {"mutation": 4, "crossover": 2}


FAILING = st.sampled_from([math.nan, math.inf, -math.inf])


@given(SEEDS, BREEDINGS, OBJECTIVES, st.data())
def test_failures_never_breed_and_are_never_proposed_again(
    seed: int, breeding: str, objectives: str, data: st.DataObject
) -> None:
    evolution = build_evolution(seed=seed, breeding=breeding, objectives=objectives)
    failed: set[Architecture] = set()
    proposed: list[Architecture] = []

    def score(architectures: Iterable[Architecture]) -> Iterator[float]:
        for architecture in architectures:
            if data.draw(st.booleans()):
                failed.add(architecture)
                yield data.draw(FAILING)
            else:
                yield float(sum(architecture))

    proposed = run_to_end(evolution, score)
    bred_from = {parent for s in evolution.history for parent in s.child.parents}

    assert not bred_from & failed
    assert not failed & {scored.child.architecture for scored in evolution.ranked()}
    assert len(set(proposed)) == len(proposed)
    assert len(evolution.history) == len(proposed) - len(failed)


def test_a_generation_that_fails_whole_is_followed_by_a_random_one() -> None:
    evolution = build_evolution(build_costs((6,) * 8))
    first = evolution.ask()
    evolution.tell(first, [math.nan] * len(first))
    second = evolution.ask()
    evolution.tell(second, sum_of_choices(second))

    assert len(second) == 8
    assert {scored.child.origin for scored in evolution.history} == {"random"}


@both_breedings
@pytest.mark.parametrize("objectives", ["score", "score,macs,params"])
def test_a_search_in_which_everything_fails_ends(breeding: str, objectives: str) -> None:
    evolution = build_evolution(breeding=breeding, objectives=objectives)
    run_to_end(evolution, lambda architectures: [math.nan] * len(architectures))

    assert evolution.finished
    assert evolution.ranked() == []


@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_sizes_of_the_asks_do_not_change_the_search(seed: int, chunks: list[int]) -> None:
    whole, pieces = build_evolution(seed=seed), build_evolution(seed=seed)
    run_to_end(whole)
    for chunk in itertools.cycle(chunks):
        if pieces.finished:
            break
        asked = pieces.ask(chunk)
        pieces.tell(asked, sum_of_choices(asked))

    assert pieces.history == whole.history


@hypothesis_settings(max_examples=12)
@given(SEEDS, st.data())
def test_a_search_restored_from_json_at_any_point_is_the_uninterrupted_search(
    seed: int, data: st.DataObject
) -> None:
    """It may be cut off between asks, between tells, or with architectures out."""
    whole = build_evolution(seed=seed)
    run_to_end(whole)
    cut = build_evolution(seed=seed)
    while not cut.finished:
        if data.draw(st.booleans()):
            cut = saved_and_restored(cut)
        asked = cut.ask(data.draw(st.integers(1, 8)))
        if data.draw(st.booleans()):
            cut = saved_and_restored(cut)
            asked = cut.ask(len(asked))
        for told in range(len(asked)):
            cut.tell(asked[told : told + 1], sum_of_choices(asked[told : told + 1]))
            if data.draw(st.booleans()):
                still_out = asked[told + 1 :]
                cut = saved_and_restored(cut)
                assert cut.ask(len(still_out)) == still_out

    assert cut.history == whole.history
    assert cut.state() == whole.state()


@pytest.mark.slow
@hypothesis_settings(max_examples=40)
@given(SEEDS, BREEDINGS, OBJECTIVES)
def test_whatever_is_asked_and_told_a_restored_search_goes_on_as_the_first_one(
    seed: int, breeding: str, objectives: str
) -> None:
    """What was asked and never told is asked again, in the same order; the rest is bit-exact."""
    rng, kind = np.random.default_rng(seed), {"breeding": breeding, "objectives": objectives}
    whole, cut = (build_evolution(seed=seed, **kind) for _ in range(2))
    out: list[Architecture] = []
    while not whole.finished:
        count = int(rng.integers(1, 9))
        asked = whole.ask(count)
        assert cut.ask(count) == asked
        out += asked
        told = [out.pop(int(rng.integers(len(out)))) for _ in range(rng.integers(len(out) + 1))]
        scores = rng.choice([1.0, 2.0, math.nan, math.inf], len(told))
        for evolution in (whole, cut):
            evolution.tell(told, scores)
        if rng.random() < 0.5:
            state = json.loads(json.dumps(cut.state()))
            cut = build_evolution(seed=987, **kind).restore(state)
            assert cut.ask(len(out)) == out
        assert cut.state() == whole.state()


@both_breedings
def test_a_restored_search_remembers_failures(breeding: str) -> None:
    def build() -> Evolution:
        return build_evolution(build_costs((2, 2)), generations=100, breeding=breeding)

    evolution = build()
    asked = evolution.ask(3)
    evolution.tell(asked, [math.nan] * 3)
    restored = build().restore(json.loads(json.dumps(evolution.state())))

    assert set(run_to_end(restored)).isdisjoint(asked)


@both_breedings
def test_restoring_replaces_whatever_the_search_had_scored_before(breeding: str) -> None:
    first, other = (
        build_evolution(seed=seed, breeding=breeding, objectives="score,macs,params")
        for seed in (1, 2)
    )
    run_to_end(first)
    run_to_end(other)
    other.restore(json.loads(json.dumps(first.state())))

    assert other.ranked() == first.ranked()
    assert other.state() == first.state()


def test_a_saved_state_does_not_change_when_the_search_goes_on() -> None:
    evolution = build_evolution()
    state = evolution.state()
    text = json.dumps(state)
    run_to_end(evolution)

    assert json.dumps(state) == text


def test_the_generation_advances_only_when_all_of_it_was_told() -> None:
    evolution = build_evolution()
    first = evolution.ask()
    evolution.tell(first[:-1], sum_of_choices(first[:-1]))

    assert (evolution.generation, evolution.ask(), evolution.finished) == (0, [], False)
    evolution.tell(first[-1:], sum_of_choices(first[-1:]))
    assert evolution.generation == 1
    assert len(evolution.ask()) == 8


def test_telling_out_of_order_is_allowed() -> None:
    evolution = build_evolution()
    asked = evolution.ask()
    evolution.tell(asked[::-1], sum_of_choices(asked[::-1]))

    assert [scored.child.architecture for scored in evolution.history] == asked[::-1]
    assert evolution.generation == 1


def test_telling_what_was_not_asked_for_is_an_error() -> None:
    evolution = build_evolution()
    (asked,) = evolution.ask(1)
    evolution.tell([asked], [1.0])

    with pytest.raises(KeyError):
        evolution.tell([asked], [1.0])
    with pytest.raises(KeyError):
        evolution.tell([Architecture((9, 9))], [1.0])


def test_ranked_is_best_first_and_ties_keep_the_order_of_scoring() -> None:
    evolution = build_evolution()
    run_to_end(evolution)
    ranked = evolution.ranked()

    assert [(-s.score, s.child.order) for s in ranked] == sorted(
        (-s.score, s.child.order) for s in ranked
    )
    assert sorted(scored.child.order for scored in ranked) == list(range(len(ranked)))
    assert len({scored.score for scored in ranked}) < len(ranked)  # there were ties


def objectives_of(evolution: Evolution, before: int | None = None) -> np.ndarray:
    """Return what NSGA-II minimises, for each scored one or those of earlier generations."""
    rows = []
    for scored in evolution.history:
        if before is None or scored.generation < before:
            cost = evolution._sampler.costs.of(scored.child.architecture)
            rows.append((-scored.score, cost.macs, cost.params))
    return np.array(rows)


@given(SEEDS, BREEDINGS)
def test_ranked_by_pareto_takes_score_macs_and_parameters_of_everything_told(
    seed: int, breeding: str
) -> None:
    evolution = build_evolution(seed=seed, breeding=breeding, objectives="score,macs,params")
    run_to_end(evolution)
    ranked = evolution.ranked()

    assert [scored.child.order for scored in ranked] == list(best_first(objectives_of(evolution)))
    assert len(ranked) == len(evolution.history)


@given(SEEDS, st.integers(1, 5))
def test_parents_by_pareto_are_the_first_of_that_order(seed: int, num_parents: int) -> None:
    """Architectures of few MACs breed beside those of a high score."""
    evolution = build_evolution(
        build_costs((6,) * 8, seed), seed=seed, parents=num_parents, objectives="score,macs,params"
    )
    run_to_end(evolution)
    for generation in (1, 2, 3):
        order = list(best_first(objectives_of(evolution, generation)))[:num_parents]
        elite = {evolution.history[position].child.architecture for position in order}
        for scored in evolution.history:
            if scored.generation == generation:
                assert set(scored.child.parents) <= elite


GOALS: tuple[tuple[Kind, ...], ...] = (("macs",), ("latency",), ("params", "latency"))


@given(SEEDS, BREEDINGS, st.sampled_from(GOALS), st.integers(1, 6))
def test_winners_by_objectives_lie_along_the_front_of_all_that_was_told(
    seed: int, breeding: str, goals: tuple[Kind, ...], count: int
) -> None:
    """Nothing dominates them; the first has the highest score, the last the least of the front."""
    costs = build_costs((4,) * 5, seed, latency=True)
    objectives = ",".join(("score", *goals))
    evolution = build_evolution(costs, seed=seed, breeding=breeding, objectives=objectives)
    run_to_end(evolution)

    def point(scored: Scored) -> tuple[float, ...]:
        cost = costs.of(scored.child.architecture)
        return (-scored.score, *map(cost.of, goals))

    points = [point(scored) for scored in evolution.history]
    first = NonDominatedSorting().do(np.array(points), only_non_dominated_front=True)
    front = {points[place] for place in first}
    winners = evolution.winners(count)
    found = [point(scored) for scored in winners]

    assert set(found) <= front
    assert found == sorted(found)
    assert found[0] == min(front)
    assert len({scored.child.order for scored in winners}) == len(winners) <= count
    if len(found) > 1:
        assert found[-1] == max(front)


def test_an_evolution_without_any_score_has_no_winners() -> None:
    assert build_evolution(objectives="score,macs").winners(3) == []
    assert build_evolution(objectives="score,macs").ranked() == []


def test_by_pareto_more_cheap_architectures_are_found_than_by_score() -> None:
    costs = build_costs((6,) * 12)
    macs = {}
    for objectives in ("score", "score,macs,params"):
        evolution = build_evolution(costs, generations=12, objectives=objectives)
        run_to_end(evolution)
        macs[objectives] = min(costs.of(s.child.architecture).macs for s in evolution.history)

    assert macs["score,macs,params"] < 0.8 * macs["score"]


@given(SEEDS)
def test_the_same_seed_gives_the_same_search(seed: int) -> None:
    first, second = build_evolution(seed=seed), build_evolution(seed=seed)

    assert run_to_end(first) == run_to_end(second)
    assert first.state() == second.state()


def test_another_seed_gives_another_search() -> None:
    assert run_to_end(build_evolution(seed=1)) != run_to_end(build_evolution(seed=2))


def test_another_process_draws_and_runs_the_same_search() -> None:
    sampler = LegalSampler(build_costs((5,) * 6), Limits(3500, 3500))
    program = (
        "from raynas.costs.costs import Cost, CostTable, Limits\n"
        "from raynas.search.evolution import Evolution\n"
        "from raynas.search.constrained_sampling import LegalSampler\n"
        "from raynas.settings.settings import SearchSettings\n"
        f"sampler = LegalSampler({sampler.costs!r}, {sampler.limits!r})\n"
        "evolution = Evolution(sampler, SearchSettings(population=20, generations=4), 5)\n"
        "while not evolution.finished:\n"
        "    asked = evolution.ask()\n"
        "    evolution.tell(asked, [float(sum(a)) for a in asked])\n"
        "print([scored.child.architecture for scored in evolution.history])"
    )
    evolution = Evolution(sampler, SearchSettings(population=20, generations=4), 5)
    run_to_end(evolution)

    assert run_python(program) == str([s.child.architecture for s in evolution.history])


def test_evolution_finds_better_architectures_than_as_many_random_ones() -> None:
    costs = build_costs((6,) * 20)
    rng = np.random.default_rng(0)
    evolution = build_evolution(
        costs, generations=10, population=20, parents=5, mutations=10, crossovers=10
    )
    proposed = run_to_end(evolution)
    sampler = LegalSampler(costs, Limits())
    best_random = max(sum(sampler.draw(rng) or ()) for _ in proposed)

    assert evolution.ranked()[0].score > best_random + 5


@pytest.mark.parametrize("objectives", ["score", "score,macs,params"])
def test_what_a_generation_breeds_does_not_depend_on_the_order_of_the_answers(
    objectives: str,
) -> None:
    def proposals(reverse: bool) -> list[Architecture]:
        evolution, proposed = build_evolution(objectives=objectives), []
        while not evolution.finished:
            asked = evolution.ask()
            proposed += asked
            told = asked[::-1] if reverse else asked
            evolution.tell(told, sum_of_choices(told))  # with many ties
        return proposed

    assert proposals(reverse=True) == proposals(reverse=False)


def test_winners_differ_in_so_many_layers_and_the_best_others_fill_up() -> None:
    def scored(*items: tuple[str, float]) -> list[Scored]:
        return [
            Scored(0, Child(Architecture.parse(text), "random", order=order), score)
            for order, (text, score) in enumerate(items)
        ]

    ranked = scored(("0-0-0", 5.0), ("0-0-1", 4.0), ("1-1-0", 3.0), ("1-1-1", 2.0), ("2-2-2", 1.0))

    def names(count: int, distance: int) -> list[str]:
        return [str(each.child.architecture) for each in apart(ranked, count, distance)]

    assert names(2, 2) == ["0-0-0", "1-1-0"]
    assert names(3, 2) == ["0-0-0", "1-1-0", "2-2-2"]
    assert names(4, 3) == ["0-0-0", "0-0-1", "1-1-1", "2-2-2"]  # three differ, and one fills up
    assert names(9, 2) == ["0-0-0", "0-0-1", "1-1-0", "1-1-1", "2-2-2"]
