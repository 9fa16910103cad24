"""Accuracy against what networks cost: validation hollow, test filled, and both Pareto fronts."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from raynas.costs.costs import Kind, Limits
from raynas.reporting import plot_style
from raynas.reporting.queries import pareto

COST_COLUMNS: dict[Kind, str] = {"macs": "macs", "params": "params", "latency": "latency_ms"}
COST_LABELS: dict[Kind, str] = {
    "macs": "Multiply-adds of one image (MACs)",
    "params": "Parameters",
    "latency": "Latency by the run's table (ms)",
}
NO_LIMITS = Limits()
_MOST_LABELS = 40  # points; where there are more, those on a front alone are labelled


def draw_front(
    axes: Axes, points: pd.DataFrame, cost: Kind = "macs", limits: Limits = NO_LIMITS
) -> None:
    """Draw accuracy against one cost, with both fronts, labels at points, and the limits.

    Args:
        axes: Where.
        points: Finished rows of the table ``outcomes`` that have that cost, with a column
            ``label`` and, for several runs, ``run``: an index that gives colour and marker.
        cost: What the x-axis shows.
        limits: What the search had to keep.
    """
    column = COST_COLUMNS[cost]
    _draw_points(axes, points, column)
    for limit in near_limits(points, cost, limits):
        axes.axvline(limit, color=plot_style.GREY, linestyle=":", linewidth=1.2, zorder=0.6)
    fronts = _draw_fronts(axes, points, column)
    axes.set_xlabel(COST_LABELS[cost])
    axes.set_ylabel("Accuracy (%)")
    axes.margins(0.08)
    _draw_labels(axes, points if len(points) <= _MOST_LABELS else fronts, column)
    if cost != "latency":
        plot_style.show_quantities(axes.xaxis)
    plot_style.show_percent(axes.yaxis)


def run_look(run: int) -> tuple[str, str]:
    """Return colour and marker of the run with that index."""
    return (
        plot_style.PALETTE[run % len(plot_style.PALETTE)],
        plot_style.MARKERS[run % len(plot_style.MARKERS)],
    )


def near_limits(points: pd.DataFrame, cost: Kind, limits: Limits) -> list[float]:
    """Return the limits of one cost that can be drawn, in the unit of its column.

    One that lies further from the points than these do from each other is left out, for it would
    push them into a corner.
    """
    costs = points[COST_COLUMNS[cost]]
    room = max(costs.max() - costs.min(), 0.1 * costs.max())
    unit = 1e6 if cost == "latency" else 1  # nanoseconds of a millisecond
    given = (limits.least.get(cost), limits.most.get(cost))
    return [
        limit / unit
        for limit in given
        if limit is not None and costs.min() - room <= limit / unit <= costs.max() + room
    ]


def legend_entries(*, limited: bool = False) -> list[Line2D]:
    """Return what fillings and lines mean.

    Args:
        limited: Whether a limit is drawn.
    """
    grey, black = plot_style.GREY, plot_style.BLACK
    entries = [
        Line2D([], [], marker="o", ls="", c=grey, fillstyle="none", label="validation"),
        Line2D([], [], marker="o", ls="", c=grey, label="test"),
        Line2D([], [], ls="--", lw=0.9, c=black, label="front, validation"),
        Line2D([], [], ls="-", lw=0.9, c=black, label="front, test"),
    ]
    return [*entries, Line2D([], [], ls=":", lw=1.2, c=grey, label="limit")] if limited else entries


def _draw_points(axes: Axes, points: pd.DataFrame, column: str) -> None:
    """Draw validation and test of an architecture on one vertical line."""
    accuracies = ["val_accuracy", "test_accuracy"]
    lowest, highest = points[accuracies].min(axis=1), points[accuracies].max(axis=1)
    rasterized = len(points) > plot_style.MOST_VECTORS
    stems = axes.vlines(points[column], lowest, highest, color=plot_style.FAINT, linewidth=1)
    stems.set(zorder=0.7, rasterized=rasterized)
    for run, rows in points.groupby("run"):
        colour, marker = run_look(int(str(run)))
        for accuracy, filling in zip(accuracies, ("none", colour), strict=True):
            axes.scatter(
                rows[column],
                rows[accuracy],
                s=42,
                marker=marker,
                edgecolors=colour,
                c=filling,
                rasterized=rasterized,
            )


def _draw_fronts(axes: Axes, points: pd.DataFrame, column: str) -> pd.DataFrame:
    """Draw each front as stairs that go on to the right; return the points of both.

    A higher cost never hurts a front.
    """
    fronts = [pareto(points, accuracy, column) for accuracy in ("val_accuracy", "test_accuracy")]
    for front, accuracy, dashes in zip(
        fronts, ("val_accuracy", "test_accuracy"), ("--", "-"), strict=True
    ):
        axes.step(
            [*front[column], points[column].max()],
            [*front[accuracy], front[accuracy].max()],
            where="post",
            color=plot_style.BLACK,
            linestyle=dashes,
            linewidth=0.9,
            zorder=0.8,
        )
    return points.loc[fronts[0].index.union(fronts[1].index)]


def _draw_labels(axes: Axes, points: pd.DataFrame, column: str) -> None:
    """Write each label beside its point, on the side where it covers least."""
    axes.autoscale_view()
    figure = axes.get_figure(root=True)
    assert figure is not None
    panel = 72 * 0.8 * figure.get_size_inches()  # about the size of the panel, in points
    known = points.fillna({"test_accuracy": points["val_accuracy"]})
    validation, test = (
        axes.transLimits.transform(known[[column, accuracy]].to_numpy()) * panel
        for accuracy in ("val_accuracy", "test_accuracy")
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
            label,
            (side[0] / panel[0], side[1] / panel[1]),
            xycoords="axes fraction",
            ha="center",
            va="center",
            fontsize=8,
            path_effects=[Stroke(linewidth=2, foreground=plot_style.PAPER), Normal()],
        )
