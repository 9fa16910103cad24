"""The paper's two tables of a comparison: rivals first, means over seeds, numbers for pandas."""

import io
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from raynas.benchmark.paper_tables import PaperTable, notes, paper_tables


def row(method: str, seed: int, **values: Any) -> dict[str, Any]:
    """Return a row of the table ``comparison``."""
    usual = {
        "method": method,
        "seed": seed,
        "data": "/home/somebody/pictures",
        "status": "finished",
        "error": None,
        "macs": 1_000_000 + 200_000 * seed,
        "params": 50_000,
        "best_test_accuracy": 0.8 + 0.02 * seed,
        "search_hours": 0.5,
        "ms_per_step": 12.0,
        "trainable": "all_bn",
        "trains_classifier": False,
        "trained_numbers": 4_000,
    }
    return usual | values


def rival(seed: int) -> dict[str, Any]:
    """Return the row of a rival."""
    nothing = dict.fromkeys(("search_hours", "ms_per_step", "trainable", "trained_numbers"))
    return row("mobilenet_v2@0.35", seed, is_rival=True, best_test_accuracy=0.7, **nothing)


ROWS = [row("imagenet/isometry", 0), rival(0), row("imagenet/isometry", 1), rival(1)]


def shown(table: PaperTable, width: int = 120) -> list[list[str]]:
    """Return the words of each line of a table on a console."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table.text())
    return [line.split() for line in console.export_text().splitlines()]


def test_the_first_table_has_rivals_first_and_what_finding_the_others_took() -> None:
    found, _ = paper_tables(ROWS)
    *_, first, second = shown(found)

    assert first == [
        *("mobilenet_v2@0.35", "-", "1.1M", "+-141.421k", "50k", "+-0", "0.7000", "+-0.0000", "-")
    ]
    assert second[:2] == ["imagenet-isometry", "pictures"]
    assert second[-4:] == ["0.8100", "+-0.0141", "0.5", "+-0"]


def test_the_second_table_has_methods_alone_and_what_learned() -> None:
    _, trained = paper_tables(ROWS)
    lines = shown(trained)

    assert not any("mobilenet_v2@0.35" in line for line in lines)
    assert " ".join(lines[-1]).startswith(
        "imagenet-isometry all batch norms, 4,000 numbers 2/2 0.8100 +-0.0141 12.0 +-0.0"
    )


def test_numbers_and_their_deviations_are_read_by_pandas() -> None:
    found, _ = paper_tables(ROWS)
    table = pd.read_csv(io.StringIO(found.csv()))

    assert table["method"].tolist() == ["mobilenet_v2@0.35", "imagenet-isometry"]
    assert table["best_test_accuracy"].tolist() == pytest.approx([0.7, 0.81])
    assert table["macs_deviation"][1] == pytest.approx(141_421.356)
    assert table["search_hours"].isna().tolist() == [True, False]
    assert "search_gpu_days" not in table


def test_notes_say_what_rivals_are_and_which_run_failed() -> None:
    said = notes([*ROWS, row("spos", 0, status="failed", error="it broke")])

    assert any(line.startswith("rivals, first: networks nobody searched for") for line in said)
    assert said[-1] == "spos, seed 0 failed: it broke"
