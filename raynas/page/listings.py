"""The tables of the page: outcomes, indicators as a heat map, updates, gains, times."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from raynas.agreement import Agreement, Check
from raynas.balance import is_imbalanced
from raynas.costs import show_bytes, show_quantity, show_seconds
from raynas.page.parts import Cell, Column, Table, is_missing, percent
from raynas.page.reading import Reading
from raynas.stages import INDICATOR_SCORES

MOST_ROWS = 200  # of a table; the rest is in the run folder
_TINTS = 6  # shades of a heat map
_OPTIONAL = {
    "latency_ms": ("Latency", lambda value: f"{value:.3g} ms", False),
    "val_balanced_accuracy": ("Balanced val.", percent, True),
    "test_balanced_accuracy": ("Balanced test", percent, True),
}


def outcomes(reading: Reading) -> Table:
    """Return every retrained network, the best first."""
    rows, store = reading.outcomes, reading.store
    optional = [
        name for name in _OPTIONAL if any(not is_missing(row.get(name)) for row in rows)
        and (is_imbalanced(reading.plan) or "balanced" not in name)
    ]  # fmt: skip
    columns = [
        Column("Rank", sorted_by=True), Column("Architecture", is_text=True),
        Column("Test", falls=True), Column("Validation", falls=True),
        Column("MACs"), Column("Params"), Column("Score", falls=True),
        Column("Epochs"), Column("Status", is_text=True),
        *(Column(_OPTIONAL[name][0], falls=_OPTIONAL[name][2]) for name in optional),
    ]  # fmt: skip
    left = len(rows) - MOST_ROWS
    where = store.locate("tables/outcomes")
    rest = f"{left:,} further networks are in {where}." if left > 0 else ""
    cells = [_outcome(row, optional, reading.best) for row in rows[:MOST_ROWS]]
    return Table("Retrained networks", columns, cells, rest)


def _outcome(row: dict[str, Any], optional: list[str], best: dict[str, Any] | None) -> list[Cell]:
    rank, look = row["rank"], "chosen" if row is best else ""
    return [
        Cell("-" if rank is None else str(rank), rank, look),
        Cell(row["architecture"], row["architecture"], "code"),
        Cell(percent(row["test_accuracy"]), row["test_accuracy"]),
        Cell(percent(row["val_accuracy"]), row["val_accuracy"]),
        _quantity(row["macs"]),
        _quantity(row["params"]),
        _plain(row["score"], "{:.4f}"),
        _plain(row["epochs"], "{}"),
        Cell(row["status"], row["status"], f"status {row['status']}"),
        *(
            Cell("-") if is_missing(row.get(name)) else Cell(_OPTIONAL[name][1](row[name]), row[name])
            for name in optional
        ),
    ]  # fmt: skip


def _quantity(value: int | None) -> Cell:
    return Cell("-") if value is None else Cell(show_quantity(value), value, hint=f"{value:,}")


def _plain(value: float | None, form: str) -> Cell:
    return Cell("-") if is_missing(value) else Cell(form.format(value), value)


def front(points: pd.DataFrame) -> Table:
    """Return the networks of the Pareto front, the cheapest first."""
    columns = [
        Column("Rank"), Column("Architecture", is_text=True), Column("MACs", sorted_by=True),
        Column("Validation", falls=True), Column("Test", falls=True),
    ]  # fmt: skip
    rows = [
        [Cell(f"{row.rank:.0f}", row.rank), Cell(row.architecture, row.architecture, "code"),
         _quantity(int(row.macs)), Cell(percent(row.val_accuracy), row.val_accuracy),
         Cell(percent(row.test_accuracy), None if is_missing(row.test_accuracy)
              else row.test_accuracy)]
        for row in points.itertuples()
    ]  # fmt: skip
    return Table("Networks of the validation front", columns, rows[:MOST_ROWS])


def generations(scored: pd.DataFrame) -> Table:
    """Return what each generation of the search scored."""
    names = ("Generation", "Architectures", "Best", "Median", "Worst")
    columns = [Column(name, falls=name == "Best", sorted_by=name == names[0]) for name in names]
    groups = scored.groupby("generation")["score"]
    found = groups.agg(["size", "max", "median", "min"]).head(MOST_ROWS)
    rows = [
        [Cell(f"{number:.0f}", number), Cell(f"{row['size']:,.0f}", row["size"]),
         *(Cell(f"{row[name]:.4f}", row[name]) for name in ("max", "median", "min"))]
        for number, row in found.iterrows()
    ]  # fmt: skip
    left = groups.ngroups - len(found)
    return Table("Scores by generation", columns, rows, f"{left} more." if left else "")


def heat_map(reading: Reading) -> Table | None:
    """Return the indicator that the score is made of, a row a layer; None: nothing recorded."""
    score = reading.settings.get("search", {}).get("score")
    kinds = set(reading.indicators["kind"])
    kind = score if score in kinds and score in INDICATOR_SCORES else "block"
    rows = reading.indicators[reading.indicators["kind"] == kind].dropna(subset=["candidate"])
    if rows.empty:
        return None
    grid = rows.pivot_table(index="layer", columns="candidate", values="value")
    names = [_column_name(reading, int(choice)) for choice in grid.columns]
    columns = [Column("Layer"), *(Column(name) for name in names), Column("Lead")]
    best = (reading.best or {}).get("architecture", "").split("-")
    cells = [
        _layer(int(layer), grid.loc[layer].to_numpy(dtype=float), list(grid.columns), best)
        for layer in grid.index
    ]
    caption = f"Indicator {kind} after step {rows['step'].max() + 1:,}"
    return Table(caption, columns, cells, sorts=False)


def _column_name(reading: Reading, choice: int) -> str:
    names = {name for (_, index), name in reading.operations.items() if index == choice}
    return names.pop() if len(names) == 1 else f"candidate {choice}"


def _layer(layer: int, values: Any, choices: list[float], best: list[str]) -> list[Cell]:
    """Return a layer's values, tinted from its lowest to its highest."""
    known = np.sort(values[np.isfinite(values)]).tolist()
    low, high = known[0], known[-1]
    chosen = best[layer] if layer < len(best) else ""
    cells = [Cell(str(layer), layer)]
    for choice, value in zip(choices, values.tolist(), strict=True):
        if not np.isfinite(value):
            cells.append(Cell("-", None, "none"))
            continue
        share = (value - low) / (high - low) if high > low else 0.0
        look = f"t{round(share * (_TINTS - 1))}" + " top" * (value == high > low)
        picked = str(int(choice)) == chosen
        cells.append(Cell(f"{value:.3f}", float(value), look + " picked" * picked))
    lead = (high - known[-2]) / abs(known[-2]) if len(known) > 1 and known[-2] else None
    cells.append(Cell("-" if lead is None else f"{100 * lead:.1f} %", lead, "lead"))
    return cells


