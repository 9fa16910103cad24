"""Figures of the search: scores in their order, and what short trainings said of them."""

import numpy as np
import pandas as pd

from raynas.reporting.figures.check import draw_check
from raynas.reporting.figures.history import draw_history
from raynas.reporting.page.embedding import PageFigure, page_figure


def history(scored: pd.DataFrame, score: str) -> PageFigure:
    """Return the score of architectures in the order of scoring, by origin, and the best so far."""
    rows = scored[np.isfinite(scored["score"])]
    best = rows.loc[rows["score"].idxmax()]
    rounds = rows["generation"].nunique()
    told = (
        f"{len(rows):,} architectures in {rounds} generation{'s' * (rounds != 1)}; the best score, "
        f"{best['score']:.4f}, came as number {best['order'] + 1:,}"
    )
    alt = f"Scatter plot of scores over the search: {told}."
    return page_figure(
        "Scores over the search",
        alt,
        f"{told}.",
        lambda axes: draw_history(axes, rows, score),
        height=3.4,
    )


def check(rows: pd.DataFrame, verdict: str) -> PageFigure:
    """Return what brief trainings said of the score."""
    count = len(rows.dropna(subset=["val_accuracy", "score"]))
    alt = f"Scatter plot of brief trainings' accuracy against the score, {count} networks."
    return page_figure(
        "Score against brief training",
        alt,
        verdict,
        lambda axes: draw_check(axes, rows),
        is_half=True,
    )
