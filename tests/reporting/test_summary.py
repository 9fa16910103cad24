"""What a run prints at its end."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.reporting.summary import check_lines, gap_lines, interval_lines, print_report
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS


def store_with(folder: Path, **tables: list[dict[str, Any]]) -> RunStore:
    """Return a run folder whose tables hold rows; columns that are not named are null."""
    store = RunStore.create(str(folder / "run"))
    given = {"runs": [{}], **tables}
    for table, rows in given.items():
        empty = dict.fromkeys(SCHEMAS[table].names)
        store.append(table, [empty | row for row in rows], part="rows")
    return store


def outcome(rank: int, **values: Any) -> dict[str, Any]:
    """Return a row of the table ``outcomes``."""
    row = {
        "rank": rank,
        "architecture": f"{rank}-0",
        "score": 1.5,
        "macs": 12_300,
        "params": 456,
        "val_accuracy": 0.75,
        "test_accuracy": 0.7251,
        "epochs": 3,
        "status": "finished",
    }
    return row | values


def check(number: int) -> dict[str, Any]:
    """Return a row of the table ``checks`` in which all but MACs follow accuracy."""
    return {
        "architecture": str(number),
        "score": float(number),
        "depth": number,
        "macs": 100 - number,
        "params": 1,
        "naswot": float(number),
        "val_accuracy": number / 10,
        "status": "finished",
    }


def test_a_training_on_all_images_stands_first_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    final = outcome(1, trained_on="all", val_accuracy=None, test_accuracy=0.8)
    text = printed(store_with(tmp_path, outcomes=[outcome(1), outcome(2), final]), capsys)
    rows = [line.split() for line in text.splitlines() if "-0 " in line]

    assert [row[1] for row in rows] == ["1-0", "1-0", "2-0"]
    assert rows[0][5:8] == ["-", "0.8000", "all"]
    assert rows[1][5:8] == ["0.7500", "0.7251", "train"]
    usual = printed(store_with(tmp_path / "usual", outcomes=[outcome(1)]), capsys)
    assert "trained" not in usual


def printed(store: RunStore, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the report of a run prints."""
    print_report(store, Console(width=200))
    return capsys.readouterr().out


class TestReport:
    def test_outcomes_come_by_rank_with_costs_and_accuracies(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = store_with(tmp_path, outcomes=[outcome(2), outcome(1)])
        text = printed(store, capsys)
        lines = [line.split() for line in text.splitlines()]

        first = ["1", "1-0", "1.500", "12.3k", "456", "0.7500", "0.7251", "3", "finished"]
        assert lines.index(first) < lines.index(["2", "2-0", *first[2:]])
        assert text.endswith(f"run folder: {store.uri}\n")
        assert "search:" not in text
        assert "check:" not in text

    def test_a_failure_is_told_with_its_error_and_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        failed = outcome(
            1,
            status="failed",
            error="1-0 failed\nValueError: broken",
            val_accuracy=None,
            test_accuracy=None,
        )
        text = printed(store_with(tmp_path, outcomes=[failed]), capsys)

        assert "\n1-0 failed\nValueError: broken\n" in text
        assert ["-", "-", "3", "failed"] in [line.split()[-4:] for line in text.splitlines()]

    @pytest.mark.slow
    def test_gap_and_check_stand_below_the_outcomes_on_one_line_each(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = store_with(
            tmp_path,
            runs=[{"best_score": 2.0, "optimal_score": 2.25}],
            outcomes=[outcome(1)],
            checks=[check(number) for number in range(1, 6)],
        )
        lines = printed(store, capsys).splitlines()

        assert lines[-4:-1] == [*gap_lines(store), *check_lines(store)]

    @pytest.mark.parametrize(("sizes", "shown"), [([30, 20], False), ([31, 20], True)])
    def test_balanced_accuracies_are_shown_where_a_class_is_half_as_large_again(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], sizes: list[int], shown: bool
    ) -> None:
        plan = json.dumps({"classes": ["a", "b"], "class_counts": {"train": sizes}})
        row = outcome(1, val_balanced_accuracy=0.5, test_balanced_accuracy=0.25)
        text = printed(store_with(tmp_path, runs=[{"plan": plan}], outcomes=[row]), capsys)

        assert ("test balanced" in text) == shown
        accuracies = ["0.7500", "0.7251", *(["0.5000", "0.2500"] if shown else [])]
        assert [*accuracies, "3", "finished"] in [line.split()[5:] for line in text.splitlines()]

    def test_the_best_test_accuracy_has_an_interval_where_the_test_s_size_is_known(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [outcome(1, test_accuracy=None), outcome(2, test_accuracy=0.75, test_images=16)]
        text = printed(store_with(tmp_path, outcomes=rows), capsys)

        assert "test: 0.7500 on 16 images means 0.505 to 0.898 (95 % interval)" in text
        assert interval_lines([outcome(1, test_images=None)]) == []


class TestGap:
    def test_it_is_the_optimum_less_the_best_score_found(self, tmp_path: Path) -> None:
        store = store_with(tmp_path, runs=[{"best_score": 2.0, "optimal_score": 2.25}])

        assert gap_lines(store) == ["search: best score 2.0000, optimum 2.2500, gap 0.2500"]

    def test_rounding_makes_no_negative_gap(self, tmp_path: Path) -> None:
        store = store_with(tmp_path, runs=[{"best_score": 2.0 + 1e-9, "optimal_score": 2.0}])

        assert gap_lines(store)[0].endswith("gap 0.0000")

    @pytest.mark.parametrize("known", [{}, {"best_score": 1.0}, {"optimal_score": 1.0}])
    def test_where_either_is_unknown_nothing_is_said(
        self, tmp_path: Path, known: dict[str, float]
    ) -> None:
        assert gap_lines(store_with(tmp_path, runs=[known])) == []


class TestCheck:
    @pytest.mark.slow
    def test_it_names_the_networks_all_taus_and_the_verdict(self, tmp_path: Path) -> None:
        store = store_with(tmp_path, checks=[check(number) for number in range(1, 9)])
        numbers, verdict = check_lines(store)

        assert numbers == (
            "learning: 8 networks trained briefly; tau of the score 1.00 [1.00, 1.00], "
            "depth 1.00 [1.00, 1.00], macs -1.00 [-1.00, -1.00], params 0.00 [0.00, 0.00], "
            "naswot 1.00 [1.00, 1.00]"
        )
        assert verdict == (
            "learning: on these images the score beats parameters (tau 1.00 against 0.00)"
        )

    def test_without_a_check_nothing_is_said(self, tmp_path: Path) -> None:
        assert check_lines(store_with(tmp_path)) == []
