"""Draw what the batch norms say: indicators by layer and candidate, and how they developed.

    python analysis/indicators.py RUN [--kind block]

Block and layer indicators are means of |gamma| over channels, without unit, as other kinds are.
Candidates compete within their layer, whose largest value is bold; hatched cells have no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script

Array = npt.NDArray[np.float64]
_COLOURS = "cividis"  # even in lightness, for any colour vision
_ROW, _COLUMN = 0.27, 0.75  # inches of a cell
_ABREAST = 5  # layers side by side
_GAP = 0.3  # cells between candidates and layer indicators


@dataclass(frozen=True)
class Options:
    """Block and layer indicators of a run at the last recorded step, and over the steps."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    kind: str = "block"
    """Kind of the candidates' indicators: block, or another that the run has, such as taylor."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


@plot_style.drawing
def draw(store: RunStore, kind: str = "block") -> Figure:
    """Return a heat map and, where several steps were recorded, a small panel per layer.

    Raises:
        UserError: No indicators of that kind are recorded yet, or no batch norm learnt.
    """
    rows = _read(store, kind)
    blocks, layers = rows[rows["kind"] == kind], rows[rows["kind"] == "layer"]
    num_layers, names = int(rows["layer"].max()) + 1, _names(blocks)
    grid, strip = _grid(blocks, num_layers), _grid(layers.assign(candidate=0), num_layers)
    over_time = bool(blocks["step"].min() < blocks["step"].max())
    heights = [1.3 + _ROW * num_layers, 1.2 + 1.1 * -(-num_layers // _ABREAST)][: 1 + over_time]
    width = max(7.5, 2.2 + _COLUMN * (len(names) + 1))
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    parts[0].suptitle(plot_style.describe(store), x=0.01, ha="left", fontsize=10)
    axes = parts[0].subplots()
    scale = _draw_map(axes, grid, strip, names)
    axes.set_xlabel(f"Candidate operation, at recorded step {blocks['step'].max():,}")
    parts[0].colorbar(scale, ax=axes, label=_quantity(kind), aspect=30, pad=0.02)
    if over_time:
        _draw_steps(parts[1], rows, names)
        parts[1].supylabel(_quantity(kind), fontsize=9)
    return figure


def _read(store: RunStore, kind: str) -> pd.DataFrame:
    """Return the rows of a kind; layer indicators as well where they are the same quantity."""
    settings = Settings.from_json(store.rows("runs")[0]["settings"])
    if settings.pretrain.trainable == "weights":
        raise UserError(
            f"run folder {store.uri}: it has no indicators, since none of its batch norms learnt "
            "(--pretrain.trainable weights)"
        )
    rows = plot_style.read_rows(store, "indicators", "pretraining")
    kinds = sorted(set(rows["kind"]) - {"layer"})
    if kind not in kinds:
        raise UserError(
            f"--kind {kind}: run folder {store.uri} has indicators of {', '.join(kinds)}"
        )
    return rows[rows["kind"].isin({kind, "layer"} if kind == "block" else {kind})]


def _quantity(kind: str) -> str:
    return "Indicator (mean |gamma|)" if kind == "block" else f"Indicator ({kind})"


def _grid(rows: pd.DataFrame, num_layers: int) -> Array:
    """Return the values of the last step, layers x candidates; NaN where there is none."""
    last = rows[rows["step"] == rows["step"].max()]
    num_candidates = int(last["candidate"].max()) + 1 if len(last) else 1
    grid = np.full((num_layers, num_candidates), np.nan)
    grid[last["layer"], last["candidate"].astype(int)] = last["value"]
    return grid


def _names(blocks: pd.DataFrame) -> list[str]:
    """Return the candidates' operations; where layers differ, the index and two of the names."""
    names = []
    for candidate in range(int(blocks["candidate"].max()) + 1):
        operations = blocks.loc[blocks["candidate"] == candidate, "operation"].dropna().unique()
        index = f"{candidate}: " if len(operations) != 1 else ""
        more = " ..." if len(operations) > 2 else ""
        names.append(index + " /\n".join(operations[:2]) + more)
    return names


