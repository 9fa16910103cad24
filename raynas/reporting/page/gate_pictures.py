"""What differentiable searches chose: figures over epochs, the searches, the last gates of one."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from raynas.reporting.page.axes import spanning
from raynas.reporting.page.chart import Chart, key
from raynas.reporting.page.parts import (
    Cell,
    Column,
    Picture,
    Table,
    half_picture,
    plain,
    share,
    share_tick,
    word,
)
from raynas.reporting.queries import best_search, chosen_gates
from raynas.spaces.genotype import Genotype, show_nodes

_CELLS = ("normal", "reduction")
_TINTS = 6  # shades


def curves(epochs: pd.DataFrame) -> list[Picture]:
    """Draw skip connections and path depth by epoch, means over seeds and their ranges.

    Args:
        epochs: Rows of the table ``search_epochs`` that are epochs.
    """
    return [
        _curve(
            epochs,
            "skip_share",
            "Skip connections",
            "Chosen inputs (%)",
            lambda value: f"{100 * value:.0f} %",
            share_tick,
        ),
        _curve(
            epochs,
            "path_depth",
            "Path depth",
            "Operations with weights on a path",
            "{:.2f}".format,
            None,
        ),
    ]


def _curve(  # noqa: PLR0913 - a quantity and how it is written
    epochs: pd.DataFrame,
    measure: str,
    title: str,
    label: str,
    form: Callable[[float], str],
    show: Callable[[float], str] | None,
) -> Picture:
    groups = epochs.groupby("epoch")
    spreads = {
        cell: groups[f"{cell}_{measure}"].agg(["mean", "min", "max"]).reset_index()
        for cell in _CELLS
    }

    def draw(width: int) -> Chart:
        chart = Chart(
            width,
            280,
            spanning(epochs["epoch"], "Epoch", 0.02, is_whole=True),
            spanning([0, *(rows["max"].max() for rows in spreads.values())], label, show=show),
        )
        for index, rows in enumerate(spreads.values()):
            chart.band(rows["epoch"], rows["min"], rows["max"], f"s{index}")
            chart.line(rows["epoch"], rows["mean"], f"s{index}")
            if len(rows) == 1:
                chart.dots(rows["epoch"], rows["mean"], index)
        return chart

    seeds, last = epochs["seed"].nunique(), int(epochs["epoch"].max())
    means = [f"{form(rows['mean'].iloc[-1])} in {cell} cells" for cell, rows in spreads.items()]
    told = f"After epoch {last}: {' and '.join(means)}"
    of = f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"
    legend = [(key(index, is_line=True), f"{cell} cells") for index, cell in enumerate(_CELLS)]
    alt = f"Line chart by epoch, {title.lower()}: {of}. {told}."
    return half_picture(title, alt, f"{told}; {of}.", draw, legend)


def searches(found: pd.DataFrame) -> Table:
    """Return two rows for each search: of its normal and of its reduction cells.

    Args:
        found: What ``last_epochs`` returns.
    """
    best = best_search(found)
    columns = [
        Column("Seed", sorted_by=True),
        Column("Accuracy", falls=True),
        Column("Epochs"),
        Column("Cells", is_text=True),
        Column("Skips"),
        Column("Depth", falls=True),
        Column("Genotype", is_text=True),
    ]
    rows = []
    for row in found.to_dict("records"):
        look = "" if best is None or row["seed"] != best["seed"] else "chosen"
        search = [
            Cell(str(row["seed"]), row["seed"], look),
            share(row["val_accuracy"]),
            plain(row["epoch"], "{:.0f}"),
        ]
        rows += [[*search, *_cells_of(row, cell)] for cell in _CELLS]
    return Table("Searches", columns, rows)


def _cells_of(row: dict[Any, Any], cell: str) -> list[Cell]:
    skips, depth = share(row[f"{cell}_skip_share"]), plain(row[f"{cell}_path_depth"], "{:.2f}")
    if row["status"] in {"failed", "stopped"}:
        return [word(cell), skips, depth, word(row["status"], f"status {row['status']}")]
    nodes = getattr(Genotype.parse(str(row["genotype"])), cell)
    return [word(cell), skips, depth, word(show_nodes(nodes), "code long")]


def heat_map(cell: str, weights: pd.DataFrame, genotype: str) -> Table:
    """Return the weights of a kind of cell, a row for each edge, from 0 to the highest.

    Args:
        cell: normal or reduction.
        weights: As ``last_gates`` returns them.
        genotype: Of which the chosen are marked.
    """
    chosen, high = chosen_gates(genotype)[cell], weights.to_numpy().max()
    rows = []
    for (node, source), line in zip(weights.index, weights.to_numpy().tolist(), strict=True):
        cells = [Cell(f"node {node}, state {source}")]
        for operation, value in zip(weights.columns, line, strict=True):
            picked = " picked" * ((node, source, operation) in chosen)
            tint = f"t{round(value / high * (_TINTS - 1))}"
            cells.append(Cell(f"{value:.3f}", value, tint + picked))
        rows.append(cells)
    columns = [Column(f"{cell.capitalize()} cells"), *map(Column, map(str, weights.columns))]
    return Table(f"Weights of {cell} cells", columns, rows, sorts=False)
