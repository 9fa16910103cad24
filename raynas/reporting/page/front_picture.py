"""The figure of the front: what networks cost, and how accurate they are."""

from typing import Any

import pandas as pd

from raynas.costs.costs import Kind, show_amount, show_limit
from raynas.reporting.page.axes import spanning
from raynas.reporting.page.chart import Chart, key
from raynas.reporting.page.parts import Picture, finite, percent, picture, share_tick
from raynas.reporting.queries import pareto

AXES: dict[Kind, str] = {
    "macs": "Multiply-adds of one image",
    "params": "Parameters",
    "latency": "Latency",
}
"""What is written at the axis of each cost."""
_COLUMNS = {"macs": ("macs", 1.0), "params": ("params", 1.0), "latency": ("latency_ms", 1e6)}
_MOST_NAMED = 12  # points that are all named, not those of the front alone
_MOST_TOLD = 100  # points that a pointer is told of
_LABEL_ROOM = 15  # pixels between labels of points
_LOG_FROM = 20  # ratio of the greatest to the least cost


def points_of(outcomes: list[dict[str, Any]], kind: Kind) -> pd.DataFrame:
    """Return the finished outcomes that have an accuracy and that cost, as column ``cost``.

    Latencies are in nanoseconds, as everywhere but in tables.
    """
    column, scale = _COLUMNS[kind]
    columns = ["rank", "architecture", column, "val_accuracy", "test_accuracy", "status"]
    rows = pd.DataFrame(outcomes, columns=columns).astype(
        {column: float, "val_accuracy": float, "test_accuracy": float}
    )
    rows = rows.assign(cost=scale * rows[column])
    return rows[rows["status"] == "finished"].dropna(subset=["cost", "val_accuracy"])


def front(points: pd.DataFrame, kind: Kind) -> Picture:
    """Draw accuracy against a cost; validation hollow, test filled.

    Args:
        points: As of ``points_of``.
        kind: The cost.
    """
    best, words = pareto(points, "val_accuracy", "cost"), AXES[kind]

    def draw(width: int) -> Chart:
        is_log = bool(points["cost"].max() > _LOG_FROM * points["cost"].min())
        chart = Chart(
            width,
            340,
            spanning(
                points["cost"],
                words,
                is_log=is_log,
                show=lambda value: show_limit(kind, round(value)),
            ),
            spanning(
                [*points["val_accuracy"], *finite(points["test_accuracy"])],
                "Accuracy (%)",
                margin=0.12,
                show=share_tick,
            ),
        )
        xs, ys = [*best["cost"], chart.x.high], [*best["val_accuracy"], best["val_accuracy"].max()]
        chart.stairs(xs, ys, "front")
        if len(points) > _MOST_TOLD:
            chart.dots(points["cost"], points["val_accuracy"], 0, "small")
        for title, rows in _named(points, kind):
            tested = rows.dropna(subset=["test_accuracy"])
            for row in tested.to_dict("records"):
                chart.line([row["cost"]] * 2, [row["val_accuracy"], row["test_accuracy"]], "stem")
            chart.dots(rows["cost"], rows["val_accuracy"], 0, "hollow", title)
            chart.dots(tested["cost"], tested["test_accuracy"], 0, "", title)
        _name_points(chart, points if len(points) <= _MOST_NAMED else best)
        return chart

    ends = best.iloc[[0, -1]] if len(best) > 1 else best
    told = " to ".join(
        f"{percent(row['val_accuracy'])} at {show_amount(kind, int(row['cost']))}"
        for row in ends.to_dict("records")
    )
    does = "lies" if len(best) == 1 else "lie"
    count = f"{len(best):,} of {len(points):,} trained networks {does} on the validation front"
    against = f"accuracy against {words[0].lower()}{words[1:]}"
    alt = f"Scatter plot of {against}. {count}: {told}."
    marks = [(key(0, "hollow"), "validation"), (key(0), "test")]
    if len(points) > _MOST_TOLD:
        marks = [(key(0, "small"), "validation")]
    told_line = "validation front: nothing as cheap is as accurate"
    legend = [*marks, (key(0, "front", is_line=True), told_line)]
    sentence = f"{count}: {told}. Numbers are ranks."
    return picture(f"{against[0].upper()}{against[1:]}", alt, sentence, draw, legend)


def _named(points: pd.DataFrame, kind: Kind) -> list[tuple[str, pd.DataFrame]]:
    """Return each point with what a pointer is told of it; none where there are too many."""
    if len(points) > _MOST_TOLD:
        return []
    found = []
    for index, row in enumerate(points.to_dict("records")):
        cost = show_amount(kind, int(row["cost"]))
        shares = f"validation {percent(row['val_accuracy'])}, test {percent(row['test_accuracy'])}"
        title = f"rank {row['rank']:.0f}: {row['architecture']}, {cost}, {shares}"
        found.append((title, points.iloc[index : index + 1]))
    return found


def _name_points(chart: Chart, points: pd.DataFrame) -> None:
    """Write the ranks above points, where there is room for them, the best first."""
    taken: list[tuple[float, float]] = []
    tops = points[["val_accuracy", "test_accuracy"]].max(axis=1)
    places = zip(chart.across(points["cost"]), chart.up(tops), points["rank"], strict=True)
    for x, y, rank in sorted(places, key=lambda place: place[2]):
        if all(abs(x - a) >= _LABEL_ROOM or abs(y - b) >= _LABEL_ROOM for a, b in taken):
            chart.write(float(x), float(y) - 9, f"{rank:.0f}", "name")
            taken.append((x, y))