def _draw_map(axes: Axes, grid: Array, strip: Array, names: list[str]) -> ScalarMappable:
    """Draw candidates as columns, the layer indicators as a column apart; return the colours."""
    everything = [*grid.flat, *strip.flat]
    norm = Normalize(np.nanmin(everything), np.nanmax(everything))
    _draw_cells(axes, 0, grid, norm)
    ticks = [*range(len(names))]
    if has_strip := bool(np.isfinite(strip).any()):
        _draw_cells(axes, len(names) + _GAP, strip, norm)
    axes.set_xticks(
        [*ticks, *([len(names) + _GAP] if has_strip else [])],
        [*names, *(["layer\nindicator"] if has_strip else [])],
    )
    axes.set_yticks(range(len(grid)))
    axes.set_xlim(-0.5, len(names) - 0.5 + (1 + _GAP if has_strip else 0))
    axes.set_ylim(len(grid) - 0.5, -0.5)
    axes.set_ylabel("Layer")
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return ScalarMappable(norm, _COLOURS)


def _draw_cells(axes: Axes, left: float, grid: Array, norm: Normalize) -> None:
    """Draw values as coloured cells with their number; what is missing stays hatched."""
    rows, columns = grid.shape
    axes.add_patch(
        Rectangle(
            (left - 0.5, -0.5),
            columns,
            rows,
            facecolor="#F7F7F7",
            edgecolor="#BDBDBD",
            hatch="////",
            linewidth=0,
        )
    )
    axes.pcolormesh(
        left - 0.5 + np.arange(columns + 1),
        np.arange(rows + 1) - 0.5,
        grid,
        norm=norm,
        cmap=_COLOURS,
        edgecolors="white",
        linewidth=0.8,
    )
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            strongest = np.nanmin(grid[row]) < value == np.nanmax(grid[row])
            axes.text(
                left + column,
                row,
                f"{value:.3f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if norm(value) < 0.45 else "black",
                fontweight="bold" if strongest else "normal",
            )


def _draw_steps(part: SubFigure, rows: pd.DataFrame, names: list[str]) -> None:
    """Draw the candidates of every layer, and its layer indicator in black, over the steps."""
    layers = sorted(rows["layer"].unique())
    panels = part.subplots(-(-len(layers) // _ABREAST), _ABREAST, sharex=True, sharey=True).ravel()
    for index, (axes, layer) in enumerate(zip(panels, layers, strict=False)):
        here = rows[rows["layer"] == layer].sort_values("step")
        for candidate, group in here[here["kind"] != "layer"].groupby("candidate"):
            colour, dashes = plot_style.line_look(int(candidate))
            axes.plot(group["step"], group["value"], color=colour, linestyle=dashes, linewidth=1.2)
        group = here[here["kind"] == "layer"]
        axes.plot(group["step"], group["value"], color=plot_style.BLACK, linewidth=1.8)
        axes.set_title(f"layer {layer}", fontsize=8, pad=2)
        axes.tick_params(labelsize=8, labelbottom=index + _ABREAST >= len(layers))
    for axes in panels[len(layers) :]:
        axes.set_visible(False)
    part.supxlabel("Pretraining step", fontsize=9)
    entries = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=2, label=name.replace("\n", " "))
        for name, (colour, dashes) in zip(names, map(plot_style.line_look, range(99)), strict=False)
    ]
    if "layer" in set(rows["kind"]):
        entries.append(Line2D([], [], color=plot_style.BLACK, linewidth=2, label="layer indicator"))
    part.legend(handles=entries, loc="outside upper center", ncols=7)


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the figure, print its path and return the exit code."""
    return exit_code(lambda: _save(arguments), (UserError, OSError))


def _save(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )
    store = RunStore.open(options.run)
    name = "indicators" if options.kind == "block" else f"indicators-{options.kind}"
    print(plot_style.save(draw(store, options.kind), store, name, options.figure))


if __name__ == "__main__":
    run_script(main)
