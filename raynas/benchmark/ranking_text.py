"""A comparison of scores with truths as tables of text, as notes and as JSON."""

import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console

from raynas.benchmark import ranking
from raynas.benchmark.comparison import Comparison, Row
from raynas.benchmark.truths.truth import Truth
from raynas.benchmark.yardsticks import trivial_scores
from raynas.terminal.json_text import json_text
from raynas.terminal.text_tables import Column, TextTable

_AT_LARGE = {
    "tau": "tau",
    "rho": "rho",
    "ndcg": "nDCG",
    "tau_depth": "tau in\n depth",
    "tau_macs": "tau in\n MACs",
    f"regret_{ranking.NO_LIMIT}": "regret",
}
_TITLES = {"depth": "depth", "macs": "MACs quarter"}
LEGEND = """\
tau is Kendall's tau-b, rho Spearman's; tau in depth and tau in MACs are means
within equal depth and within quarters by MACs. nDCG is that of the first tenth
by score; 1 is the true order. A regret is how many points of accuracy the first
choice lies below the best.
[95 % intervals]: of 200 draws of random positive scores (0 for what skips a
layer), or of the mean over runs when runs are drawn again (bootstrap)."""


def labels(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a name for each truth: the last parts of its path, as many as tell them apart."""
    paths = [PurePosixPath(each.truth.name).parts for each in comparisons]
    for count in range(1, max(map(len, paths)) + 1):
        found = ["/".join(parts[-count:]) for parts in paths]
        if len(set(found)) == len(found):
            return found
    return [each.truth.name for each in comparisons]


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the numbers must know: of which networks they are."""
    truth, visited = comparison.truth, comparison.visited
    networks, keys = len(truth.accuracy), len(truth.architectures)
    fewest, most = truth.trainings.min(), truth.trainings.max()
    times = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    found = [f"{networks:,} networks from {keys:,} architectures; trainings of each: {times}"]
    found += [*truth.notes, *comparison.notes]
    if np.ptp(truth.accuracy) == 0:
        found.append("nothing to rank: all networks have the same true accuracy")
    found += _ceiling_note(truth)
    if comparison.left_out:
        found.append(f"left out: {comparison.left_out:,} architectures without a score in some run")
    unknown = [name for name, values in trivial_scores(truth).items() if values is None]
    if unknown:
        found.append(f"no yardstick, since not known of all networks: {', '.join(unknown)}")
    if visited:
        found.append(
            "biased sample: these are architectures that a search visited, the only ones with a "
            f"score of {'; '.join(visited)}; compare rows of this output with each other alone"
        )
    return found


def _ceiling_note(truth: Truth) -> list[str]:
    """Return why there is no noise ceiling, or of which networks it is; nothing for all."""
    again = int((truth.trainings >= 2).sum())
    if again == len(truth.trainings):
        return []
    if not again:
        return ["no noise ceiling: every network was trained once"]
    if again < ranking.FEWEST:
        few = f"{again} of its networks were trained more than once, wanted {ranking.FEWEST}"
        return [f"no noise ceiling: {few}"]
    return [f"noise ceiling: of the {again:,} networks that were trained more than once"]


def print_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print agreement at large, a block per truth, and then the parts of each truth."""
    named = list(zip(labels(comparisons), comparisons, strict=True))
    for label, comparison in named:
        if len(named) > 1:
            console.print(f"{label}, space {comparison.space}", markup=False)
        for note in notes(comparison):
            console.print(note, markup=False)
        console.print()
    console.print(_at_large(named))
    for label, comparison in named:
        for table in _details(comparison, label if len(named) > 1 else ""):
            console.print()
            console.print(table)
    console.print()
    console.print(LEGEND, markup=False)


def _at_large(named: Sequence[tuple[str, Comparison]]) -> TextTable:
    """Return the table of all truths, the name of each above its rows."""
    cells: list[list[str]] = []
    for label, comparison in named:
        if len(named) > 1:
            above = [[""]] if cells else []
            cells += [[*first, *[""] * len(_AT_LARGE)] for first in (*above, [label])]
        cells += [_cells(row, _AT_LARGE, is_first=True) for row in comparison.rows]
    return TextTable(_columns("rank agreement", _AT_LARGE), cells)


def _details(comparison: Comparison, label: str) -> Iterator[TextTable]:
    """Yield the tables of one truth: tau in each part, and what is reached under limits."""
    rows = comparison.rows
    best = Row("true best", "ceiling", ranking.Estimate(best_choices(comparison)))
    choosing = [row for row in rows if row.kind != "ceiling"]
    reached = {
        name: name if name == ranking.NO_LIMIT else f"<= {name}" for name in comparison.limits
    }
    for group, members in ranking.parts(comparison.truth).items():
        columns = {f"tau_{group}_{k}": f"{k} (n={len(v)})" for k, v in members.items()}
        if columns:
            yield _table(f"tau within {_TITLES[group]}", rows, columns, label)
    for measure, title, chosen in (
        ("accuracy", "first choice, true %", [best, *choosing]),
        ("regret", "regret, points", choosing),
        ("regret3", "regret of the best of three", choosing),
    ):
        columns = {f"{measure}_{name}": text for name, text in reached.items()}
        yield _table(title, chosen, columns, label)


def best_choices(comparison: Comparison) -> ranking.Measures:
    """Return what one would reach who knew the truth."""
    truth = comparison.truth
    return ranking.first_choices(truth.accuracy, truth, comparison.limits)


def _table(title: str, rows: Sequence[Row], columns: dict[str, str], label: str) -> TextTable:
    """Return a table of measures of one truth."""
    cells = [_cells(row, columns) for row in rows]
    return TextTable(_columns(title, columns), cells, label)


def _columns(title: str, columns: dict[str, str]) -> list[Column]:
    headings = [Column(f" {heading}", is_text=True) for heading in columns.values()]  # as a sign
    return [Column(title, folds=True), *headings]


def _cells(row: Row, columns: dict[str, str], *, is_first: bool = False) -> list[str]:
    """Return a row of a table; in the first one an interval stands beside the first number."""
    cells = [_cell(row.estimate, key, 2) for key in columns]
    first, low, high = next(iter(columns), ""), row.estimate.low, row.estimate.high
    if is_first:
        cells[0] = _cell(row.estimate, first, 3)
        if low is not None and high is not None and math.isfinite(low[first]):
            cells[0] += f" [{low[first]:.2f}, {high[first]:.2f}]"
    return [row.name, *cells]


def _cell(estimate: ranking.Estimate, key: str, digits: int) -> str:
    """Return a number; a dash where there is none."""
    value = estimate.mean.get(key, math.nan)
    return f"{value: .{digits}f}" if math.isfinite(value) else " -"


def to_json(comparisons: Sequence[Comparison], figure: str) -> str:
    """Return the comparisons as one JSON object; NaN becomes null, for JSON has none."""
    return json_text({"truths": list(map(_told, comparisons)), "figure": figure})


def _told(comparison: Comparison) -> dict[str, Any]:
    truth = comparison.truth
    return {
        "truth": truth.name,
        "space": comparison.space,
        "notes": notes(comparison),
        "architectures": len(truth.architectures),
        "networks": len(truth.accuracy),
        "left_out": comparison.left_out,
        "trainings": int(truth.trainings.min()),
        "limits": {name: None if math.isinf(v) else v for name, v in comparison.limits.items()},
        "parts": {
            group: {name: len(indices) for name, indices in members.items()}
            for group, members in ranking.parts(truth).items()
        },
        "rows": [
            {"name": row.name, "kind": row.kind}
            | {name: getattr(row.estimate, name) for name in ("mean", "low", "high")}
            for row in comparison.rows
        ],
        "best": best_choices(comparison),
    }
