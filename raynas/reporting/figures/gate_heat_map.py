"""A heat map of the gates of a differentiable search, one panel a kind of cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.queries import CELLS, best_search, chosen_gates, last_epochs, last_gates
from raynas.storage.run_store import RunStore

SEARCH_WRITER = "the differentiable search (--search differentiable)"
_COLOURS = "cividis"  # even in lightness, for any colour vision


@plot_style.drawing
def draw_heat(stores: Sequence[RunStore]) -> Figure:
    """Return a heat map of edges and operations for each kind of cell; the chosen are framed.

    Raises:
        UserError: Not one run, or one in which no search has got through an epoch.
    """
    if len(stores) != 1:
        raise UserError(f"--of heat: got {len(stores)} runs, wanted one; leave the others out")
    (store,) = stores
    best = best_search(last_epochs(plot_style.read_rows(store, "search_epochs", SEARCH_WRITER)))
    if best is None:
        raise UserError(f"run folder {store.uri}: no search has got through its first epoch yet")
    weights = last_gates(store.table("gates").to_pandas(), best)
    chosen = chosen_gates(str(best["genotype"]))
    size = max(map(len, weights.values()))
    figure = Figure(figsize=(11, 1.6 + 0.27 * size), layout="constrained")
    seed, epoch = best["seed"], best["epoch"]
    figure.suptitle(
        f"{plot_style.describe(store)}; search of seed {seed} after epoch {epoch}",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    values = np.concatenate([grid.to_numpy().ravel() for grid in weights.values()])
    norm = Normalize(0, values.max())
    panels = figure.subplots(1, len(CELLS))
    for axes, cell in zip(panels, CELLS, strict=True):
        _draw_cell(axes, weights[cell], norm)
        _frame(axes, weights[cell], chosen[cell])
        axes.set_title(f"{cell.capitalize()} cells")
    panels[0].set_ylabel("Node, and the state that it reads")
    scale = ScalarMappable(norm, _COLOURS)
    figure.colorbar(scale, ax=panels, label="Weight (framed: chosen)", aspect=30, pad=0.01)
    return figure


def _draw_cell(axes: Axes, grid: pd.DataFrame, norm: Normalize) -> None:
    """Draw weights as coloured cells with their number."""
    axes.imshow(grid, cmap=_COLOURS, norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(grid.to_numpy()):
        axes.text(
            column,
            row,
            f"{value:.2f}".removeprefix("0"),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if norm(value) < 0.45 else "black",
        )
    axes.set_xticks(range(grid.shape[1]), map(str, grid.columns), rotation=35, ha="right")
    axes.set_yticks(range(len(grid)), [f"{node}: {source}" for node, source in grid.index])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _frame(axes: Axes, grid: pd.DataFrame, chosen: set[tuple[int, int, str]]) -> None:
    """Frame the chosen inputs, and rule off the nodes."""
    columns = list(grid.columns)
    for row, (node, source) in enumerate(grid.index):
        if source == 0 and row:
            axes.axhline(row - 0.5, color="white", linewidth=2.5)
        for column in (columns.index(name) for *at, name in chosen if at == [node, source]):
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    fill=False,
                    edgecolor=plot_style.VERMILION,
                    linewidth=2,
                    zorder=3,
                )
            )
