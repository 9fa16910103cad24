"""Draw accuracy against what networks cost: what retraining found, and its Pareto fronts.

    python analysis/front.py RUN...

Accuracies are percentages (validation hollow, test filled). The cost is what the (first) run
minimised beside the score, or multiply-adds of one image; several costs have a panel each.
A point is on the front if nothing as cheap is as accurate; limits of the search that lie near
are dotted lines. Where one run is drawn, crosses are its rivals, which nobody searched for.
``paint`` draws one panel on axes of your own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Annotated, Literal

import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raynas.costs.costs import Kind, Limits, show_quantity
from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.front import (
    COST_COLUMNS,
    NO_LIMITS,
    draw_front,
    legend_entries,
    near_limits,
    rivals_to_draw,
    run_look,
    with_rivals,
)
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script

_MOST_LISTED = 24  # points that are named below the figure, the best first


@dataclass(frozen=True)
class Options:
    """Validation and test accuracy of retrained architectures against what they cost."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run; each gets a marker."""
    cost: Literal["macs", "params", "latency"] | None = None
    """What the x-axis shows; unset: what the first run minimised, or MACs."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


def read_points(stores: Sequence[RunStore]) -> pd.DataFrame:
    """Return the finished outcomes of all runs, with columns run (an index) and label.

    Trainings that were stopped early are left out: their accuracy is not their network's.

    Raises:
        UserError: None of the runs has a finished outcome yet.
    """
    frames = []
    for index, store in enumerate(stores):
        letter = _letter(index) if len(stores) > 1 else ""
        rows = store.table("outcomes").to_pandas().assign(run=index)
        frames.append(rows.assign(label=[f"{letter}{rank:.0f}" for rank in rows["rank"]]))
    outcomes = pd.concat(frames)
    points = outcomes[outcomes["status"] == "finished"].dropna(subset=["macs", "val_accuracy"])
    if points.empty:
        raise UserError(
            f"run folder {stores[0].uri}: no finished row in table outcomes has a validation "
            "accuracy yet; retraining writes them, unless it trains on all images at once"
        )
    ordered: pd.DataFrame = points.sort_values(["run", "rank"]).reset_index(drop=True)
    return ordered


def _letter(index: int) -> str:
    """Return the letter that stands for the run with that index: A to Z, then AA, AB, ..."""
    return (ascii_uppercase[index // 26 - 1] if index >= 26 else "") + ascii_uppercase[index % 26]


def costs_of(store: RunStore) -> tuple[Kind, ...]:
    """Return what a run minimised beside the score; MACs if that was nothing."""
    return Settings.from_json(store.rows("runs")[0]["settings"]).search.goals or ("macs",)


@plot_style.drawing
def draw(stores: Sequence[RunStore], cost: Kind | None = None) -> Figure:
    """Return a figure with all points, the two fronts, and a list of what the labels mean.

    Args:
        stores: The runs.
        cost: What the x-axis shows; None: a panel for each cost that the first run minimised.

    Raises:
        UserError: None of the runs has an accuracy yet, or that cost of a network.
    """
    points = read_points(stores)
    costs = costs_of(stores[0]) if cost is None else (cost,)
    listing = _listing(points, stores, costs)
    heights = [4.6] * len(costs) + [0.15 + 0.15 * len(listing)]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    *panels, below = figure.subplots(len(heights), 1, height_ratios=heights)
    for axes, each in zip(panels, costs, strict=True):
        limits = _common_limits(stores)
        rivals = _rivals(stores, each)
        paint(axes, points, each, limits, rivals)
        limited = bool(near_limits(with_rivals(points, rivals), each, limits))
        entries = _entries(stores, limited=limited, rivals=len(rivals) > 0)
        axes.legend(handles=entries, loc="upper left", bbox_to_anchor=(1, 1))
    title = plot_style.describe(stores[0]) if len(stores) == 1 else f"{len(stores)} runs"
    panels[0].set_title(title)
    below.axis("off")
    below.text(0, 1, "\n".join(listing), va="top", family=plot_style.MONOSPACE, fontsize=8)
    return figure


def _rivals(stores: Sequence[RunStore], cost: Kind) -> pd.DataFrame:
    """Return the rivals of a run; of several runs none, for their names are the same."""
    return rivals_to_draw(stores[0].rows("rivals") if len(stores) == 1 else (), cost)


def _common_limits(stores: Sequence[RunStore]) -> Limits:
    """Return the limits that all runs had, or none."""
    found = {Settings.from_json(store.rows("runs")[0]["settings"]).limits for store in stores}
    return found.pop() if len(found) == 1 else NO_LIMITS


def paint(
    axes: Axes,
    points: pd.DataFrame,
    cost: Kind = "macs",
    limits: Limits = NO_LIMITS,
    rivals: pd.DataFrame | None = None,
) -> None:
    """Draw accuracy against one cost, with both fronts and a label at each point.

    Args:
        axes: Where.
        points: As ``read_points`` returns them.
        cost: What the x-axis shows.
        limits: Drawn where they lie near the points.
        rivals: As of ``rivals_to_draw``: drawn as crosses.

    Raises:
        UserError: No point has that cost: the run had no table of latencies.
    """
    known = points.dropna(subset=[COST_COLUMNS[cost]])
    if known.empty:
        raise UserError(
            f"--cost {cost}: no outcome has one; a run has latencies if it was given a "
            "--latency-table"
        )
    draw_front(axes, known, cost, limits, rivals)


def _entries(stores: Sequence[RunStore], *, limited: bool, rivals: bool) -> list[Line2D]:
    """Return the legend: what fillings and lines mean, then the runs' markers."""
    entries = legend_entries(limited=limited, rivals=rivals)
    for index in range(len(stores) if len(stores) > 1 else 0):
        colour, marker = run_look(index)
        name = f"run {_letter(index)}"
        entries.append(Line2D([], [], marker=marker, ls="", c=colour, label=name))
    return entries


def _listing(points: pd.DataFrame, stores: Sequence[RunStore], costs: Sequence[Kind]) -> list[str]:
    """Return the lines that say what the labels mean, the best of each run first."""
    lines = []
    for index, store in enumerate(stores):
        rows = points[points["run"] == index]
        if len(stores) > 1:
            nothing = "" if len(rows) else " (nothing finished yet)"
            lines.append(f"{_letter(index)}  {plot_style.describe(store)}{nothing}")
        shown = rows.head(max(3, _MOST_LISTED // len(stores)))
        lines += [_line(row, costs) for _, row in shown.iterrows()]
        if len(rows) > len(shown):
            lines.append(f"      and {len(rows) - len(shown)} more")
    return lines


def _line(row: pd.Series, costs: Sequence[Kind]) -> str:
    accuracies = [
        f"{name} {100 * row[f'{name}_accuracy']:6.2f} %"
        for name in ("val", "test")
        if pd.notna(row[f"{name}_accuracy"])
    ]
    amounts = [f"{_amount(row, cost):>8}" for cost in costs]
    return "  ".join([f"{row['label']:>4}", row["architecture"], *amounts, *accuracies])


def _amount(row: pd.Series, cost: Kind) -> str:
    amount = row[COST_COLUMNS[cost]]
    if pd.isna(amount):
        return "-"
    return f"{amount:.3g} ms" if cost == "latency" else show_quantity(int(amount))


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the figure, print its path and return the exit code."""
    return exit_code(lambda: _save(arguments), (UserError, OSError))


def _save(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )
    stores = plot_style.open_runs(options.runs)
    print(plot_style.save(draw(stores, options.cost), stores[0], "front", options.figure))


if __name__ == "__main__":
    run_script(main)
