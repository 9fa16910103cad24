"""How long trials say that they may be silent: by what they have trained or computed themselves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raynas.cluster.tune import trial_silence
from raynas.cluster.tune.differentiable_trials import gate_trial
from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.cluster.tune.retrain_trials import retrain_trial
from raynas.cluster.tune.scoring_trials import ScoringTrial
from raynas.cluster.tune.short_trainings import check_trial
from raynas.cluster.tune.trial_silence import MOST_SECONDS, WatchedTime, WorkTime
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.training.scoring import Remembered
from tests.builders import build_space, shipped_cells
from tests.data.samples import build_dataset

DATASET = build_dataset(count=24)
SETTINGS = replace(
    Settings(retrain=RetrainSettings(epochs=2, batch=12)),
    differentiable=replace(
        Settings().differentiable, cells=3, channels=8, epochs=2, batch=6, warmup=0
    ),
)
Reports = list[dict[str, Any]]


def retrained(store: RunStore) -> Reports:
    """Return what a retraining reports."""
    reports: Reports = []
    retrain_trial(
        {"architecture": "0-1"},
        TrialInputs(build_space("RN"), DATASET, SETTINGS, store, 0.0),
        report=reports.append,
    )
    return reports


def searched(store: RunStore) -> Reports:
    """Return what a differentiable search reports."""
    reports: Reports = []
    space = replace(shipped_cells(), nodes=2)
    gate_trial(
        {"seed": 0}, TrialInputs(space, DATASET, SETTINGS, store, 0.0), report=reports.append
    )
    return reports


@pytest.mark.parametrize("work", [retrained, searched])
def test_a_trial_says_it_of_epochs_that_it_trains_and_nothing_when_it_resumes_at_its_end(
    tmp_path: Path, work: Callable[[RunStore], Reports]
) -> None:
    store = RunStore.create(str(tmp_path))
    first, again = work(store), work(store)

    assert [report[MOST_SECONDS] > 0 for report in first] == [True, True]
    assert [MOST_SECONDS in report for report in again] == [False]
    assert again[0]["epoch"] == 2


def test_a_retraining_leaves_time_for_its_test(tmp_path: Path) -> None:
    reports = retrained(RunStore.create(str(tmp_path)))
    longest = max(epoch["seconds"] for epoch in reports[-1]["history"])

    assert reports[-1][MOST_SECONDS] >= longest * (1 + len(DATASET.test) / len(DATASET.train))


def test_the_self_check_says_it_after_each_epoch(tmp_path: Path) -> None:
    reports: Reports = []
    store = RunStore.create(str(tmp_path))
    inputs = TrialInputs(build_space("RN"), DATASET, SETTINGS, store, 0.0)
    check_trial({"architecture": "0-1"}, inputs, report=reports.append)

    assert [(report["epoch"], report[MOST_SECONDS] > 0) for report in reports] == [
        (1, True),
        (2, True),
    ]


def test_a_score_that_is_computed_says_it_and_one_that_is_remembered_does_not() -> None:
    trial = object.__new__(ScoringTrial)
    trial.setup({}, lambda: Remembered({"0-1": 0.5}, lambda: lambda each: float(sum(each))), 1)
    found = []
    for text in ("0-1", "1-1"):
        trial.reset_config({"architecture": text})
        found.append(trial.step())

    assert [(each["score"], MOST_SECONDS in each) for each in found] == [(0.5, False), (2.0, True)]


def test_work_is_told_by_the_longest_so_far_and_waiting_is_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(trial_silence.time, "monotonic", lambda: now[0])
    work = WorkTime(ahead=1.5)
    told = []
    for seconds in (4, 2):
        now[0] += 100  # until the driver has heard the last report
        work.begin()
        now[0] += seconds
        told.append(work.told()[MOST_SECONDS])

    assert told == [6.0, 6.0]


def test_a_driver_that_was_stopped_has_watched_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(trial_silence.time, "monotonic", lambda: now[0])
    watched = WatchedTime()
    seen = []
    for seconds in (1, 3, 1e6, 1):
        now[0] += seconds
        seen.append(watched.now())

    assert seen == [1, 4, 9, 10]
