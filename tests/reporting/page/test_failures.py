"""What failed, why, and what to do."""

from pathlib import Path

from raynas.reporting.page.failures import failures
from raynas.reporting.page.run_snapshot import take_snapshot
from tests.reporting.page.runs import make_run, outcome

TEXT = """architecture 1-0 failed after 2 of 3 epochs in trial t on node a, process 1
what to do: lower --retrain.batch
settings: epochs 3
Traceback (most recent call last):
OutOfMemoryError: CUDA"""


def test_a_failure_tells_what_happened_and_what_to_do(tmp_path: Path) -> None:
    rows = [outcome(1), outcome(2, "1-1", status="failed", error=TEXT)]
    (found,), rest = failures(take_snapshot(make_run(tmp_path, outcomes=rows), tmp_path))

    assert (found.architecture, found.what) == ("1-1", "OutOfMemoryError: CUDA")
    assert (found.remedy, found.error, rest) == ("lower --retrain.batch", TEXT, "")


def test_trainings_of_the_self_check_count_and_very_many_are_counted_alone(tmp_path: Path) -> None:
    rows = [
        {"architecture": str(at), "score": 1.0, "status": "failed", "error": "x"}
        for at in range(40)
    ]
    found, rest = failures(take_snapshot(make_run(tmp_path, checks=rows), tmp_path))

    assert len(found) == 30
    assert rest == "10 more are in the column error of tables search_epochs, outcomes, checks."
