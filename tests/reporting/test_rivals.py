"""Who is ahead: the search's best network, or one that people would take instead."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.reporting.rivals import verdict
from raynas.reporting.summary import print_report
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from tests.reporting.page.runs import make_run, outcome


def rival(name: str, **values: Any) -> dict[str, Any]:
    """Return a row of the table ``rivals``."""
    usual = {
        "rival": name,
        "network": f"{name}@0.5",
        "macs": 10_000,
        "params": 300,
        "val_accuracy": 0.7,
        "test_accuracy": 0.69,
        "test_images": 400,
        "epochs": 3,
        "status": "finished",
    }
    return usual | values


def run_with(folder: Path, *rivals: dict[str, Any], **best: Any) -> RunStore:
    """Return a run with one winner, of validation accuracy 0.75, and rivals."""
    settings = Settings(rivals="mobilenet_v2,random")
    return make_run(folder, settings=settings, outcomes=[outcome(1, **best)], rivals=list(rivals))


def test_a_rival_that_is_ahead_is_told_with_both_numbers_and_intervals(tmp_path: Path) -> None:
    found = verdict(run_with(tmp_path, rival("mobilenet_v2", val_accuracy=0.8)))
    assert found

    assert found.rival_wins
    assert found.text == (
        "mobilenet_v2@0.5, which nobody had to search for, is more accurate on validation images "
        "than the best network of the run: 0.8000 against 0.7500 (on the test 0.6900 "
        "[0.643, 0.733] against 0.7250 [0.679, 0.766])"
    )


def test_a_tie_is_no_victory_and_the_search_is_named_first(tmp_path: Path) -> None:
    rivals = (rival("random", network="0-0", val_accuracy=0.75), rival("mobilenet_v2"))
    found = verdict(run_with(tmp_path, *rivals))
    assert found

    assert not found.rival_wins
    assert found.text.startswith(
        "the best network of the run is no less accurate on validation images than the 2 "
        "rivals: 0.7500 against 0.7500 of a random network of the space (on the test 0.7250 ["
    )


def test_networks_that_were_trained_on_validation_images_are_compared_on_the_test(
    tmp_path: Path,
) -> None:
    ahead = rival("mobilenet_v2", trained_on="all", val_accuracy=None, test_accuracy=0.73)
    found = verdict(run_with(tmp_path, ahead))
    assert found

    assert found.rival_wins
    assert "more accurate on test images" in found.text


@pytest.mark.parametrize(
    "rows", [[], [rival("mobilenet_v2", status="failed", val_accuracy=0.9)]], ids=["none", "failed"]
)
def test_without_a_rival_that_was_trained_to_its_end_nobody_is_ahead(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    assert verdict(run_with(tmp_path, *rows)) is None


def test_the_end_of_a_run_shows_rivals_in_a_table_and_why_one_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (
        rival("mobilenet_v2"),
        {"rival": "vgg11", "status": "left out", "error": "vgg11 cannot take such images"},
    )
    print_report(run_with(tmp_path, *rows), Console(width=80))
    printed = capsys.readouterr().out

    assert "Rivals, trained likewise" in printed
    line = next(line for line in printed.splitlines() if line.startswith("mobilenet_v2@0.5"))
    assert line.split()[1:] == ["10k", "300", "0.7000", "0.6900", "3", "finished"]
    assert "rivals: vgg11 is left out: vgg11 cannot take such images" in printed
