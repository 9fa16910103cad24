"""The figure of the front: what networks cost, and how accurate they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from raynas.costs.costs import Kind, Limits, show_amount
from raynas.reporting.figures.front import (
    COST_COLUMNS,
    NO_LIMITS,
    draw_front,
    legend_entries,
    near_limits,
    rivals_to_draw,
    with_rivals,
)
from raynas.reporting.page.embedding import PageFigure, page_figure
from raynas.reporting.page.parts import percent
from raynas.reporting.queries import pareto

COST_NAMES: dict[Kind, str] = {
    "macs": "Multiply-adds of one image",
    "params": "Parameters",
    "latency": "Latency",
}
"""What each cost is called."""
_NANOSECONDS = 1e6  # of a millisecond


def points_of(outcomes: list[dict[str, Any]], kind: Kind) -> pd.DataFrame:
    """Return the finished outcomes that have an accuracy and that cost, as column ``cost``.

    There latencies are in nanoseconds, as everywhere but in tables.
    """
    column = COST_COLUMNS[kind]
    columns = ["rank", "architecture", column, "val_accuracy", "test_accuracy", "status"]
    rows = pd.DataFrame(outcomes, columns=columns).astype(
        {column: float, "val_accuracy": float, "test_accuracy": float}
    )
    rows = rows[rows["status"] == "finished"].dropna(subset=[column, "val_accuracy"])
    return rows.assign(
        cost=rows[column] * (_NANOSECONDS if kind == "latency" else 1),
        label=[f"{rank:.0f}" for rank in rows["rank"]],
        run=0,
    )


def front(
    points: pd.DataFrame,
    kind: Kind,
    limits: Limits = NO_LIMITS,
    rivals: Sequence[Mapping[str, Any]] = (),
) -> PageFigure:
    """Return accuracy against a cost.

    Args:
        points: As of ``points_of``.
        kind: The cost.
        limits: What the search had to keep.
        rivals: Rows of the table ``rivals``.
    """
    beside = rivals_to_draw(rivals, kind)
    known = with_rivals(points, beside)
    best, words = pareto(points, "val_accuracy", "cost"), COST_NAMES[kind]
    ends = best.iloc[[0, -1]] if len(best) > 1 else best
    told = " to ".join(
        f"{percent(row['val_accuracy'])} at {show_amount(kind, int(row['cost']))}"
        for row in ends.to_dict("records")
    )
    does = "lies" if len(best) == 1 else "lie"
    count = f"{len(best):,} of {len(points):,} trained networks {does} on the validation front"
    limited = "".join(f" The search kept {words}." for words in limits.only([kind]).words)
    crosses = " Crosses are networks that nobody searched for." if len(beside) else ""
    against = f"accuracy against {words[0].lower()}{words[1:]}"
    return page_figure(
        f"{against[0].upper()}{against[1:]}",
        f"Scatter plot of {against}. {count}: {told}.",
        f"{count}: {told}. Numbers are ranks; on a front is what nothing as cheap equals."
        f"{crosses}{limited}",
        lambda axes: draw_front(axes, points, kind, limits, beside),
        entries=legend_entries(
            limited=bool(near_limits(known, kind, limits)), rivals=bool(len(beside))
        ),
        height=3.6,
    )
