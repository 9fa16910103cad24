"""What a run says at its end: its winners, how far to trust them, and what failed and why."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd
from rich.console import Console

from raynas.costs.costs import show_bytes, show_quantity, show_seconds
from raynas.reporting.answers import recorded_answers
from raynas.reporting.class_balance import is_imbalanced
from raynas.reporting.confidence import wilson
from raynas.reporting.queries import last_epochs, score_parts, searched_by
from raynas.reporting.rank_correlation import Agreement, checked
from raynas.reporting.rivals import beyond_lines, tell_beginnings, trained, verdict
from raynas.storage.outcome_rows import in_order, is_on_all
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import RANDOM, shown_rival
from raynas.storage.run_store import RunStore
from raynas.storage.usage import Usage
from raynas.terminal.text_tables import Column, TextTable

PAGE = "report.html"
"""The report of a run in its folder."""


def print_report(store: RunStore, console: Console) -> None:
    """Print the outcomes, the search's gap, what was learned, failures, and where it all lies."""
    outcomes = in_order(store.rows("outcomes"))
    console.print(_outcomes_table(store, outcomes))
    rivals = trained(store.rows("rivals"))
    if rivals:
        console.print(_rivals_table(rivals))
    said = (
        interval_lines(outcomes),
        calibration_lines(store, outcomes),
        (f"rivals: {line}" for line in rival_lines(store)),
        search_lines(store),
        gap_lines(store),
        part_lines(store, outcomes),
        check_lines(store),
        spent_lines(store),
    )
    for line in chain(*said):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for row in (*outcomes, *rivals):
        if row["error"]:
            print(row["error"])  # noqa: T201 - a traceback
    if store.has(PAGE):
        print(f"report: {store.locate(PAGE)}")  # noqa: T201 - never wrapped
    print(f"run folder: {store.uri}")  # noqa: T201 - the same


def outcome_columns(
    val: str,
    test: str,
    balanced: tuple[str, ...],
    times: tuple[str, ...] = (),
    on_all: bool = False,
) -> list[Column]:
    """Return the columns of a table of outcomes, the least important of which go first.

    Args:
        val: Heading of validation accuracies.
        test: Heading of test accuracies.
        balanced: Headings of the balanced ones, if they are shown.
        times: Headings of latencies, if they are shown.
        on_all: Whether it is that a network was trained on all images.
    """
    return [
        Column("rank", lesser=1),
        Column("architecture", folds=True),
        Column("score", lesser=7),
        Column("MACs", lesser=5),
        Column("params", lesser=8),
        *(Column(name, lesser=6) for name in times),
        Column(val, lesser=2),
        Column(test, lesser=3),
        *(Column(name, lesser=5) for name in balanced),
        *([Column("trained\non", is_text=True)] if on_all else []),
        Column("epochs", lesser=9),
        Column("status", is_text=True, lesser=4),
    ]


def _outcomes_table(store: RunStore, outcomes: Sequence[Mapping[str, Any]]) -> TextTable:
    """Return a row for each outcome; balanced accuracies where classes differ in size."""
    facts = PlanFacts.from_json(store.rows("runs")[0]["plan"])
    accuracies = {"val\naccuracy": "val_accuracy", "test\naccuracy": "test_accuracy"}
    if is_imbalanced(facts):
        accuracies |= {f"{of} balanced": f"{of}_balanced_accuracy" for of in ("val", "test")}
    times = _times(outcomes)
    on_all = any(map(is_on_all, outcomes))
    val, test, *balanced = accuracies
    rows = [
        (
            str(row["rank"]),
            row["architecture"],
            "-" if row["score"] is None else f"{row['score']:.3f}",
            show_quantity(row["macs"]),
            show_quantity(row["params"]),
            *(_milliseconds(row[column]) for column in times.values()),
            *(_share(row[column]) for column in accuracies.values()),
            *([row["trained_on"] or "train"] if on_all else []),
            str(row["epochs"]),
            row["status"],
        )
        for row in outcomes
    ]
    columns = outcome_columns(val, test, tuple(balanced), tuple(times), on_all)
    return TextTable(columns, rows, f"Outcomes of {store.name}")


def _rivals_table(rivals: Sequence[Mapping[str, Any]]) -> TextTable:
    """Return a row for each network that stands beside the winners."""
    times = _times(rivals)
    begun = ["began from"] if tell_beginnings(rivals) else []
    columns = [
        Column("rival", folds=True),
        *(Column(name, is_text=True, lesser=7) for name in begun),
        Column("MACs", lesser=5),
        Column("params", lesser=8),
        *(Column(name, lesser=6) for name in times),
        Column("val\naccuracy", lesser=2),
        Column("test\naccuracy", lesser=3),
        Column("epochs", lesser=9),
        Column("status", is_text=True, lesser=4),
    ]
    rows = [
        (
            _rival_name(row),
            *(str(row["begun_from"]) for _ in begun),
            show_quantity(row["macs"]),
            show_quantity(row["params"]),
            *(_milliseconds(row[column]) for column in times.values()),
            _share(row["val_accuracy"]),
            _share(row["test_accuracy"]),
            str(row["epochs"]),
            row["status"],
        )
        for row in rivals
    ]
    return TextTable(columns, rows, "Rivals, trained likewise")


