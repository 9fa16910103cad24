"""Dynamical isometry before training: the gain of each candidate, layer by layer."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from raynas.reporting import plot_style
from raynas.reporting.queries import isometry_by_layer

LOOKS = ((plot_style.BLUE, "o", -0.14), (plot_style.VERMILION, "^", 0.14))
"""Colour, marker and shift of the run's own weights, then of Gaussian ones."""


def draw_gains(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw phi, the mean squared singular value of a candidate's Jacobian, without unit.

    Args:
        axes: Where; the vertical axis is logarithmic.
        rows: What ``raynas.reporting.queries.measured_candidates`` returns; the two panels of a
            run take its rows with and without batch norms.
    """
    for index, (name, group) in enumerate(rows.groupby("initialisation", sort=False)):
        colour, marker, shift = LOOKS[index % len(LOOKS)]
        spread = isometry_by_layer(group)["spread"].max()
        axes.scatter(
            group["layer"] + shift,
            group["phi"],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=f"{name}, spread up to {spread:.3f}",
        )
    axes.axhline(1, color=plot_style.GREY, linewidth=0.8, zorder=0)
    axes.set_xlabel("Layer")
    axes.set_ylabel("phi of a candidate")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(LogFormatter())  # 2 and 3 where there is one power of ten
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
