"""The searcher: whole generations inside ``suggest``, and trials for the winners alone."""

import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.search import Searcher

from raynas.cluster.strategies.evolution import _continued
from raynas.cluster.tune import searchers
from raynas.cluster.tune.searchers import EvolutionSearcher, ListSearcher, Record
from raynas.costs.costs import Limits
from raynas.recording.outcomes import SearchLog, known_scores
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from tests.builders import build_costs, build_evolution, run_to_end, sum_of_choices

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

    def test_a_finished_evolution_is_ranked_once_however_many_trials_there_are(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searcher, ranked = build(), list[int]()
        rank = Evolution.winners

        def counting(evolution: Evolution, count: int, min_distance: int) -> Any:
            ranked.append(count)
            return rank(evolution, count, min_distance)

        monkeypatch.setattr(Evolution, "winners", counting)
        suggestions(searcher)
        assert not searcher.exhausted
        assert ranked == [TOP]

    def test_the_score_of_anything_that_was_scored_is_known(self) -> None:
        searcher = build()
        for _ in range(2):  # also of what is scored after the first question
            asked = searcher.evolution.ask()
            searcher.evolution.tell(asked, scorer()(asked))
            for scored in searcher.evolution.history:
                assert searcher.score_of(scored.child.architecture) == scored.score
        with pytest.raises(KeyError):
            searcher.score_of(Architecture((9,) * 5))

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


def by_trials(record: Record | None = None, **settings: Any) -> EvolutionSearcher:
    """Return a searcher whose architectures are scored by trials."""
    return EvolutionSearcher(build_evolution(build_costs(SIZES), **settings), None, TOP, record)


def text_of(searcher: EvolutionSearcher, trial: str) -> str:
    """Return the architecture that a trial is to score."""
    config: Any = searcher.suggest(trial)
    text: str = config["architecture"]
    return text


def answer(searcher: EvolutionSearcher, trial: str, text: str) -> None:
    """Report the sum of choices as a trial's score."""
    searcher.on_trial_complete(trial, {"score": float(sum(Architecture.parse(text)))})


def score_all(searcher: EvolutionSearcher) -> list[str]:
    """Score one architecture after another until all generations are; return them."""
    found: list[str] = []
    while not searcher.evolution.finished:
        trial = f"score{len(found)}"
        found.append(text_of(searcher, trial))
        answer(searcher, trial, found[-1])
    return found


class TestScoredByTrials:
    def test_while_a_generation_is_out_there_is_nothing_to_suggest(self) -> None:
        searcher = by_trials()
        out = {f"trial{i}": text_of(searcher, f"trial{i}") for i in range(8)}
        last, text = out.popitem()

        assert searcher.suggest("early") is None
        for trial, other in out.items():
            answer(searcher, trial, other)
            assert searcher.suggest("early") is None
        answer(searcher, last, text)
        assert text_of(searcher, "next") not in {*out.values(), text}

    def test_it_proposes_and_finds_what_the_evolution_does_by_itself(self) -> None:
        searcher, alone = by_trials(), build_evolution(build_costs(SIZES))
        proposed = run_to_end(alone, sum_of_choices)

        assert score_all(searcher) == list(map(str, proposed))
        assert searcher.evolution.history == alone.history

    def test_its_metric_is_the_score_and_later_the_accuracy(self) -> None:
        searcher = by_trials()
        assert searcher.metric == "score"
        score_all(searcher)

        assert EvolutionSearcher(searcher.evolution, None, TOP).metric == "val_accuracy"

    @pytest.mark.parametrize(
        ("result", "error"),
        [({"score": math.nan}, False), ({"score": 99.0}, True), (None, True), ({}, False)],
    )
    def test_what_failed_or_has_no_score_never_joins(
        self, result: dict[str, float] | None, error: bool
    ) -> None:
        searcher = by_trials()
        failed = text_of(searcher, "failed")
        searcher.on_trial_complete("failed", result, error)
        proposed = score_all(searcher)

        history = [str(item.child.architecture) for item in searcher.evolution.history]
        bred = {str(each) for item in searcher.evolution.history for each in item.child.parents}
        assert failed not in {*history, *bred, *proposed}
        assert sorted(history) == sorted(proposed)

    def test_between_generations_the_record_is_told_once_a_second(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr(searchers.time, "monotonic", lambda: now)
        told: list[int] = []
        searcher = by_trials(lambda evolution: told.append(len(evolution.history)))
        for number in range(8):  # the first generation, a score each 0.4 seconds
            text = text_of(searcher, f"trial{number}")
            now += 0.4
            answer(searcher, f"trial{number}", text)

        assert told == [3, 6, 8]

    def test_winners_under_several_objectives_lie_along_the_first_front_best_score_first(
        self,
    ) -> None:
        searcher = by_trials(objectives="score,macs,params")
        score_all(searcher)
        costs, history = build_costs(SIZES), searcher.evolution.history

        def objectives(architecture: Architecture) -> tuple[float, int, int]:
            cost = costs.of(architecture)
            return -float(sum(architecture)), cost.macs, cost.params

        seen = {item.child.architecture: objectives(item.child.architecture) for item in history}
        front = [
            each
            for each, own in seen.items()
            if not any(
                other != own and all(a <= b for a, b in zip(other, own, strict=True))
                for other in seen.values()
            )
        ]
        scores = sorted((-seen[each][0] for each in front), reverse=True)
        chosen = searcher.winners()

        assert set(chosen) <= set(front)
        found = [float(sum(each)) for each in chosen]
        assert found == sorted(found, reverse=True)
        assert (found[0], found[-1], len(found)) == (scores[0], scores[-1], TOP)
        assert suggestions(searcher) == list(map(str, chosen))


def listed(done: tuple[Architecture, ...] = ()) -> ListSearcher:
    """Return a searcher of three architectures, not in the order of their scores."""
    scores = {Architecture((i, 0)): score for i, score in enumerate((0.5, 0.9, 0.1))}
    return ListSearcher(scores, done)


class TestList:
    def test_architectures_come_in_their_order_each_once(self) -> None:
        searcher = listed()
        found: list[Any] = [searcher.suggest(f"trial{number}") for number in range(5)]

        assert found[:3] == [{"architecture": text} for text in ("0-0", "1-0", "2-0")]
        assert found[3:] == [Searcher.FINISHED] * 2

    def test_those_that_need_no_trial_are_left_out(self) -> None:
        searcher = listed((Architecture((1, 0)),))

        assert searcher.suggest("a") == {"architecture": "0-0"}
        assert searcher.suggest("b") == {"architecture": "2-0"}
        assert searcher.suggest("c") == Searcher.FINISHED

    @pytest.mark.parametrize("error", [False, True])
    def test_it_is_exhausted_when_the_last_trial_has_ended_well_or_not(self, error: bool) -> None:
        searcher = listed()
        for number in range(3):
            searcher.suggest(f"trial{number}")
        for number in range(3):
            assert not searcher.exhausted
            searcher.on_trial_complete(f"trial{number}", None, error)

        assert searcher.exhausted
        assert listed(tuple(Architecture((i, 0)) for i in range(3))).exhausted

    def test_scores_are_those_that_were_given(self) -> None:
        assert listed().score_of(Architecture((1, 0))) == 0.9

    def test_tune_may_set_its_metric_and_copy_it(self) -> None:
        searcher = listed()
        searcher.suggest("trial0")
        copy = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - our own bytes

        assert searcher.set_search_properties("val_accuracy", "max", {}, spec=None)
        assert copy.suggest("trial1") == searcher.suggest("trial1") == {"architecture": "1-0"}


def test_a_search_that_has_ended_writes_again_what_its_table_has_lost(tmp_path: Path) -> None:
    """And if its state is lost as well, trials need not score again what is left of the table."""
    store, costs = RunStore.create(str(tmp_path)), build_costs(SIZES)
    ended = build_evolution(costs)
    run_to_end(ended)
    SearchLog(store, costs, lambda *_: None)(ended)
    rows = store.rows("architectures")
    plan = SimpleNamespace(sampler=LegalSampler(costs, Limits()), costs=costs)
    stages = SimpleNamespace(stage=lambda *_: lambda *_: None)
    run: Any = SimpleNamespace(store=store, settings=Settings(), plan=plan, stages=stages)

    assert known_scores(store) == {row["architecture"]: row["score"] for row in rows}
    store.drop("architectures", lambda _: True)
    evolution, _ = _continued(run)
    assert evolution.finished
    assert store.rows("architectures") == rows
