"""What differentiable searches chose: figures over epochs, the searches, the last gates of one."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raynas.reporting import plot_style
from raynas.reporting.figures.gates import MEASURES, draw_spread, set_epochs
from raynas.reporting.page.embedding import PageFigure, page_figure
from raynas.reporting.page.parts import Cell, Column, Table, plain, share, word
from raynas.reporting.queries import CELLS, best_search, chosen_gates
from raynas.spaces.genotype import Genotype, show_nodes

_TINTS = 6  # shades


def curves(epochs: pd.DataFrame) -> list[PageFigure]:
    """Return skip connections and path depth by epoch, means over seeds and their ranges.

    Args:
        epochs: Rows of the table ``search_epochs`` that are epochs.
    """
    forms: dict[str, Callable[[float], str]] = {
        "skip_share": lambda value: f"{100 * value:.0f} %",
        "path_depth": "{:.2f}".format,
    }
    return [_curve(epochs, measure, form) for measure, form in forms.items()]


def _curve(epochs: pd.DataFrame, measure: str, form: Callable[[float], str]) -> PageFigure:
    groups, label = epochs.groupby("epoch"), MEASURES[measure]
    spreads = {cell: groups[f"{cell}_{measure}"] for cell in CELLS}

    def draw(axes: Axes) -> None:
        for index, (cell, values) in enumerate(spreads.items()):
            draw_spread(axes, values, index, len(spreads), f"{cell} cells")
        axes.set_ylabel(label)
        set_epochs(axes)
        if measure == "skip_share":
            plot_style.show_percent(axes.yaxis)

    seeds, last = epochs["seed"].nunique(), int(epochs["epoch"].max())
    means = [f"{form(of.mean().iloc[-1])} in {cell} cells" for cell, of in spreads.items()]
    told = f"After epoch {last}: {' and '.join(means)}"
    of = f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"
    title = label.partition(" (")[0]
    alt = f"Line chart by epoch, {title.lower()}: {of}. {told}."
    return page_figure(title, alt, f"{told}; {of}.", draw, is_half=True)


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
        rows += [[*search, *_cells_of(row, cell)] for cell in CELLS]
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
