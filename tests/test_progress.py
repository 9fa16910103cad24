"""How far a run has come."""

import json
from pathlib import Path
from typing import Any

import pytest

from raynas.lock import LOCK
from raynas.progress import progress
from tests.page.runs import make_run, outcome

STEP = {"step": 0, "loss": 1.0}
SCORED = {"order": 0, "generation": 0, "architecture": "1-0", "score": 1.0}
EPOCH = {"trial": "t", "architecture": "1-0", "epoch": 1}
CHECKED = {"architecture": "1-0", "score": 1.0}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({}, "pretraining has not begun"),
        ({"steps": [STEP] * 3}, "pretraining is at step 3 of 200"),
        ({"steps": [STEP], "checks": [CHECKED]}, "the self-check has trained 1 of 0 networks"),
        ({"checks": [CHECKED], "architectures": [SCORED]}, "the search has scored 1 architectures"),
        ({"architectures": [SCORED], "trials": [EPOCH] * 2},
         "0 of 3 networks are retrained, after 2 epochs in all"),
        ({"outcomes": [outcome(1), outcome(2, status="failed")], "trials": [EPOCH]},
         "2 of 3 networks are retrained, 1 of them failed, after 1 epochs in all"),
    ],
)  # fmt: skip
def test_the_words_tell_the_stage_that_came_last(
    tables: dict[str, list[dict[str, Any]]], words: str, tmp_path: Path
) -> None:
    store = make_run(tmp_path, finished=False, plan={"steps": 200}, **tables)

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