def _times(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the headings of latencies that are known, and their columns."""
    columns = {"latency": "latency_ms", "measured": "measured_ms"}
    return {
        name: column
        for name, column in columns.items()
        if any(row[column] is not None for row in rows)
    }


def _milliseconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.3g} ms"


def _rival_name(row: Mapping[str, Any]) -> str:
    """Return which network a rival is, as a table shows it."""
    shown = shown_rival(row["rival"], row["network"])
    return f"{RANDOM} {shown}" if row["rival"] == RANDOM else shown


def rival_lines(store: RunStore) -> list[str]:
    """Return who is ahead, what exceeds the limits, and which rivals were left out."""
    found = verdict(store)
    out = [row for row in store.rows("rivals") if row["status"] == "left out"]
    return [
        *((found.text, *found.details) if found else ()),
        *beyond_lines(store),
        *(f"{row['rival']} is left out: {row['error']}" for row in out),
    ]


def interval_lines(outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how exactly the best network's test accuracy is known."""
    for row in outcomes:
        if row["test_accuracy"] is not None and row["test_images"]:
            low, high = wilson(row["test_accuracy"], row["test_images"])
            found = f"{row['test_accuracy']:.4f} on {row['test_images']:,} images"
            return [f"test: {found} means {low:.3f} to {high:.3f} (95 % interval)"]
    return []


def calibration_lines(store: RunStore, outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return whether the best network's confidences are what they say, if that is recorded."""
    best = next((row for row in outcomes if row["status"] == "finished"), None)
    answers = recorded_answers(store, best) if best else None
    if best is None or answers is None:
        return []
    found = f"expected calibration error {100 * answers.reliability.error:.1f} % on the test"
    if answers.scaled_reliability is not None:
        scaled = f"{100 * answers.scaled_reliability.error:.1f} %"
        found += f", {scaled} with logits divided by {best['temperature']:.3f}, as exports do"
    return [f"confidences: {found}"]


def search_lines(store: RunStore) -> list[str]:
    """Return what each differentiable search has chosen, if there was one."""
    epochs: pd.DataFrame = store.table("search_epochs").to_pandas()
    return [_search_line(row) for row in last_epochs(epochs).to_dict("records")]


def _search_line(row: Mapping[Any, Any]) -> str:
    of, status = f"search: seed {row['seed']}", row["status"]
    if status == "failed":
        return f"{of} failed: {row['error'].strip().splitlines()[-1]}"
    where = "stopped at epoch" if status == "stopped" else "epoch"
    return f"{of}, {where} {row['epoch']}, accuracy {row['val_accuracy']:.4f}, {row['genotype']}"


def gap_lines(store: RunStore) -> list[str]:
    """Return how far the search came from the best score there is, if that is known."""
    run = store.rows("runs")[0]
    found, optimum = run["best_score"], run["optimal_score"]
    if found is None or optimum is None:
        return []
    gap = max(optimum - found, 0.0)
    return [f"search: best score {found:.4f}, optimum {optimum:.4f}, gap {gap:.4f}"]


def part_lines(store: RunStore, outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the score of the first network is made of, where it is a sum over layers."""
    rows = searched_by(store)
    if not rows or not outcomes or outcomes[0]["score"] is None:
        return []
    blocks, identities = score_parts(rows, outcomes[0]["architecture"])
    whole = f"score: of the first one's {outcomes[0]['score']:.3f}"
    return [f"{whole} its blocks have {blocks:.3f}, the layers that it skips {identities:.3f}"]


def check_lines(store: RunStore) -> list[str]:
    """Return what short trainings say of the score, if there were some."""
    check = checked(store.rows("checks"), store.rows("predictions"))
    if check is None:
        return []
    beside = ", ".join(f"{name} {_tau(found)}" for name, found in check.yardsticks.items())
    first = f"tau of the score {_tau(check.score)}"
    if check.learned:
        first = f"predicted from each other with tau {_tau(check.learned)}; before, {first}"
    return [
        f"learning: {check.num_trained} networks trained briefly; {first}, {beside}",
        f"learning: {check.verdict}",
    ]


def spent_lines(store: RunStore) -> list[str]:
    """Return what the stages took beside their forecast, as far as both are known."""
    run = store.rows("runs")[0]
    expected, spent = (Usage.from_json(run[name]) for name in ("forecast", "spent"))
    names = [name for name in expected.stages if name in spent.stages]
    if not names:
        return []
    stages = [[of.stages[name] for name in names] for of in (spent, expected)]
    seconds = [[stage.seconds for stage in each] for each in stages]
    took = list(map(_beside, names, *seconds))
    both = map(sum, seconds)
    gpu_hours = [sum(stage.gpu_hours for stage in each) for each in stages]
    disk = [show_bytes(of.disk_bytes) for of in (spent, expected) if of.disk_bytes is not None]
    words = [
        *took,
        _beside("in all", *both),
        *(["{:.2f} GPU-hours ({:.2f})".format(*gpu_hours)] if any(gpu_hours) else []),
        *(["{} on disk ({})".format(*disk)] if len(disk) == 2 else []),
    ]
    return [f"took: {', '.join(words)}; forecasts in brackets"]


def _beside(name: str, seconds: float, expected: float) -> str:
    return f"{name} {show_seconds(seconds)} ({show_seconds(expected)})"


def _tau(found: Agreement) -> str:
    return f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _share(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.4f}"
