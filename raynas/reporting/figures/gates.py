"""Differentiable searches: what the genotypes of their gates hold, epoch by epoch."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raynas.reporting import plot_style

MEASURES = {"skip_share": "Skip connections (%)", "path_depth": "Path depth (operations)"}
"""Ending of a column of the table ``search_epochs`` to what is written at its axis."""
_MOST_MARKERS = 10  # of a line


def draw_spread(axes: Axes, groups: Any, index: int, count: int, label: str = "") -> None:
    """Draw the mean of those seeds that have come to an epoch, and a band from least to most.

    Args:
        axes: Where.
        groups: Values of one measure, grouped by epoch.
        index: Of the line, which gives its look.
        count: How many lines there are; their markers take turns.
        label: What the legend calls it.
    """
    spread = groups.agg(["mean", "min", "max"]).dropna()
    colour, _ = plot_style.line_look(index)
    step = max(1, len(spread) // _MOST_MARKERS)
    axes.fill_between(
        spread.index,
        spread["min"],
        spread["max"],
        color=colour,
        alpha=0.15,
        linewidth=4 if len(spread) == 1 else 0,  # or a single epoch has no band that is seen
    )
    axes.plot(
        spread.index,
        spread["mean"],
        color=colour,
        linewidth=1.5,
        markersize=4.5,
        linestyle=plot_style.DASHES[index % len(plot_style.DASHES)],
        marker=plot_style.MARKERS[index % len(plot_style.MARKERS)],
        markevery=(index * step // count, step),
        label=label,
    )


def set_epochs(axes: Axes) -> None:
    """Label the horizontal axis, and let the vertical one begin below 0, or it hides what is 0."""
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])
