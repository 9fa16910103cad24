"""What each stage took, beside the range that was forecast."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from raynas.costs.costs import show_seconds
from raynas.reporting import plot_style
from raynas.storage.usage import StageUsage


def draw_times(
    axes: Axes, expected: Mapping[str, StageUsage], seconds: Mapping[str, float]
) -> None:
    """Draw a row a stage: a bar from the low to the high forecast, and what it took.

    Args:
        axes: Where.
        expected: Stage to what was forecast.
        seconds: Stage to what it took, for those that have ended.
    """
    rows = {stage: row for row, stage in enumerate(expected)}
    lows, highs = zip(*(of.range_seconds for of in expected.values()), strict=True)
    axes.barh(
        list(rows.values()),
        [high - low for low, high in zip(lows, highs, strict=True)],
        left=lows,
        height=0.4,
        color=plot_style.SKY,
        alpha=0.5,
        label="forecast range",
    )
    middles = [of.seconds for of in expected.values()]
    look: dict[str, Any] = {"linestyle": "none", "markersize": 7}
    axes.plot(
        middles,
        list(rows.values()),
        marker="s",
        fillstyle="none",
        color=plot_style.BLUE,
        label="forecast",
        **look,
    )
    axes.plot(
        [seconds[stage] for stage in rows if stage in seconds],
        [row for stage, row in rows.items() if stage in seconds],
        marker="D",
        color=plot_style.VERMILION,
        label="taken",
        **look,
    )
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("Time")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show_seconds(value)))
