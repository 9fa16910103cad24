"""Which of several resolutions has the best network, and how that is told."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from raynas.recording.answers import Answering, write_answers
from raynas.reporting.page.resolutions import make_resolutions_page, write_resolutions_page
from raynas.reporting.page.writing import policy_hash
from raynas.reporting.resolution_summary import print_resolutions, summary_lines
from raynas.reporting.resolutions import ResolutionComparison, compare_resolutions
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.training.answers import Answers
from tests.reporting.page.runs import outcome
from tests.reporting.test_rivals import rival
from tests.reporting.test_summary import store_with

SPENT = json.dumps({"pretrain": {"seconds": 60.0}, "retrain": {"seconds": 90.0}})


def run_at(
    folder: Path, side: int, *outcomes: dict[str, Any], finished: bool = True, **tables: Any
) -> RunStore:
    """Return the run at a resolution."""
    run = {
        "settings": Settings(max_macs=12_500).to_json(),
        "spent": SPENT,
        "finished": datetime(2026, 3, 1, tzinfo=UTC) if finished else None,
    }
    made = store_with(folder / str(side), runs=[run], outcomes=list(outcomes), **tables)
    (folder / str(side) / "run").rename(folder / f"at-{side}")
    del made
    return RunStore(str(folder / f"at-{side}"))


def with_answers(store: RunStore, part: str, right: int, labels: int = 0) -> None:
    """Record 200 answers of a network, of which the first ones are right."""
    label, shares = np.full(200, labels, np.int32), np.ones(200, np.float32)
    answer = np.where(np.arange(200) < right, labels, 1 - labels).astype(np.int32)
    answers = Answers(label, answer, shares, shares, None)
    write_answers(store, Answering(part, part, False, "train"), {"test": answers})


def compared(*stores: tuple[int, RunStore]) -> ResolutionComparison:
    return compare_resolutions(dict(stores))


def test_validation_accuracy_of_the_best_networks_decides_and_never_the_test(
    tmp_path: Path,
) -> None:
    small = run_at(tmp_path, 32, outcome(1, val_accuracy=0.8, test_accuracy=0.6))
    large = run_at(tmp_path, 48, outcome(1, val_accuracy=0.7, test_accuracy=0.9))
    found = compared((48, large), (32, small))

    assert [each.resolution for each in found.found] == [32, 48]
    (line,) = summary_lines(found)
    assert line == (
        "winner: 1-0 at 32 pixels, by its accuracy on validation images, 0.8000 against 0.7000 of "
        "the best network at 48 pixels"
    )


def test_scores_of_supernets_decide_nothing_and_of_equal_networks_the_cheaper_wins(
    tmp_path: Path,
) -> None:
    small = run_at(tmp_path, 32, outcome(1, score=9.0, macs=20_000))
    large = run_at(tmp_path, 48, outcome(1, score=1.0, macs=10_000))
    found = compared((32, small), (48, large))

    assert found.found[0].resolution == 48
    assert summary_lines(found)[0].endswith("at 32 pixels, and by its fewer MACs")


def test_a_network_that_was_trained_on_all_images_counts_by_its_first_training(
    tmp_path: Path,
) -> None:
    final = outcome(1, val_accuracy=None, trained_on="all", test_accuracy=0.9)
    small = run_at(tmp_path, 32, outcome(1, val_accuracy=0.8), final)
    large = run_at(tmp_path, 48, outcome(1, val_accuracy=0.75))
    first, _ = compared((48, large), (32, small)).found

    assert (first.resolution, first.val_accuracy) == (32, 0.8)
    assert first.best["test_accuracy"] == 0.9
    assert first.seconds == 150


def test_the_two_best_are_compared_on_the_same_test_images(tmp_path: Path) -> None:
    stores = {
        side: run_at(tmp_path, side, outcome(1, val_accuracy=accuracy))
        for side, accuracy in ((32, 0.7), (48, 0.9), (64, 0.8))
    }
    for side, right in ((32, 200), (48, 180), (64, 150)):
        with_answers(stores[side], "1-0", right)
    found = compare_resolutions(stores)

    assert found.paired
    assert found.paired.difference == pytest.approx(0.15)
    line = summary_lines(found)[1]
    assert line.startswith(
        "test: on the same 200 test images the accuracy of the best network at 48 pixels less that "
        "of the best network at 64 pixels is +15.00 points [+"
    )
    assert line.endswith("p = 1.9e-09), and the interval tells the two apart")


def test_answers_to_other_images_are_not_compared(tmp_path: Path) -> None:
    stores = {side: run_at(tmp_path, side, outcome(1)) for side in (32, 48)}
    with_answers(stores[32], "1-0", 100)
    with_answers(stores[48], "1-0", 100, labels=1)

    assert compare_resolutions(stores).paired is None


def test_the_winner_is_compared_with_the_best_rival_within_the_limits_of_any_resolution(
    tmp_path: Path,
) -> None:
    random = rival("random", network="0-0", val_accuracy=0.72)
    start = rival("start", network="0-1", macs=25_000, val_accuracy=0.99)
    net = rival("mobilenet_v2", val_accuracy=0.71)
    small = run_at(tmp_path, 32, outcome(1, val_accuracy=0.7), rivals=[random])
    large = run_at(tmp_path, 48, outcome(1, val_accuracy=0.75), rivals=[start, net])
    with_answers(large, "1-0", 180)
    with_answers(small, "rival-random", 160)
    found = compared((32, small), (48, large))
    _, *said = summary_lines(found)

    assert said[0] == (
        "rivals: the winner is no less accurate on validation images than the rivals of all "
        "resolutions: 0.7500 against 0.7200 of a random network of the space at 32 pixels"
    )
    assert "the winner less that of a random network of the space at 32 pixels is +10.00" in said[1]

    ahead = run_at(tmp_path / "b", 32, outcome(1, val_accuracy=0.7), rivals=[random])
    lines = summary_lines(compared((32, ahead)))
    page = make_resolutions_page(RunStore(str(tmp_path / "b")), compared((32, ahead)))
    assert lines[1].startswith("rivals: a random network of the space at 32 pixels, which nobody")
    assert page.index("A rival is ahead.") < page.index("1-0 at 32 pixels")


def test_rivals_that_were_trained_on_validation_images_are_compared_on_the_test(
    tmp_path: Path,
) -> None:
    ahead = rival("random", network="0-0", val_accuracy=None, test_accuracy=0.8, trained_on="all")
    found = compared((32, run_at(tmp_path, 32, outcome(1, test_accuracy=0.7), rivals=[ahead])))

    assert found.best_rival
    assert found.best_rival.is_ahead
    assert (
        "more accurate on test images than the winner: 0.8000 against 0.7000"
        in (summary_lines(found)[1])
    )


def test_what_is_left_to_do_is_told_and_networks_of_failed_runs_count_for_nothing(
    tmp_path: Path,
) -> None:
    failed = outcome(1, status="failed", val_accuracy=None, test_accuracy=None)
    stores = {
        32: run_at(tmp_path, 32, outcome(1), finished=False),
        48: run_at(tmp_path, 48, failed, finished=False),
        64: RunStore(str(tmp_path / "at-64")),
    }
    found = compare_resolutions(stores)

    assert [each.resolution for each in found.found] == [32]
    assert found.nothing_at == (48, 64)
    assert summary_lines(found)[-1] == (
        "unfinished: the same command continues what is left at 32, 48, 64 pixels"
    )
    assert summary_lines(compare_resolutions({64: stores[64]}))[0] == (
        "winner: none, for no network was trained to its end at any resolution"
    )


def test_the_summary_fits_a_terminal_and_ends_with_the_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "-".join(map(str, [3] * 22))
    stores = {side: run_at(tmp_path, side, outcome(1, long)) for side in (32, 48)}
    stores[32].write_bytes(f"exports/{long}/config.json", b"{}")
    folder, found = RunStore(str(tmp_path)), compare_resolutions(stores)
    write_resolutions_page(folder, found, print)
    print_resolutions(folder, found, Console(width=80))
    printed = capsys.readouterr().out
    title, *table = printed.partition("Resolutions of")[2].partition("export: ")[0].splitlines()

    assert printed.startswith(f"winner: {long} at 32 pixels")
    assert title.strip() == tmp_path.name
    assert all(len(line) <= 80 for line in table)
    assert "took" in table[1]
    assert "2.5 min" in printed
    assert printed.endswith(
        f"export: {tmp_path}/at-32/exports/{long}\nreport: {tmp_path}/report.html\n"
        f"run folder: {tmp_path}\n"
    )


def test_the_page_links_each_report_and_lets_nothing_of_a_run_be_more_than_text(
    tmp_path: Path,
) -> None:
    hostile = "<script>alert(1)</script>"
    stores = {side: run_at(tmp_path, side, outcome(1, hostile)) for side in (32, 48)}
    page = make_resolutions_page(RunStore(str(tmp_path)), compare_resolutions(stores))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)

    assert '<a href="at-32/report.html">at-32</a>' in page
    assert '<a href="at-48/report.html">at-48</a>' in page
    assert page.count('class="chosen"') == 1
    assert policy_hash(style) in page
    assert "<script" not in page
