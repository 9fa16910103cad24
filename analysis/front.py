"""Draw accuracy against multiply-adds: what retraining found, and its Pareto fronts.

    python analysis/front.py RUN...

Accuracies are percentages (validation hollow, test filled), multiply-adds are of one image.
A point is on the front if nothing with as few multiply-adds is as accurate.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from raynas import figures
from raynas.costs import show_quantity
from raynas.errors import UserError
from raynas.readings import pareto
from raynas.store import RunStore

_PANEL = np.array([430.0, 290.0])  # roughly the size of the panel, in points
MARKERS = "os^DvP*X"
_MOST_LISTED = 24  # points that are named below the figure, the best first


@dataclass(frozen=True)
class Options:
    """Validation and test accuracy of retrained architectures against multiply-adds."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run; each gets a marker."""
    figure: figures.Place = field(default_factory=figures.Place)


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
            f"run folder {stores[0].uri}: no finished row in table outcomes yet; "
            "retraining writes them"
        )
    ordered: pd.DataFrame = points.sort_values(["run", "rank"]).reset_index(drop=True)
    return ordered


def _letter(index: int) -> str:
    """Return the letter that stands for the run with that index: A to Z, then AA, AB, ..."""
    return (ascii_uppercase[index // 26 - 1] if index >= 26 else "") + ascii_uppercase[index % 26]


@figures.drawing
def draw(stores: Sequence[RunStore]) -> Figure:
    """Return a figure with all points, the two fronts, and a list of what the labels mean.

    Raises:
        UserError: None of the runs has an accuracy yet.
    """
    points = read_points(stores)
    listing = _listing(points, stores)
    heights = [4.6, 0.15 + 0.15 * len(listing)]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=heights)
    _draw_points(axes, points)
    _draw_fronts(axes, points)
    axes.set_title(figures.describe(stores[0]) if len(stores) == 1 else f"{len(stores)} runs")
    axes.set_xlabel("Multiply-adds of one image (MACs)")
    axes.set_ylabel("Accuracy (%)")
    axes.margins(0.08)
    _label_points(axes, points)
    figures.show_quantities(axes.xaxis)
    figures.show_percent(axes.yaxis)
    axes.legend(handles=_entries(stores), loc="upper left", bbox_to_anchor=(1, 1))
    below.axis("off")
    below.text(0, 1, "\n".join(listing), va="top", family=figures.MONOSPACE, fontsize=8)
    return figure


def _draw_points(axes: Axes, points: pd.DataFrame) -> None:
    """Draw validation and test of an architecture on one vertical line with its label."""
    columns = ["val_accuracy", "test_accuracy"]
    lowest, highest = points[columns].min(axis=1), points[columns].max(axis=1)
    axes.vlines(points["macs"], lowest, highest, color=figures.FAINT, linewidth=1, zorder=0.7)
    for run, rows in points.groupby("run"):
        colour, marker = _look(int(str(run)))
        for column, filling in zip(columns, ("none", colour), strict=True):
            axes.scatter(
                rows["macs"], rows[column], s=42, marker=marker, edgecolors=colour, c=filling,
            )  # fmt: skip


def _label_points(axes: Axes, points: pd.DataFrame) -> None:
    """Write each label beside its point, on the side where it covers least."""
    axes.autoscale_view()
    known = points.fillna({"test_accuracy": points["val_accuracy"]})
    validation, test = (
        axes.transLimits.transform(known[["macs", column]].to_numpy()) * _PANEL
        for column in ("val_accuracy", "test_accuracy")
    )
    taken = np.concatenate([validation, test])
    for label, *ends in zip(points["label"], validation, test, strict=True):
        (x, low), (_, high) = sorted(ends, key=lambda end: float(end[1]))
        box = np.array([4 + 5.5 * len(label), 9.0])  # points that a label needs
        sides = [(x, high + 10), (x, low - 10), (x + box[0], high), (x - box[0], high)]
        room = [float((np.abs(taken - side) / box).max(axis=1).min()) for side in sides]
        side = sides[int(np.argmax(np.minimum(room, 1.0)))]
        taken = np.vstack([taken, side])
        axes.annotate(
            label, np.array(side) / _PANEL, xycoords="axes fraction", ha="center", va="center",
            fontsize=8, path_effects=[Stroke(linewidth=2, foreground="white"), Normal()],
        )  # fmt: skip


def _look(run: int) -> tuple[str, str]:
    """Return colour and marker of the run with that index."""
    return figures.PALETTE[run % len(figures.PALETTE)], MARKERS[run % len(MARKERS)]


def _draw_fronts(axes: Axes, points: pd.DataFrame) -> None:
    """Draw each front as stairs that go on to the right, for more MACs never hurt a front."""
    for column, dashes in (("val_accuracy", "--"), ("test_accuracy", "-")):
        front = pareto(points, column)
        axes.step(
            [*front["macs"], points["macs"].max()], [*front[column], front[column].max()],
            where="post", color=figures.BLACK, linestyle=dashes, linewidth=0.9, zorder=0.8,
        )  # fmt: skip


def _entries(stores: Sequence[RunStore]) -> list[Line2D]:
    """Return the legend: what fillings and lines mean, then the runs' markers."""
    entries = [
        Line2D([], [], marker="o", ls="", c=figures.GREY, fillstyle="none", label="validation"),
        Line2D([], [], marker="o", ls="", c=figures.GREY, label="test"),
        Line2D([], [], ls="--", lw=0.9, c=figures.BLACK, label="front, validation"),
        Line2D([], [], ls="-", lw=0.9, c=figures.BLACK, label="front, test"),
    ]
    for index in range(len(stores) if len(stores) > 1 else 0):
        colour, marker = _look(index)
        name = f"run {_letter(index)}"
        entries.append(Line2D([], [], marker=marker, ls="", c=colour, label=name))
    return entries


def _listing(points: pd.DataFrame, stores: Sequence[RunStore]) -> list[str]:
    """Return the lines that say what the labels mean, the best of each run first."""
    lines = []
    for index, store in enumerate(stores):
        rows = points[points["run"] == index]
        if len(stores) > 1:
            nothing = "" if len(rows) else " (nothing finished yet)"
            lines.append(f"{_letter(index)}  {figures.describe(store)}{nothing}")
        shown = rows.head(max(3, _MOST_LISTED // len(stores)))
        lines += [_line(row) for _, row in shown.iterrows()]
        if len(rows) > len(shown):
            lines.append(f"      and {len(rows) - len(shown)} more")
    return lines


def _line(row: pd.Series) -> str:
    accuracies = [
        f"{name} {100 * row[f'{name}_accuracy']:6.2f} %"
        for name in ("val", "test")
        if pd.notna(row[f"{name}_accuracy"])
    ]
    cost = show_quantity(int(row["macs"]))
    return "  ".join([f"{row['label']:>4}", row["architecture"], f"{cost:>8}", *accuracies])


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the figure, print its path and return the exit code."""
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )
    try:
        stores = figures.open_runs(options.runs)
        print(figures.save(draw(stores), stores[0], "front", options.figure))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
