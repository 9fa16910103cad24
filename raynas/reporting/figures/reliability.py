"""Reliability diagrams: how often answers are right, by how confident they are."""

import numpy as np
from matplotlib.axes import Axes

from raynas.reporting import plot_style
from raynas.reporting.calibration_error import Reliability


def draw_reliability(axes: Axes, found: Reliability) -> None:
    """Draw the accuracy of each bin of confidences as a bar, and the line of honest confidences.

    Source: Guo et al. 2017, figure 1. A bar is as dark as its share of the images, so that bins of
    a few images do not catch the eye.

    Args:
        axes: Where.
        found: Answers in bins.
    """
    bins = len(found.images)
    edges = np.arange(bins) / bins
    share = found.images / max(int(found.images.max()), 1)
    for low, accuracy, weight in zip(edges, found.accuracy, share, strict=True):
        if np.isfinite(accuracy):
            axes.bar(
                low,
                accuracy,
                width=1 / bins,
                align="edge",
                color=plot_style.BLUE,
                alpha=0.25 + 0.75 * float(np.sqrt(weight)),
                linewidth=0,
            )
    axes.plot([0, 1], [0, 1], color=plot_style.VERMILION, linestyle="--", linewidth=1.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("Confidence (%)")
    axes.set_ylabel("Accuracy (%)")
    for axis in (axes.xaxis, axes.yaxis):
        plot_style.show_percent(axis)
