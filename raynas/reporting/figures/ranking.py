"""How scores of networks lie beside their true accuracies: one panel's points."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.ticker import FixedLocator, NullLocator

from raynas.reporting.plot_style import BLUE

Array = npt.NDArray[np.float64]
_TICKS = (10, 20, 30, 40, 50, 55, 60, 65, 70, 80, 85, 90, 92, 93, 94, 95, 96, 97, 98, 99)  # percent


def draw_scores(
    axes: Axes, scores: Array, accuracy: Array, depth: Array | None, norm: BoundaryNorm | None
) -> None:
    """Draw one run's networks; the axis of accuracy spreads by the logarithm of the error.

    Args:
        axes: The panel.
        scores: Of the networks.
        accuracy: Of the networks, in percent.
        depth: Of the networks, which is their colour; None: nobody knows it.
        norm: Of depths to colours.
    """
    axes.scatter(
        scores,
        accuracy,
        c=BLUE if depth is None else depth,
        s=9,
        cmap=None if depth is None else "viridis",
        norm=None if depth is None else norm,
        alpha=0.8,
        linewidths=0,
        rasterized=True,
    )
    axes.set_yscale(
        "function",
        functions=(
            lambda accuracy: -np.log(np.maximum(100 - accuracy, 0.05)),
            lambda height: 100 - np.exp(-height),
        ),
    )
    low, high = accuracy.min(), accuracy.max()
    if len(ticks := [tick for tick in _TICKS if low <= tick <= high]) > 1:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Score")
