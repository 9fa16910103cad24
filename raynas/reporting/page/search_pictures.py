"""Figures of the search: scores in their order, and what the self-check said of them."""

import numpy as np
import pandas as pd

from raynas.reporting.page.axes import spanning
from raynas.reporting.page.chart import Chart, key
from raynas.reporting.page.parts import Picture, half_picture, picture, sampled, share_tick

ORIGINS = ("random", "mutation", "crossover", "exact", "given")
"""In the order of their colours and markers; others share the last."""
_MOST_DOTS = 2000  # of a figure; more hide each other
_MOST_RULES = 60  # generations that are ruled off


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
            width,
            320,
            spanning(rows["order"], "Architecture, in the order of scoring", 0.02, is_whole=True),
            spanning(rows["score"], f"Score ({score})"),
        )
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
            width,
            300,
            spanning(known["score"], "Score"),
            spanning(known["val_accuracy"], "Validation accuracy (%)", show=share_tick),
        )
        chart.dots(known["score"], known["val_accuracy"], 0)
        return chart

    alt = f"Scatter plot of brief trainings' accuracy against the score, {len(known)} networks."
    return half_picture("Score against brief training", alt, verdict, draw)
