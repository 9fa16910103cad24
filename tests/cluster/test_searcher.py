"""The searcher: whole generations inside ``suggest``, and trials for the winners alone."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.tune.search import Searcher

from raynas.cluster.searcher import EvolutionSearcher, Record
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.space import Architecture
from tests.builders import build_costs, build_evolution

SIZES = (4,) * 5
TOP = 4


def scorer() -> AdditiveScorer:
    """Return a scorer of random tables."""
    rng = np.random.default_rng(1)
    return AdditiveScorer([rng.normal(size=size) for size in SIZES])


def build(
    record: Record | None = None,
    done: tuple[Architecture, ...] = (),
    top_k: int = TOP,
    breeding: str = "generational",
) -> EvolutionSearcher:
    """Return a searcher of four generations."""
    evolution = build_evolution(build_costs(SIZES), breeding=breeding)
    return EvolutionSearcher(evolution, scorer(), top_k, record, done)


def suggestions(searcher: EvolutionSearcher, first: int = 0) -> list[str]:
    """Ask until there is no trial left; no trial ends meanwhile."""
    found: list[str] = []
    for number in range(first, first + 100):
        config: Any = searcher.suggest(f"trial{number}")
        if config == Searcher.FINISHED:
            return found
        found.append(config["architecture"])
    raise AssertionError("the searcher never finishes")


def winners() -> list[str]:
    """Return the best architectures of the whole evolution, best first."""
    searcher = build()
    searcher.evolve()
    return [str(scored.child.architecture) for scored in searcher.evolution.ranked()[:TOP]]


class TestEvolving:
    def test_the_whole_evolution_runs_inside_the_first_suggest(self) -> None:
        searcher = build()
        assert searcher.evolution.history == []
        searcher.suggest("trial0")

        assert searcher.evolution.finished
        assert {scored.generation for scored in searcher.evolution.history} == {0, 1, 2, 3}

    @pytest.mark.parametrize("breeding", ["generational", "steady_state"])
    def test_every_generation_is_recorded_once_when_it_is_scored(self, breeding: str) -> None:
        sizes: list[int] = []

        def record(evolution: Evolution) -> None:
            sizes.append(len(evolution.history))

        searcher = build(record, breeding=breeding)
        suggestions(searcher)

        counts = np.bincount([s.generation for s in searcher.evolution.history])
        assert sizes == np.cumsum(counts).tolist()

    def test_scores_are_those_of_the_scorer(self) -> None:
        searcher = build()
        searcher.evolve()
        architectures = [scored.child.architecture for scored in searcher.evolution.history]

        assert [s.score for s in searcher.evolution.history] == scorer()(architectures).tolist()


class TestSuggesting:
    def test_the_winners_come_once_each_best_first_and_then_it_is_finished(self) -> None:
        searcher = build()
        found = suggestions(searcher)
        scores = scorer()([Architecture.parse(text) for text in found])

        assert found == winners()
        assert len(set(found)) == TOP
        assert sorted(scores, reverse=True) == scores.tolist()
        assert searcher.suggest("late") == Searcher.FINISHED

    @pytest.mark.parametrize("error", [False, True])
    def test_a_trial_that_has_ended_is_not_suggested_again(self, error: bool) -> None:
        searcher = build()
        found = []
        for number in range(TOP):
            config: Any = searcher.suggest(f"trial{number}")
            found.append(config["architecture"])
            searcher.on_trial_complete(f"trial{number}", {"val_accuracy": 0.5}, error)
            searcher.on_trial_complete(f"trial{number}", None, error)  # Tune may say so twice

        assert found == winners()
        assert searcher.suggest("late") == Searcher.FINISHED

    def test_winners_that_need_no_trial_any_more_are_left_out(self) -> None:
        first, second, third, fourth = winners()
        done = (Architecture.parse(first), Architecture.parse(third))

        assert suggestions(build(done=done)) == [second, fourth]

    def test_a_space_of_fewer_architectures_than_winners_gives_them_all(self) -> None:
        evolution = build_evolution(build_costs((2, 2)))
        searcher = EvolutionSearcher(evolution, AdditiveScorer([np.arange(2.0)] * 2), top_k=9)

        found = suggestions(searcher)
        assert (found[0], found[-1]) == ("1-1", "0-0")
        assert sorted(found) == ["0-0", "0-1", "1-0", "1-1"]

    def test_architectures_without_a_score_never_win(self) -> None:
        table = [np.array([-np.inf, 1.0, 2.0, 3.0])] * 5
        searcher = EvolutionSearcher(build_evolution(build_costs(SIZES)), AdditiveScorer(table), 50)

        assert all("0" not in text for text in suggestions(searcher))

    def test_tune_may_set_its_metric_without_touching_the_space(self) -> None:
        searcher = build()

        assert searcher.set_search_properties("val_accuracy", "max", {}, spec=None)
        assert suggestions(searcher) == winners()


class TestContinuing:
    def test_a_state_saved_in_the_middle_of_trials_continues_as_if_nothing_had_been(
        self, tmp_path: Path
    ) -> None:
        first, second, third, fourth = winners()
        searcher = build()
        for number in (0, 1):
            searcher.suggest(f"trial{number}")
        searcher.on_trial_complete("trial0", {"val_accuracy": 0.5})
        searcher.save(str(tmp_path / "state"))
        again = build()
        again.restore(str(tmp_path / "state"))

        assert again.evolution.state() == searcher.evolution.state()
        again.on_trial_complete("trial1", {"val_accuracy": 0.5})  # it was out when all was saved
        assert suggestions(again, first=2) == [third, fourth]
        assert {first, second} <= again._done

    def test_the_saved_state_is_json(self, tmp_path: Path) -> None:
        searcher = build()
        searcher.suggest("trial0")
        searcher.save(str(tmp_path / "state"))
        state = json.loads((tmp_path / "state").read_text())

        assert state["trials"] == {"trial0": winners()[0]}
        assert len(state["evolution"]["history"]) == len(searcher.evolution.history)

    @pytest.mark.parametrize("is_evolved", [False, True])
    def test_tune_can_pickle_it_and_the_recorder_stays_behind(self, is_evolved: bool) -> None:
        calls: list[int] = []
        unpicklable = lambda evolution: calls.append(len(evolution.history))  # noqa: E731
        searcher = build(unpicklable)
        if is_evolved:
            searcher.suggest("trial0")
            searcher.on_trial_complete("trial0")
        before = len(calls)
        copy = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - our own bytes

        assert suggestions(copy, first=1) == winners()[is_evolved:]
        assert len(calls) == before
        assert searcher._record is unpicklable

    def test_an_evolution_restored_half_way_is_evolved_to_its_end(self) -> None:
        whole = build()
        whole.evolve()
        half = build()
        asked = half.evolution.ask()
        half.evolution.tell(asked, scorer()(asked))
        state = json.loads(json.dumps(half.evolution.state()))
        again = build()
        again.evolution.restore(state)

        assert suggestions(again) == winners()
        assert again.evolution.history == whole.evolution.history


def test_top_k_alone_decides_how_many_trials_there_are() -> None:
    for top_k in (1, 2, 7):
        searcher = build(top_k=top_k)
        assert len(suggestions(searcher)) == top_k
