"""Who is ahead: the search's best network, or one that people would take instead."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from raynas.recording.answers import Answering, write_answers
from raynas.reporting.page import listings
from raynas.reporting.rivals import as_sentence, verdict
from raynas.reporting.summary import print_report
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
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
    assert found.paragraph.startswith("mobilenet_v2@0.5, which nobody had to search for, ")
    assert ". For an image the best network of the run takes " in found.paragraph


def test_times_are_told_where_both_were_measured_and_else_those_of_the_table(
    tmp_path: Path,
) -> None:
    measured = rival("mobilenet_v2", measured_ms=3.21, latency_ms=5.0)
    both = verdict(run_with(tmp_path / "both", measured, measured_ms=1.234, latency_ms=7.0))
    one = verdict(run_with(tmp_path / "one", measured, latency_ms=7.0))
    neither = verdict(run_with(tmp_path / "neither", measured))
    assert both
    assert one
    assert neither

    assert " MACs and 1.23 ms and mobilenet_v2@0.5 takes 10k MACs and 3.21 ms" in both.details[-1]
    assert " MACs and 7 ms and mobilenet_v2@0.5 takes 10k MACs and 5 ms" in one.details[-1]
    assert neither.details[-1].endswith(" MACs and mobilenet_v2@0.5 takes 10k MACs")


def test_times_stand_beside_macs_in_the_console_and_on_the_page(tmp_path: Path) -> None:
    store = run_with(tmp_path, rival("mobilenet_v2", measured_ms=3.21), measured_ms=1.234)
    printed = Console(width=80, record=True)
    print_report(store, printed)
    shown = printed.export_text()
    names = [column.name for column in listings.rivals(store.rows("rivals")).columns]

    assert "1.23 ms" in shown
    assert "3.21 ms" in shown
    assert names[names.index("MACs") + 1] == "Measured (ms)"
    assert "Latency by table (ms)" not in names


def test_names_of_networks_keep_their_spelling_at_the_beginning_of_a_sentence() -> None:
    rows = [rival("efficientnet_b0"), rival("start", network="0-1"), rival("random", network="0")]

    assert as_sentence("efficientnet_b0 is left out", rows) == "efficientnet_b0 is left out."
    assert as_sentence("efficientnet_b0@0.5, with", rows) == "efficientnet_b0@0.5, with."
    assert as_sentence("start is left out", rows) == "Start is left out."
    assert as_sentence("a random network", rows) == "A random network."


def test_a_tie_is_no_victory_and_the_search_is_named_first(tmp_path: Path) -> None:
    rivals = (rival("random", network="0-0", val_accuracy=0.75), rival("mobilenet_v2"))
    found = verdict(run_with(tmp_path, *rivals))
    assert found

    assert not found.rival_wins
    assert found.text.startswith(
        "the best network of the run is no less accurate on validation images than the 2 "
        "rivals: 0.7500 against 0.7500 of a random network of the space (on the test 0.7250 ["
    )


def test_a_rival_beyond_the_limits_is_shown_as_what_it_is_and_beats_nobody(tmp_path: Path) -> None:
    settings = Settings(start="weights.pt", max_macs=12_500)
    start = rival("start", network="0-1", macs=25_000, val_accuracy=0.9)
    cut = rival("narrow_start", network="narrow_start@0.37 of 0-1", val_accuracy=0.6)
    rows = {"outcomes": [outcome(1)], "rivals": [start, cut | {"begun_from": "start"}]}
    store = make_run(tmp_path, settings=settings, **rows)
    found = verdict(store)
    assert found
    printed = Console(width=200, record=True)
    print_report(store, printed)
    shown = " ".join(printed.export_text().split())

    assert not found.rival_wins
    assert found.rival["rival"] == "narrow_start"
    assert "0.6000 of the start with its widths inside times 0.37 (" in found.text
    assert (
        "rivals: the start itself, with 25k MACs (2.00 times the limit of 12.5k MACs), has "
        "accuracy 0.9000 on validation images and 0.6900 [0.643, 0.733] on the test; it is beyond "
        "the limits, so it is not compared above" in shown
    )
    assert "narrow_start@0.37 start" in shown, "its name, and what it began from"


def test_networks_that_were_trained_on_validation_images_are_compared_on_the_test(
    tmp_path: Path,
) -> None:
    ahead = rival("mobilenet_v2", trained_on="all", val_accuracy=None, test_accuracy=0.73)
    found = verdict(run_with(tmp_path, ahead))
    assert found

    assert found.rival_wins
    assert "more accurate on test images" in found.text


def with_answers(folder: Path, right: int, rivals_right: int, images: int = 200) -> RunStore:
    """Return a run with as many right answers of the winner and of a rival, the first images."""
    store = run_with(folder, rival("mobilenet_v2", latency_ms=2.5), latency_ms=1.5)
    for part, name, count in (("1-0", "1-0", right), ("rival-mobilenet_v2", "it", rivals_right)):
        label, shares = np.zeros(images, np.int32), np.ones(images, np.float32)
        answer = (np.arange(images) >= count).astype(np.int32)
        answers = Answers(label, answer, shares, shares, None)
        write_answers(store, Answering(part, name, name == "it", "train"), {"test": answers})
    return store


def test_networks_are_compared_on_the_same_images_at_what_they_cost(tmp_path: Path) -> None:
    apart = verdict(with_answers(tmp_path / "a", 180, 150))
    alike = verdict(with_answers(tmp_path / "b", 180, 179))
    assert apart
    assert alike
    assert apart.paired

    assert apart.paired.difference == 0.15
    assert apart.details[0].startswith(
        "on the same 200 test images the accuracy of the best network of the run less that of "
        "mobilenet_v2@0.5 is +15.00 points [+"
    )
    assert apart.details[0].endswith("p = 1.9e-09), and the interval tells the two apart")
    assert apart.details[1] == (
        "for an image the best network of the run takes 12.3k MACs and 1.5 ms and "
        "mobilenet_v2@0.5 takes 10k MACs and 2.5 ms"
    )
    assert alike.details[0].endswith("p = 1), and the interval does not tell the two apart")
    assert apart.text in apart.paragraph.replace("The best", "the best", 1)
    assert apart.paragraph.endswith("2.5 ms.")


def test_without_answers_what_both_cost_is_told_alone(tmp_path: Path) -> None:
    found = verdict(run_with(tmp_path, rival("mobilenet_v2")))
    assert found

    assert found.paired is None
    (cost,) = found.details
    assert cost.startswith("for an image the best network of the run takes 12.3k MACs and mobi")
    assert cost.endswith("takes 10k MACs")


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
