"""The calibrated searcher: trials that teach which trials come next; no Ray is needed."""

import json
import pickle
from typing import Any

import numpy as np
import pytest
from ray.tune.search import Searcher

from raynas.cluster.tune.calibrated_searcher import CalibratedSearcher, Record, milestones
from raynas.costs.costs import Limits
from raynas.nets.cost import cost_table
from raynas.search.calibration import Calibration
from raynas.search.exact import best
from raynas.search.experts import single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from tests.builders import build_space

SPACE = build_space("RNN")
COSTS = cost_table(SPACE, 8, 3, 3)
TRIALS = 5
ASHA = RetrainSettings(
    top_k=TRIALS, epochs=12, scheduler="asha", asha_grace_epochs=2, asha_reduction=3
)
FIFO = RetrainSettings(top_k=TRIALS, epochs=4)


def tables() -> list[Array]:
    """Return a random additive table of the space."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=block.size) for block in SPACE.blocks]


def build(
    settings: RetrainSettings = FIFO,
    record: Record | None = None,
    done: tuple[Architecture, ...] = (),
    table: list[Array] | None = None,
) -> CalibratedSearcher:
    """Return a searcher that has proposed nothing yet."""
    table = tables() if table is None else table
    calibration = Calibration(single_expert(table), COSTS, Limits(), SPACE, 0)
    return CalibratedSearcher(calibration, AdditiveScorer(table), settings, record, done)


def asked(searcher: CalibratedSearcher, trial: str) -> str:
    """Return the architecture that a trial is to train."""
    config: Any = searcher.suggest(trial)
    assert config != Searcher.FINISHED
    text: str = config["architecture"]
    return text


def report(epochs: int, accuracy: float = 0.5) -> dict[str, Any]:
    """Return what a trial reports after so many epochs, each a little better."""
    history = [
        {"epoch": epoch, "val_accuracy": accuracy + epoch / 100} for epoch in range(1, epochs + 1)
    ]
    return {"epoch": epochs, "val_accuracy": history[-1]["val_accuracy"], "history": history}


def observed(searcher: CalibratedSearcher) -> list[tuple[str, float, float]]:
    """Return what the calibration was told: architecture, accuracy and weight."""
    return [tuple(each) for each in searcher.calibration.state()["observed"]]


def run_through(searcher: CalibratedSearcher, epochs: int = 4) -> list[str]:
    """Run trials one after another until there is none; return what they trained."""
    found: list[str] = []
    while (config := searcher.suggest(f"trial{len(found)}")) != Searcher.FINISHED:
        assert isinstance(config, dict)
        text = config["architecture"]
        searcher.on_trial_complete(f"trial{len(found)}", report(epochs, 0.1 * len(found)))
        found.append(text)
        assert len(found) < 100
    return found


class TestMilestones:
    @pytest.mark.parametrize(
        ("epochs", "grace", "reduction", "wanted"),
        [
            (12, 2, 3, [2, 6, 12]),
            (15, 3, 3, [3, 9, 15]),
            (9, 1, 3, [1, 3, 9]),
            (8, 1, 2, [1, 2, 4, 8]),
            (3, 3, 3, [3]),
            (2, 5, 3, [2]),
        ],
    )
    def test_they_are_the_rungs_of_asha_and_the_last_epoch(
        self, epochs: int, grace: int, reduction: int, wanted: list[int]
    ) -> None:
        settings = RetrainSettings(
            epochs=epochs, scheduler="asha", asha_grace_epochs=grace, asha_reduction=reduction
        )

        assert milestones(settings) == wanted

    def test_without_asha_only_the_last_epoch_counts(self) -> None:
        assert milestones(FIFO) == [4]


class TestSuggesting:
    def test_the_first_is_the_indicator_s_best(self) -> None:
        assert asked(build(), "trial0") == str(best(tables(), COSTS, Limits())[0])

    def test_none_comes_twice_whether_trials_have_ended_or_not(self) -> None:
        one_by_one = run_through(build())
        at_once = build()
        together = [asked(at_once, f"trial{i}") for i in range(TRIALS)]

        for found in (one_by_one, together):
            assert len(set(found)) == len(found) == TRIALS
        assert at_once.suggest("late") == Searcher.FINISHED

    def test_accuracies_choose_what_comes_next(self) -> None:
        good, bad = build(), build()
        found = []
        for searcher, accuracies in ((good, (0.9, 0.1, 0.2)), (bad, (0.1, 0.9, 0.8))):
            for number, accuracy in enumerate(accuracies):
                asked(searcher, f"trial{number}")
                searcher.on_trial_complete(f"trial{number}", report(4, accuracy))
            found.append(searcher.calibration.table())

        assert good.proposed[:2] == bad.proposed[:2]
        assert not np.allclose(np.concatenate(found[0]), np.concatenate(found[1]))

    def test_it_ends_where_the_space_does(self) -> None:
        table = [np.array([1.0, 2.0, -np.inf]), np.array([1.0, -np.inf, -np.inf])]
        searcher = build(table=[*table, np.array([0.0, 1.0, -np.inf])])
        found = run_through(searcher)

        assert sorted(found) == ["0-0-0", "0-0-1", "1-0-0", "1-0-1"]
        assert searcher.exhausted

    def test_a_score_is_the_indicator_s_whatever_was_learned(self) -> None:
        searcher = build()
        run_through(searcher)

        for architecture in searcher.proposed:
            assert searcher.score_of(architecture) == AdditiveScorer(tables())([architecture])[0]


class TestObserving:
    def test_each_milestone_of_a_trial_is_observed_once_with_its_share_of_epochs(self) -> None:
        searcher = build(ASHA)
        text = asked(searcher, "trial0")
        for epoch in (1, 2, 3, 6, 7):
            searcher.on_trial_result("trial0", report(epoch))
            searcher.on_trial_result("trial0", report(epoch))
        searcher.on_trial_complete("trial0", report(12))

        assert observed(searcher) == [
            (text, 0.52, pytest.approx(2 / 12)),
            (text, 0.56, pytest.approx(6 / 12)),
            (text, 0.62, 1.0),
        ]
        assert searcher.num_observed == 3

    def test_milestones_that_passed_between_two_reports_are_not_lost(self) -> None:
        searcher = build(ASHA)
        asked(searcher, "trial0")
        searcher.on_trial_complete("trial0", report(6))  # resumed, and stopped by asha

        assert [weight for _, _, weight in observed(searcher)] == pytest.approx([2 / 12, 6 / 12])

    @pytest.mark.parametrize("result", [None, report(4)])
    def test_a_failure_teaches_nothing_and_is_not_proposed_again(
        self, result: dict[str, Any] | None
    ) -> None:
        searcher = build()
        failed = asked(searcher, "trial0")
        searcher.on_trial_complete("trial0", result, error=True)
        others = run_through(searcher)

        assert failed not in others
        assert len(others) == TRIALS - 1
        assert failed not in {text for text, _, _ in observed(searcher)}
        assert searcher.exhausted

    def test_reports_of_a_trial_that_nobody_knows_are_passed_over(self) -> None:
        searcher = build()
        searcher.on_trial_result("stranger", report(4))
        searcher.on_trial_complete("stranger", report(4))

        assert observed(searcher) == []

    def test_the_record_is_told_of_every_proposal_and_every_observation(self) -> None:
        told: list[tuple[int, int]] = []
        searcher = build(record=lambda each: told.append((len(each.proposed), each.num_observed)))
        run_through(searcher)

        assert told == [(number, seen) for number in range(1, 6) for seen in (number - 1, number)]


class TestContinuing:
    def test_what_an_earlier_driver_left_half_way_comes_first_and_the_rest_as_it_would_have(
        self,
    ) -> None:
        whole = build()
        expected = run_through(whole)
        first = build()
        for number in range(2):
            asked(first, f"trial{number}")
            first.on_trial_complete(f"trial{number}", report(4, 0.1 * number))
        left = asked(first, "trial2")  # and then the driver is killed
        again = build(done=tuple(first.proposed[:2]))
        again.resume(json.loads(json.dumps(first.state())))

        assert not again.exhausted
        resumed = asked(again, "trial2")
        assert resumed == left == expected[2]
        again.on_trial_complete("trial2", report(4, 0.2))
        found = [resumed]
        for number in (3, 4):
            found.append(asked(again, f"trial{number}"))
            again.on_trial_complete(f"trial{number}", report(4, 0.1 * number))
        assert found == expected[2:]
        assert observed(again) == observed(whole)
        assert again.exhausted

    def test_an_accuracy_that_was_observed_before_the_crash_is_not_observed_again(self) -> None:
        first = build(ASHA)
        text = asked(first, "trial0")
        first.on_trial_result("trial0", report(3))
        again = build(ASHA)
        again.resume(json.loads(json.dumps(first.state())))

        assert asked(again, "another") == text
        again.on_trial_result("another", report(5))
        assert len(observed(again)) == 1
        again.on_trial_result("another", report(6))
        assert len(observed(again)) == 2

    def test_failed_ones_are_tried_again_by_the_next_driver_and_others_are_not(self) -> None:
        first = build()
        failed = asked(first, "trial0")
        first.on_trial_complete("trial0", None, error=True)
        run_through(first)
        assert first.exhausted
        done = tuple(each for each in first.proposed if str(each) != failed)
        again = build(done=done)
        again.resume(first.state())

        assert not again.exhausted
        assert run_through(again) == [failed]
        assert again.exhausted

    def test_with_all_trials_done_nothing_is_left(self) -> None:
        first = build()
        run_through(first)
        again = build(done=tuple(first.proposed))
        again.resume(first.state())

        assert again.exhausted
        assert again.suggest("late") == Searcher.FINISHED

    def test_it_is_not_exhausted_before_the_last_trial_has_ended(self) -> None:
        searcher = build()
        assert not searcher.exhausted
        for number in range(TRIALS):
            asked(searcher, f"trial{number}")
        for number in range(TRIALS):
            assert not searcher.exhausted
            searcher.on_trial_complete(f"trial{number}", report(4))

        assert searcher.exhausted

    def test_tune_can_pickle_it_and_the_recorder_stays_behind(self) -> None:
        calls: list[int] = []
        searcher = build(record=lambda each: calls.append(len(each.proposed)))
        asked(searcher, "trial0")
        copy = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - our own bytes
        asked(copy, "trial1")

        assert calls == [1]

    def test_tune_may_set_its_metric_without_touching_the_space(self) -> None:
        searcher = build()

        assert searcher.set_search_properties("val_accuracy", "max", {}, spec=None)
        assert run_through(searcher) == run_through(build())
