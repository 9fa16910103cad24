"""Accuracy against what networks cost: validation hollow, test filled, and both Pareto fronts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from raynas.costs.costs import Kind, Limits
from raynas.reporting import plot_style
from raynas.reporting.queries import pareto
from raynas.storage.rival_names import RANDOM, shown_rival

COST_COLUMNS: dict[Kind, str] = {"macs": "macs", "params": "params", "latency": "latency_ms"}
COST_LABELS: dict[Kind, str] = {
    "macs": "Multiply-adds of one image (MACs)",
    "params": "Parameters",
    "latency": "Latency by the run's table (ms)",
}
NO_LIMITS = Limits()
_RIVAL_LOOK = plot_style.GREY, "X"  # colour and marker
_ACCURACIES = ["val_accuracy", "test_accuracy"]
_COLUMNS = [*COST_COLUMNS.values(), *_ACCURACIES]
_MOST_LABELS = 40  # points; where there are more, those on a front alone are labelled


def rivals_to_draw(rivals: Sequence[Mapping[str, Any]], cost: Kind) -> pd.DataFrame:
    """Return the networks that nobody searched for, with their names as column ``label``.

    Args:
        rivals: Rows of the table ``rivals``; those that were not trained to their end, or have no
            accuracy or not that cost, are left out.
        cost: What the x-axis shows.
    """
    finished = [row for row in rivals if row["status"] == "finished"]
    points = pd.DataFrame(finished, columns=_COLUMNS).astype(dict.fromkeys(_COLUMNS, float))
    names = [
        RANDOM if row["rival"] == RANDOM else shown_rival(row["rival"], row["network"])
        for row in finished
    ]
    return points.assign(label=names).dropna(subset=[COST_COLUMNS[cost], "val_accuracy"])


def with_rivals(points: pd.DataFrame, rivals: pd.DataFrame | None) -> pd.DataFrame:
    """Return all that is drawn."""
    given = [points] if rivals is None or rivals.empty else [points, rivals]
    return pd.concat(given, ignore_index=True)


def draw_front(
    axes: Axes,
    points: pd.DataFrame,
    cost: Kind = "macs",
    limits: Limits = NO_LIMITS,
    rivals: pd.DataFrame | None = None,
) -> None:
    """Draw accuracy against one cost, with both fronts, labels at points, and the limits.

    Args:
        axes: Where.
        points: Finished rows of the table ``outcomes`` that have that cost, with a column
            ``label`` and, for several runs, ``run``: an index that gives colour and marker.
        cost: What the x-axis shows.
        limits: What the search had to keep.
        rivals: As of ``rivals_to_draw``: crosses, which no front counts.
    """
    column = COST_COLUMNS[cost]
    known = with_rivals(points, rivals)
    _draw_points(axes, points, column)
    if rivals is not None and len(rivals):
        _draw_stems(axes, rivals, column)
        _draw_accuracies(axes, rivals, column, _RIVAL_LOOK)
    for limit in near_limits(known, cost, limits):
        axes.axvline(limit, color=plot_style.GREY, linestyle=":", linewidth=1.2, zorder=0.6)
    fronts = _draw_fronts(axes, points, column)
    axes.set_xlabel(COST_LABELS[cost])
    axes.set_ylabel("Accuracy (%)")
    axes.margins(0.12 if len(known) > len(points) else 0.08)  # names of rivals are long
    _draw_labels(axes, known if len(known) <= _MOST_LABELS else fronts, column)
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


def legend_entries(*, limited: bool = False, rivals: bool = False) -> list[Line2D]:
    """Return what fillings, lines and crosses mean.

    Args:
        limited: Whether a limit is drawn.
        rivals: Whether rivals are.
    """
    grey, black = plot_style.GREY, plot_style.BLACK
    entries = [
        Line2D([], [], marker="o", ls="", c=grey, fillstyle="none", label="validation"),
        Line2D([], [], marker="o", ls="", c=grey, label="test"),
        Line2D([], [], ls="--", lw=0.9, c=black, label="front, validation"),
        Line2D([], [], ls="-", lw=0.9, c=black, label="front, test"),
    ]
    colour, marker = _RIVAL_LOOK
    beside = [Line2D([], [], marker=marker, ls="", c=colour, label="not searched for")]
    limit = [Line2D([], [], ls=":", lw=1.2, c=grey, label="limit")]
    return [*entries, *(beside if rivals else []), *(limit if limited else [])]


def _draw_points(axes: Axes, points: pd.DataFrame, column: str) -> None:
    """Draw validation and test of an architecture on one vertical line."""
    _draw_stems(axes, points, column)
    for run, rows in points.groupby("run"):
        _draw_accuracies(axes, rows, column, run_look(int(str(run))))


def _draw_stems(axes: Axes, points: pd.DataFrame, column: str) -> None:
    lowest, highest = points[_ACCURACIES].min(axis=1), points[_ACCURACIES].max(axis=1)
    stems = axes.vlines(points[column], lowest, highest, color=plot_style.FAINT, linewidth=1)
    stems.set(zorder=0.7, rasterized=len(points) > plot_style.MOST_VECTORS)


def _draw_accuracies(axes: Axes, points: pd.DataFrame, column: str, look: tuple[str, str]) -> None:
    colour, marker = look
    for accuracy, filling in zip(_ACCURACIES, ("none", colour), strict=True):
        axes.scatter(
            points[column],
            points[accuracy],
            s=42,
            marker=marker,
            edgecolors=colour,
            c=filling,
            rasterized=len(points) > plot_style.MOST_VECTORS,
        )


def _draw_fronts(axes: Axes, points: pd.DataFrame, column: str) -> pd.DataFrame:
    """Draw each front as stairs that go on to the right; return the points of both.

    A higher cost never hurts a front.
    """
    fronts = [pareto(points, accuracy, column) for accuracy in _ACCURACIES]
    for front, accuracy, dashes in zip(fronts, _ACCURACIES, ("--", "-"), strict=True):
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
        for accuracy in _ACCURACIES
    )
    taken = np.concatenate([validation, test])
    for label, *ends in zip(points["label"], validation, test, strict=True):
        (x, low), (_, high) = sorted(ends, key=lambda end: float(end[1]))
        box = np.array([4 + 5.5 * len(label), 9.0])  # points that a label needs
        middle = float(np.clip(x, box[0] / 2, panel[0] - box[0] / 2))  # within the panel
        sides = [(middle, high + 10), (middle, low - 10), (x + box[0], high), (x - box[0], high)]
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