def updates(ledger: pd.DataFrame) -> Table:
    """Return how often each layer's candidates were updated."""
    names = ("Layer", "Candidates", "Fewest updates", "Most updates", "Difference")
    columns = [Column(name, sorted_by=name == "Layer") for name in names]
    groups = ledger.groupby("layer")["updates"].agg(["size", "min", "max"])
    rows = []
    for layer, row in groups.iterrows():
        values = [int(str(layer)), *(int(row[name]) for name in ("size", "min", "max"))]
        values.append(values[3] - values[2])
        rows.append([Cell(f"{value:,}", value) for value in values])
    return Table("Updates of candidates by layer", columns, rows)


def isometry(layers: pd.DataFrame) -> Table:
    """Return median gain, its variance and its spread by layer.

    Args:
        layers: What ``raynas.readings.isometry_by_layer`` returns.
    """
    columns = [
        Column("Layer", sorted_by=True), Column("Weights", is_text=True),
        Column("Batch norms", is_text=True), Column("phi"), Column("varphi"), Column("Spread"),
    ]  # fmt: skip
    rows = [
        [Cell(str(row.layer), row.layer), Cell(row.initialisation, row.initialisation),
         Cell("with" if row.batch_norm else "without", str(row.batch_norm)),
         *(Cell(f"{value:.3f}", value) for value in (row.phi, row.varphi, row.spread))]
        for row in layers.sort_values("layer", kind="stable").itertuples()
    ]  # fmt: skip
    return Table("Gain of candidates by layer", columns, rows[: 2 * MOST_ROWS])


def agreements(check: Check) -> Table:
    """Return Kendall's tau of the score and of what costs nothing to know."""
    columns = [Column("Ranked by", is_text=True), Column("tau", falls=True),
               Column("95 % interval", is_text=True)]  # fmt: skip
    found: dict[str, Agreement] = {"score": check.score, **check.yardsticks}
    rows = [
        [Cell(name, name), Cell(f"{of.tau:.2f}", of.tau),
         Cell(f"{of.low:.2f} to {of.high:.2f}", of.low)]
        for name, of in found.items()
    ]  # fmt: skip
    return Table("Agreement with brief trainings", columns, rows)


def times(expected: Mapping[str, Any], spent: Mapping[str, Any]) -> Table:
    """Return what each stage took beside its forecast."""
    names = [name for name, of in {**expected, **spent}.items() if isinstance(of, dict)]
    columns = [Column("Stage", is_text=True),
               *map(Column, ("Forecast", "Range", "Taken", "Taken / forecast", "Written"))]  # fmt: skip
    rows = [_stage(name, expected.get(name), spent.get(name)) for name in names]
    return Table("Time by stage", columns, rows, sorts=False)


def _stage(name: str, of: Mapping[str, float] | None, took: Mapping[str, float] | None) -> list[Cell]:
    range_ = f"{show_seconds(of['low_seconds'])} to {show_seconds(of['high_seconds'])}" if of else "-"
    ratio = took["seconds"] / of["seconds"] if of and took and of["seconds"] else None
    return [
        Cell(name, name),
        Cell(show_seconds(of["seconds"]) if of else "-"),
        Cell(range_),
        Cell(show_seconds(took["seconds"]) if took else "not ended"),
        Cell("-" if ratio is None else f"{ratio:.2f}"),
        Cell(show_bytes(took["written_bytes"]) if took else "-"),
    ]
