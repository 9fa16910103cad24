"""Theorem 1 as measured: inner products behind batch norms, beside what is expected of them."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raynas.reporting import plot_style


def draw_slopes(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw observed over expected inner products of each batch norm, layer by layer.

    Args:
        axes: Where.
        rows: As ``raynas.storage.schemas_beside_runs`` has them.
    """
    for place, (name, colour, marker, group) in enumerate(_kinds(rows)):
        shifted = group["layer"] + (place - 0.5) * 0.28
        axes.scatter(
            shifted,
            group["slope"],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=name,
        )
    axes.axhline(1, color=plot_style.GREY, linewidth=0.8, zorder=0)
    axes.set_xlabel("Layer")
    axes.set_ylabel("Inner products, observed over expected")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_differences(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the difference of observed and expected against its threshold, both logarithmic.

    Args:
        axes: Where.
        rows: As for ``draw_slopes``.
    """
    for name, colour, marker, group in _kinds(rows):
        axes.scatter(
            group["threshold"],
            group["difference"],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=name,
        )
    far = float(rows["threshold"].max())
    axes.axline((far, far), slope=1, color=plot_style.GREY, linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Threshold that one pair in twenty may exceed")
    axes.set_ylabel("Difference of observed and expected")


def _kinds(rows: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yield name, colour, marker and rows of both kinds of filters."""
    depthwise = rows["groups"] > 1
    yield "dense filters", plot_style.BLUE, "o", rows[~depthwise]
    yield "depthwise filters", plot_style.VERMILION, "^", rows[depthwise]
