"""ASHA in a run that continues: what another driver saw reach a rung still counts there."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from raynas.cluster import final_training, retraining
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.strategies import differentiable
from raynas.cluster.tune.schedulers import Epochs, known_epochs, make_scheduler, rungs
from raynas.errors import StageError
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore

SETTINGS = RetrainSettings(epochs=9, scheduler="asha", asha_grace_epochs=1, asha_reduction=3)
Curves = Mapping[str, Sequence[float]]


def epochs_of(accuracies: Sequence[float]) -> list[dict[str, Any]]:
    """Return the epochs of such accuracies."""
    return [{"epoch": n, "val_accuracy": each} for n, each in enumerate(accuracies, 1)]


def begin(earlier: Mapping[str, Epochs] | None = None) -> Any:
    """Return the scheduler of a driver, as Tune sets it up."""
    scheduler: Any = make_scheduler(SETTINGS, earlier or {})
    assert scheduler.set_search_properties("val_accuracy", "max")
    return scheduler


def report(scheduler: Any, name: str, accuracies: Sequence[float], driver: int = 0) -> str:
    """Report epochs as a trial does that begins with its first; return what is decided."""
    trial = SimpleNamespace(trial_id=f"{driver}-{name}", config={"architecture": name})
    history = epochs_of(accuracies)
    decision: str = scheduler.on_trial_result(None, trial, {"history": history, **history[-1]})
    return decision


def start(scheduler: Any, *names: str) -> None:
    """Add trials as Tune does."""
    for name in names:
        scheduler.on_trial_add(None, SimpleNamespace(trial_id=name, config={"architecture": name}))


def test_a_trial_behind_those_of_an_earlier_driver_is_stopped() -> None:
    scheduler = begin({"good": epochs_of([0.9]), "better": epochs_of([0.95])})
    start(scheduler, "weak")

    assert report(scheduler, "weak", [0.1]) == TrialScheduler.STOP
    fresh = begin()
    start(fresh, "weak")
    assert report(fresh, "weak", [0.1]) == TrialScheduler.CONTINUE


def test_a_trial_that_goes_on_is_not_judged_again_at_a_rung_that_it_has_passed() -> None:
    first = {"mine": epochs_of([0.5]), "good": epochs_of([0.9])}
    scheduler = begin(first)
    start(scheduler, "mine")

    assert report(scheduler, "mine", [0.5, 0.5], driver=1) == TrialScheduler.CONTINUE


def test_epochs_that_were_trained_elsewhere_count_at_their_rungs() -> None:
    scheduler = begin()
    start(scheduler, "taken", "weak")
    assert report(scheduler, "taken", [0.9] * 5) == TrialScheduler.CONTINUE

    assert report(scheduler, "weak", [0.1]) == TrialScheduler.STOP


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_trial_is_stopped_by_a_rung_that_it_reached_elsewhere(epochs: int) -> None:
    scheduler = begin({"good": epochs_of([0.9]), "better": epochs_of([0.95])})
    start(scheduler, "weak")

    assert report(scheduler, "weak", [0.1] * epochs) == TrialScheduler.STOP
    rungs = scheduler._asha._brackets[0]._rungs
    assert all("weak" in rung for milestone, rung in rungs if milestone <= epochs)


def test_the_histories_of_searches_are_read_too() -> None:
    scheduler = begin({"0": epochs_of([0.9])})
    trial = SimpleNamespace(trial_id="a", config={"seed": 1})
    scheduler.on_trial_add(None, trial)
    told = {"history": json.dumps(epochs_of([0.1])), "epoch": 1, "val_accuracy": 0.1}

    assert scheduler.on_trial_result(None, trial, told) == TrialScheduler.STOP


@given(
    curves=st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.floats(0, 1), min_size=9, max_size=9), min_size=2
    ),
    change=st.integers(0, 40),
)
def test_a_change_of_driver_changes_no_decision(curves: Curves, change: int) -> None:
    def decisions(drivers: int) -> list[tuple[str, int, str]]:
        scheduler, found, seen = begin(), [], dict.fromkeys(curves, 0)
        start(scheduler, *curves)
        for step in range(9 * len(curves)):
            if drivers > 1 and step == change:
                known = {name: epochs_of(curves[name][:count]) for name, count in seen.items()}
                scheduler = begin(known)
                start(scheduler, *curves)
            name = sorted(curves)[step % len(curves)]
            if (name, "STOP") in {(name, decision) for name, _, decision in found}:
                continue
            seen[name] += 1
            decision = report(scheduler, name, curves[name][: seen[name]], drivers)
            found.append((name, seen[name], decision))
        return found

    assert decisions(2) == decisions(1)


@pytest.mark.parametrize("name", ["architecture", "seed"])
def test_what_trials_have_reported_is_read_in_its_order(tmp_path: Path, name: str) -> None:
    store = RunStore.create(str(tmp_path))
    table = {"architecture": "trials", "seed": "search_epochs"}[name]
    rows = [{name: 1, "epoch": epoch, "val_accuracy": epoch / 10} for epoch in (2, 0, 1)]
    text = [row | {name: str(row[name])} if name == "architecture" else row for row in rows]
    store.append(table, text, part="all")

    found = known_epochs(store, table, name)
    assert [(row["epoch"], row["val_accuracy"]) for row in found["1"]] == [(1, 0.1), (2, 0.2)]


def test_epochs_without_an_accuracy_stand_in_no_rung(tmp_path: Path) -> None:
    """They are of a training on all images, of which nothing is left to validate on."""
    store = RunStore.create(str(tmp_path))
    for trained_on, accuracy in (("train", 0.5), ("all", None)):
        row = {"architecture": "1", "epoch": 1, "val_accuracy": accuracy, "trained_on": trained_on}
        store.append("trials", [row], part=trained_on)

    (epochs,) = known_epochs(store, "trials", "architecture").values()
    assert [row["val_accuracy"] for row in epochs] == [0.5]


def retrain(run: Any) -> None:
    """Retrain what some winners suggest."""
    winners: Any = SimpleNamespace(exhausted=False, score_of=None)
    retraining.retrain(run, winners)


def search(run: Any) -> None:
    """Search with the seeds of a run."""
    space: Any = None
    differentiable._run_searches(run, space)


@pytest.mark.parametrize(
    ("module", "stage", "name"),
    [(final_training, retrain, "0-1"), (differentiable, search, "0")],
)
def test_a_driver_tells_its_scheduler_what_the_run_folder_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, stage: Any, name: str
) -> None:
    store = RunStore.create(str(tmp_path))
    store.append("trials", [{"architecture": "0-1", **epochs_of([0.5])[0]}], part="0-1")
    store.append("search_epochs", [{"seed": 0, **epochs_of([0.5])[0]}], part="000000")
    run: Any = SimpleNamespace(
        store=store,
        settings=Settings(),
        dataset=None,
        earlier=None,
        trackers=(),
        demands=None,
        plan=SimpleNamespace(
            space=None,
            costs=None,
            trial_size=TrialSize(),
            checkers=1,
            concurrent=1,
            searches=1,
            gpus_per_trial=0.0,
        ),
        stages=SimpleNamespace(stage=lambda *_: print, print=print),
        spending=lambda *_: nullcontext(),
        trial_inputs=lambda *_, **__: None,
    )
    told: list[dict[str, Epochs]] = []
    monkeypatch.setattr(module, "trainable", lambda *_, **__: None)
    monkeypatch.setattr(module, "run_trials", lambda *given: told.append(given[-1]))
    with pytest.raises(StageError, match="ended early"):  # for nothing was trained
        stage(run)

    (known,) = told
    found = [(row["epoch"], row["val_accuracy"]) for row in known[name]]
    assert (list(known), found) == ([name], [(1, 0.5)])


def test_without_asha_every_trial_goes_on() -> None:
    scheduler: Any = make_scheduler(RetrainSettings(), {"good": epochs_of([0.9])})

    assert report(scheduler, "weak", [0.1]) == TrialScheduler.CONTINUE


@given(st.integers(1, 40), st.integers(1, 10), st.integers(2, 5))
def test_rungs_are_where_asha_stops_trials_before_their_last_epoch(
    epochs: int, grace: int, reduction: int
) -> None:
    settings = RetrainSettings(
        epochs=epochs, scheduler="asha", asha_grace_epochs=grace, asha_reduction=reduction
    )
    scheduler: Any = make_scheduler(settings, {})
    (bracket,) = scheduler._asha._brackets
    heights = {height for height, _ in bracket._rungs}

    assert rungs(settings) >= heights - {epochs}
    assert rungs(settings) <= set(range(1, epochs))


def test_a_trial_that_is_given_all_epochs_has_no_rungs() -> None:
    assert rungs(RetrainSettings(epochs=9)) == frozenset()
