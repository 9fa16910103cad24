"""The tables of the page: outcomes, front, generations, updates, gains, agreement, times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from raynas.costs.costs import Kind, show_bytes, show_limit, show_seconds
from raynas.reporting.class_balance import is_imbalanced
from raynas.reporting.page.parts import (
    Cell,
    Column,
    Table,
    is_missing,
    plain,
    quantity,
    share,
    word,
)
from raynas.reporting.page.run_snapshot import Row, RunSnapshot
from raynas.reporting.queries import score_parts, searched_by
from raynas.reporting.rank_correlation import Agreement, Check
from raynas.reporting.rivals import tell_beginnings
from raynas.storage.outcome_rows import is_on_all
from raynas.storage.rival_names import shown_rival
from raynas.storage.usage import StageUsage

_LONG = 24  # letters of an architecture that is broken in two
MOST_ROWS = 200  # of a table; the rest is in the run folder


def outcomes(snapshot: RunSnapshot) -> Table:
    """Return every retrained network, the best first."""
    rows, store = snapshot.outcomes, snapshot.store
    times = _known_times(rows)
    columns = [
        Column("Rank", sorted_by=True),
        Column("Architecture", is_text=True),
        Column("Test", falls=True),
        Column("Validation", falls=True),
        Column("MACs"),
        *map(Column, times),
        Column("Params"),
        Column("Score", falls=True),
        Column("Epochs"),
        Column("Status", is_text=True),
    ]
    cells = [_outcome(row, times.values(), row is snapshot.best) for row in rows[:MOST_ROWS]]
    if is_imbalanced(snapshot.plan):
        columns += [Column("Balanced test", falls=True), Column("Balanced val.", falls=True)]
        for row, line in zip(rows, cells, strict=False):
            line += [share(row.get(f"{part}_balanced_accuracy")) for part in ("test", "val")]
    if rows and (of_candidates := searched_by(store)):
        columns += [Column("Score of blocks"), Column("Score of skips")]
        for row, line in zip(rows, cells, strict=False):
            parts = score_parts(of_candidates, row["architecture"])
            line += [plain(part, "{:.3f}") for part in parts]
    if any(map(is_on_all, rows)):
        columns.append(Column("Trained on", is_text=True))
        for row, line in zip(rows, cells, strict=False):
            line.append(word(row["trained_on"] or "train"))
    left = len(rows) - MOST_ROWS
    where = store.locate("tables/outcomes")
    rest = f"{left:,} further networks are in {where}." if left > 0 else ""
    return Table("Retrained networks", columns, cells, rest)


def _known_times(rows: Sequence[Row]) -> dict[str, str]:
    """Return the headings of the latencies of an image that are known, and their columns."""
    columns = {"Latency by table (ms)": "latency_ms", "Measured (ms)": "measured_ms"}
    return {
        name: column
        for name, column in columns.items()
        if any(not is_missing(row.get(column)) for row in rows)
    }


def _outcome(row: Row, times: Iterable[str], is_best: bool) -> list[Cell]:
    return [
        replace(plain(row["rank"], "{:.0f}"), look="chosen" if is_best else ""),
        word(row["architecture"], "code" + " long" * (len(row["architecture"]) > _LONG)),
        share(row["test_accuracy"]),
        share(row["val_accuracy"]),
        quantity(row["macs"]),
        *(plain(row.get(time), "{:.3g}") for time in times),
        quantity(row["params"]),
        plain(row["score"], "{:.4f}"),
        plain(row["epochs"], "{:.0f}"),
        word(row["status"], f"status {row['status']}"),
    ]


def rivals(rows: Sequence[Row]) -> Table:
    """Return the networks that stand beside the winners, the most accurate one first."""
    begun = ["Began from"] if tell_beginnings(rows) else []
    times = _known_times(rows)
    columns = [
        Column("Network", is_text=True),
        *(Column(name, is_text=True) for name in begun),
        Column("Test", falls=True),
        Column("Validation", falls=True),
        Column("MACs"),
        *map(Column, times),
        Column("Params"),
        Column("Epochs"),
        Column("Status", is_text=True),
    ]
    cells = [
        [
            word(shown_rival(row["rival"], row["network"] or row["rival"]), "code"),
            *(word(row["begun_from"] or "") for _ in begun),
            share(row["test_accuracy"]),
            share(row["val_accuracy"]),
            quantity(row["macs"]),
            *(plain(row[column], "{:.3g}") for column in times.values()),
            quantity(row["params"]),
            plain(row["epochs"], "{:.0f}"),
            word(row["status"], f"status {row['status'].split()[0]}"),
        ]
        for row in rows
    ]
    return Table("Networks beside the winners", columns, cells)


def front(points: pd.DataFrame, kind: Kind) -> Table:
    """Return the networks of the Pareto front of a cost, the cheapest first."""
    columns = [
        Column("Rank"),
        Column("Architecture", is_text=True),
        Column("MACs" if kind == "macs" else kind.capitalize(), sorted_by=True),
        Column("Validation", falls=True),
        Column("Test", falls=True),
    ]
    rows = [
        [
            plain(row["rank"], "{:.0f}"),
            word(row["architecture"], "code"),
            Cell(show_limit(kind, int(row["cost"])), row["cost"], hint=f"{row['cost']:,.0f}"),
            share(row["val_accuracy"]),
            share(row["test_accuracy"]),
        ]
        for row in points.to_dict("records")
    ]
    return Table("Networks of the validation front", columns, rows[:MOST_ROWS])


def generations(scored: pd.DataFrame) -> Table:
    """Return what each generation of the search scored."""
    names = ("Generation", "Architectures", "Best", "Median", "Worst")
    columns = [Column(name, falls=name == "Best", sorted_by=name == names[0]) for name in names]
    groups = scored.groupby("generation")["score"]
    found = groups.agg(["size", "max", "median", "min"]).head(MOST_ROWS)
    rows = [
        [
            plain(row["generation"], "{:.0f}"),
            plain(row["size"], "{:,.0f}"),
            *(plain(row[name], "{:.4f}") for name in ("max", "median", "min")),
        ]
        for row in found.reset_index().to_dict("records")
    ]
    left = groups.ngroups - len(found)
    return Table("Scores by generation", columns, rows, f"{left} more." if left else "")


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
        layers: What ``raynas.reporting.queries.isometry_by_layer`` returns.
    """
    columns = [
        Column("Layer", sorted_by=True),
        Column("Weights", is_text=True),
        Column("Batch norms", is_text=True),
        Column("phi"),
        Column("varphi"),
        Column("Spread"),
    ]
    rows = [
        [
            plain(row["layer"], "{:.0f}"),
            word(row["initialisation"]),
            word("with" if row["batch_norm"] else "without"),
            *(plain(row[name], "{:.3f}") for name in ("phi", "varphi", "spread")),
        ]
        for row in layers.sort_values("layer", kind="stable").to_dict("records")
    ]
    return Table("Gain of candidates by layer", columns, rows[: 2 * MOST_ROWS])


