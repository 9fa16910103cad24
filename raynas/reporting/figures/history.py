"""The search: the score of every architecture in the order of scoring, by origin."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raynas.reporting import plot_style

ORIGINS = {
    "random": (plot_style.GREY, "o"),
    "mutation": (plot_style.BLUE, "^"),
    "crossover": (plot_style.VERMILION, "s"),
    "exact": (plot_style.GREEN, "D"),
    "given": (plot_style.PURPLE, "P"),
    "differentiable": (plot_style.ORANGE, "v"),
}
"""Origin to colour and marker."""
_LABELS_PER_INCH = 2.5  # generations that are numbered before every other one is left out


def draw_history(axes: Axes, scored: pd.DataFrame, score: str) -> None:
    """Draw a dot for each scored architecture, and the best score so far.

    Args:
        axes: Where.
        scored: The table ``architectures``, in any order; scores that are not finite are left out.
        score: What the score is.
    """
    rows = scored[np.isfinite(scored["score"])].sort_values("order")
    _draw_generations(axes, rows)
    for origin, group in rows.groupby("origin", sort=False):
        colour, marker = ORIGINS.get(str(origin), (plot_style.BLACK, "x"))
        axes.scatter(
            group["order"],
            group["score"],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0 if marker != "x" else 1,
            label=str(origin),
            rasterized=len(rows) > plot_style.MOST_VECTORS,
        )
    axes.step(
        rows["order"],
        rows["score"].cummax(),
        where="post",
        color=plot_style.BLACK,
        linewidth=1.4,
        label="best so far",
    )
    axes.set_xlabel("Architecture, in the order of scoring")
    axes.set_ylabel(f"Score ({score}), higher is better")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.margins(x=0.01)


def _draw_generations(axes: Axes, rows: pd.DataFrame) -> None:
    """Rule off the generations and number them along the upper edge."""
    firsts = rows.groupby("generation")["order"].min()
    if len(firsts) < 2:
        return
    for first in firsts.iloc[1:]:
        axes.axvline(first - 0.5, color=plot_style.FAINT, linewidth=0.8, zorder=0)
    axes.grid(visible=False, axis="x")
    figure = axes.get_figure(root=True)
    assert figure is not None
    most = int(_LABELS_PER_INCH * figure.get_size_inches()[0])
    medians = rows.groupby("generation")["order"].median()
    middles = medians.iloc[:: 1 + (len(firsts) - 1) // most]
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(middles.tolist(), [str(int(generation)) for generation in middles.index])
    upper.tick_params(length=0, labelsize=8, labelcolor=plot_style.GREY)
    upper.spines["top"].set_visible(False)
    upper.set_xlabel("Generation", fontsize=8, color=plot_style.GREY)
