"""Figures of what the search found: its history, the front of cost and accuracy, the self-check."""

from typing import Any

import numpy as np
import pandas as pd

from raynas.costs import show_quantity
from raynas.page.axes import spanning
from raynas.page.chart import Chart, key
from raynas.page.parts import Picture, finite, half_picture, percent, picture, sampled
from raynas.readings import pareto

ORIGINS = ("random", "mutation", "crossover", "exact", "given")
"""In the order of their colours and markers; others share the last."""
_MOST_DOTS = 2000  # of a figure; more hide each other
_MOST_RULES = 60  # generations that are ruled off
_MOST_NAMED = 12  # points that are all named, not those of the front alone
_MOST_TOLD = 100  # points that a pointer is told of
_LABEL_ROOM = 15  # pixels between labels of points
_LOG_FROM = 20  # ratio of the greatest to the least cost


def points_of(outcomes: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the finished outcomes that have costs and an accuracy."""
    columns = ["rank", "architecture", "macs", "val_accuracy", "test_accuracy", "status"]
    rows = pd.DataFrame(outcomes, columns=columns).astype(
        {"macs": float, "val_accuracy": float, "test_accuracy": float}
    )
    return rows[rows["status"] == "finished"].dropna(subset=["macs", "val_accuracy"])


def front(points: pd.DataFrame) -> Picture:
    """Draw accuracy against multiply-adds; validation hollow, test filled."""
    best = pareto(points, "val_accuracy")

    def draw(width: int) -> Chart:
        is_log = bool(points["macs"].max() > _LOG_FROM * points["macs"].min())
        chart = Chart(
            width, 340,
            spanning(points["macs"], "Multiply-adds of one image", is_log=is_log,
                     show=lambda value: show_quantity(round(value))),
            spanning([*points["val_accuracy"], *finite(points["test_accuracy"])],
                     "Accuracy (%)", margin=0.12, show=_share_tick),
        )  # fmt: skip
        xs, ys = [*best["macs"], chart.x.high], [*best["val_accuracy"], best["val_accuracy"].max()]
        chart.stairs(xs, ys, "front")
        if len(points) > _MOST_TOLD:
            chart.dots(points["macs"], points["val_accuracy"], 0, "small")
        for title, rows in _named(points):
            tested = rows.dropna(subset=["test_accuracy"])
            for row in tested.to_dict("records"):
                chart.line([row["macs"]] * 2, [row["val_accuracy"], row["test_accuracy"]], "stem")
            chart.dots(rows["macs"], rows["val_accuracy"], 0, "hollow", title)
            chart.dots(tested["macs"], tested["test_accuracy"], 0, "", title)
        _name_points(chart, points if len(points) <= _MOST_NAMED else best)
        return chart

    ends = best.iloc[[0, -1]] if len(best) > 1 else best
    told = " to ".join(
        f"{percent(row['val_accuracy'])} at {show_quantity(int(row['macs']))}"
        for row in ends.to_dict("records")
    )
    does = "lies" if len(best) == 1 else "lie"
    count = f"{len(best):,} of {len(points):,} trained networks {does} on the validation front"
    alt = f"Scatter plot of accuracy against multiply-adds. {count}: {told} multiply-adds."
    marks = [(key(0, "hollow"), "validation"), (key(0), "test")]
    if len(points) > _MOST_TOLD:
        marks = [(key(0, "small"), "validation")]
    told_line = "validation front: nothing as cheap is as accurate"
    legend = [*marks, (key(0, "front", is_line=True), told_line)]
    sentence = f"{count}: {told} MACs. Numbers are ranks."
    return picture("Accuracy against multiply-adds", alt, sentence, draw, legend)


def _named(points: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each point with what a pointer is told of it; none where there are too many."""
    if len(points) > _MOST_TOLD:
        return []
    found = []
    for index, row in enumerate(points.to_dict("records")):
        cost = show_quantity(int(row["macs"]))
        shares = f"validation {percent(row['val_accuracy'])}, test {percent(row['test_accuracy'])}"
        title = f"rank {row['rank']:.0f}: {row['architecture']}, {cost} MACs, {shares}"
        found.append((title, points.iloc[index : index + 1]))
    return found


def _share_tick(value: float) -> str:
    return f"{100 * value:.4g}"


def _name_points(chart: Chart, points: pd.DataFrame) -> None:
    """Write the ranks above points, where there is room for them, the best first."""
    taken: list[tuple[float, float]] = []
    tops = points[["val_accuracy", "test_accuracy"]].max(axis=1)
    places = zip(chart.across(points["macs"]), chart.up(tops), points["rank"], strict=True)
    for x, y, rank in sorted(places, key=lambda place: place[2]):
        if all(abs(x - a) >= _LABEL_ROOM or abs(y - b) >= _LABEL_ROOM for a, b in taken):
            chart.write(float(x), float(y) - 9, f"{rank:.0f}", "name")
            taken.append((x, y))


def history(scored: pd.DataFrame, score: str) -> Picture:
    """Draw the score of architectures in the order of scoring, by origin, and the best so far."""
    rows = scored[np.isfinite(scored["score"])].reset_index(drop=True)
    shown = rows.iloc[sampled(len(rows), _MOST_DOTS)]
    best = rows["score"].cummax()
    rises = rows[best > best.shift(fill_value=-np.inf)]
    firsts = rows.groupby("generation")["order"].min().iloc[1:]
    origins = [name for name in ORIGINS if name in set(rows["origin"])]
    origins += sorted(set(rows["origin"].dropna()) - set(ORIGINS))

    def draw(width: int) -> Chart:
        chart = Chart(
            width, 320,
            spanning(rows["order"], "Architecture, in the order of scoring", 0.02, is_whole=True),
            spanning(rows["score"], f"Score ({score})"),
        )  # fmt: skip
        for order in firsts if len(firsts) <= _MOST_RULES else ():
            chart.rule("grid", x=order - 0.5)
        for origin in origins:
            group = shown[shown["origin"] == origin]
            chart.dots(group["order"], group["score"], _series(origin), "small")
        steps = ([*rises["order"], rows["order"].iloc[-1]], [*rises["score"], best.iloc[-1]])
        chart.stairs(*steps, "best")
        return chart

    last = rises.iloc[-1]
    rounds = rows["generation"].nunique()
    told = (
        f"{len(rows):,} architectures in {rounds} generation{'s' * (rounds != 1)}; the best score, "
        f"{last['score']:.4f}, came as number {last['order'] + 1:,}"
    )
    drawn = f" {len(shown):,} of them are drawn, evenly spread." if len(shown) < len(rows) else ""
    legend = [(key(_series(origin), "small"), str(origin)) for origin in origins]
    legend.append((key(0, "best", is_line=True), "best so far"))
    alt = f"Scatter plot of scores over the search: {told}."
    return picture("Scores over the search", alt, f"{told}.{drawn}", draw, legend)


def _series(origin: str) -> int:
    return ORIGINS.index(origin) if origin in ORIGINS else len(ORIGINS)


def check(rows: pd.DataFrame, verdict: str) -> Picture:
    """Draw what brief trainings said of the score."""
    known = rows.dropna(subset=["val_accuracy", "score"])

    def draw(width: int) -> Chart:
        chart = Chart(
            width, 300,
            spanning(known["score"], "Score"),
            spanning(known["val_accuracy"], "Validation accuracy (%)", show=_share_tick),
        )  # fmt: skip
        chart.dots(known["score"], known["val_accuracy"], 0)
        return chart

    alt = f"Scatter plot of brief trainings' accuracy against the score, {len(known)} networks."
    return half_picture("Score against brief training", alt, verdict, draw)