def agreements(check: Check) -> Table:
    """Return Kendall's tau of the score and of what costs nothing to know."""
    columns = [
        Column("Ranked by", is_text=True),
        Column("tau", falls=True),
        Column("95 % interval", is_text=True),
    ]
    learned = {"learned score": check.learned} if check.learned else {}
    found: dict[str, Agreement] = {**learned, "score": check.score, **check.yardsticks}
    rows = [
        [
            Cell(name, name),
            Cell(f"{of.tau:.2f}", of.tau),
            Cell(f"{of.low:.2f} to {of.high:.2f}", of.low),
        ]
        for name, of in found.items()
    ]
    return Table("Agreement with brief trainings", columns, rows)


def times(expected: Mapping[str, StageUsage], spent: Mapping[str, StageUsage]) -> Table:
    """Return what each stage took beside its forecast."""
    names = list({**expected, **spent})
    columns = [
        Column("Stage", is_text=True),
        *map(Column, ("Forecast", "Range", "Taken", "Ratio", "Written")),
    ]
    rows = [_stage(name, expected.get(name), spent.get(name)) for name in names]
    return Table("Time by stage", columns, rows, sorts=False)


def _stage(name: str, of: StageUsage | None, took: StageUsage | None) -> list[Cell]:
    range_ = " to ".join(map(show_seconds, of.range_seconds)) if of else "-"
    ratio = took.seconds / of.seconds if of and took and of.seconds else None
    return [
        Cell(name, name),
        Cell(show_seconds(of.seconds) if of else "-"),
        Cell(range_),
        Cell(show_seconds(took.seconds) if took else "not ended"),
        Cell("-" if ratio is None else f"{ratio:.2f}"),
        Cell(show_bytes(took.written_bytes) if took else "-"),
    ]
