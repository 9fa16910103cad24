"""How far a run has come."""

import json
from pathlib import Path
from typing import Any

import pytest

from raynas.reporting.run_status import progress
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.lock import LOCK
from tests.reporting.page.runs import make_run, outcome

STEP = {"step": 0, "loss": 1.0}
SCORED = {"order": 0, "generation": 0, "architecture": "1-0", "score": 1.0}
EPOCH = {"trial": "t", "architecture": "1-0", "epoch": 1}
CHECKED = {"architecture": "1-0", "score": 1.0}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, "pretraining has not begun"),
        ({"steps": [STEP] * 3}, "pretraining is at step 3 of 200"),
        ({"steps": [STEP], "checks": [CHECKED]}, "1 of 8 networks to learn from are trained"),
        ({"checks": [CHECKED], "architectures": [SCORED]}, "the search has scored 1 architectures"),
        (
            {"architectures": [SCORED], "trials": [EPOCH] * 2},
            "0 of 3 networks are retrained, after 2 epochs in all",
        ),
        (
            {"outcomes": [outcome(1), outcome(2, status="failed")], "trials": [EPOCH]},
            "2 of 3 networks are retrained, 1 of them failed, after 1 epochs in all",
        ),
    ],
)
def test_the_words_tell_the_stage_that_came_last(
    tables: dict[str, list[dict[str, Any]]], words: str, tmp_path: Path
) -> None:
    store = make_run(tmp_path, finished=False, plan={"steps": 200}, **tables)

    assert progress(store).words == words


def test_a_network_that_was_trained_once_more_is_told_beside_the_others(tmp_path: Path) -> None:
    settings = Settings(retrain=RetrainSettings(on="all"))
    rows = [outcome(1), outcome(1, trained_on="all"), outcome(2, "2-2"), outcome(3, "3-3")]
    store = make_run(tmp_path, False, settings, outcomes=rows, trials=[EPOCH] * 8)

    assert progress(store).words == (
        "3 of 3 networks are retrained, 1 of 1 once more, after 8 epochs in all"
    )


def at(seed: int, epoch: int, status: str | None = None) -> dict[str, Any]:
    """Return a row of a differentiable search."""
    return {"seed": seed, "epoch": epoch, "status": status}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, "the search has not begun"),
        (
            {"search_epochs": [at(0, 12), at(1, 12), at(2, 12), at(2, 11)]},
            "the search is at epoch 12 of 50, 3 seeds",
        ),
        (
            {"search_epochs": [at(0, 12), at(1, 10)]},
            "the search is at epoch 10 to 12 of 50, 2 of 3 seeds",
        ),
        (
            {"search_epochs": [at(0, 50, "finished"), at(1, 0, "failed"), at(2, 30)]},
            "the search is at epoch 30 of 50, 1 of 3 seeds, 2 ended",
        ),
        (
            {"search_epochs": [at(seed, 50, "finished") for seed in range(3)]},
            "the search has ended for 3 seeds",
        ),
        (
            {"search_epochs": [at(0, 50)], "architectures": [SCORED] * 3},
            "the search has found 3 architectures",
        ),
        (
            {"architectures": [SCORED], "trials": [EPOCH]},
            "0 of 3 networks are retrained, after 1 epochs in all",
        ),
    ],
)
def test_a_search_by_gates_tells_its_epochs_and_seeds_which_are_what_is_retrained(
    tables: dict[str, list[dict[str, Any]]], words: str, tmp_path: Path
) -> None:
    by_gates = Settings(
        pretrain=PretrainSettings(epochs=0),
        search=SearchSettings(strategy="differentiable"),
        differentiable=DifferentiableSettings(epochs=50, seeds=3),
        retrain=RetrainSettings(top_k=5),
    )
    store = make_run(tmp_path, finished=False, settings=by_gates, **tables)

    assert progress(store).words == words


def test_a_run_without_an_end_is_at_work_as_long_as_somebody_may_hold_its_lock(
    tmp_path: Path,
) -> None:
    store = make_run(tmp_path, finished=False)
    states = [progress(store).state]
    store.write_bytes(LOCK, json.dumps({"driver": "of another raynas"}).encode())
    states.append(progress(store).state)

    assert states == ["stopped", "running"]
    assert progress(make_run(tmp_path / "b")).state == "finished"
