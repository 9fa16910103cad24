"""Short trainings: scores beside the accuracy of brief trainings."""

import pandas as pd
from matplotlib.axes import Axes

from raynas.reporting import plot_style


def draw_check(axes: Axes, checks: pd.DataFrame) -> None:
    """Draw validation accuracy against score.

    Args:
        axes: Where.
        checks: The table ``checks``; networks without both values are left out.
    """
    known = checks.dropna(subset=["val_accuracy", "score"])
    axes.scatter(known["score"], known["val_accuracy"], s=28, c=plot_style.BLUE, linewidths=0)
    axes.set_xlabel("Score")
    axes.set_ylabel("Validation accuracy (%)")
    plot_style.show_percent(axes.yaxis)
