"""Training: the supernet's loss by step, and losses and accuracies of networks by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raynas.reporting import plot_style

TRIAL_LABELS = {
    "train_loss": "Training loss (nats)",
    "val_loss": "Validation loss (nats)",
    "val_accuracy": "Validation accuracy (%)",
}
"""What is written at the axis of each column of the table ``trials``."""
_MOST_MARKERS = 8  # of a line


def draw_pretraining(axes: Axes, steps: pd.DataFrame) -> Axes:
    """Draw every step's loss, its running mean and, faintly, the learning rate.

    Args:
        axes: Where.
        steps: The table ``steps``, in the order of steps.

    Returns:
        The axes of the learning rate, which lie above the others.
    """
    window = max(1, len(steps) // 50)
    smooth = steps["loss"].rolling(window, center=True, min_periods=1).mean()
    axes.plot(
        steps["step"],
        steps["loss"],
        color=plot_style.SKY,
        linewidth=0.6,
        alpha=0.5,
        label="every step",
        rasterized=True,
    )
    axes.plot(
        steps["step"], smooth, color=plot_style.BLUE, linewidth=1.8, label=f"mean of {window} steps"
    )
    axes.set_xlabel("Step")
    axes.set_ylabel("Training loss (nats)")
    axes.margins(x=0.01)
    return draw_rate(axes, steps["step"], steps["learning_rate"])


def draw_rate(axes: Axes, x: pd.Series, rate: pd.Series) -> Axes:
    """Draw the learning rate faintly against axes of its own, and return them."""
    twin = axes.twinx()
    twin.plot(x, rate, color=plot_style.GREY, linewidth=1, alpha=0.45, label="learning rate")
    twin.set_ylabel("Learning rate", color=plot_style.GREY)
    twin.tick_params(colors=plot_style.GREY)
    twin.set_ylim(bottom=0)
    twin.grid(visible=False)
    return twin


def order_trials(trials: pd.DataFrame, ranks: Mapping[str, int]) -> list[str]:
    """Return the architectures by rank; those without one follow, the most accurate first."""
    best = trials.groupby("architecture")["val_accuracy"].max().sort_values(ascending=False)
    return sorted(map(str, best.index), key=lambda name: ranks.get(name, len(best) + 1))


def trial_look(place: int) -> tuple[str, str]:
    """Return colour and marker of the architecture at that place; beyond the palette grey."""
    if place < len(plot_style.PALETTE):
        return plot_style.PALETTE[place], plot_style.MARKERS[place]
    return plot_style.FAINT, "."


def trial_entry(place: int, label: str) -> Line2D:
    """Return the legend's entry of the architecture at that place."""
    colour, marker = trial_look(place)
    return Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=2, label=label)


def draw_trials(
    axes: Axes, trials: pd.DataFrame, order: list[str], column: str, dashes: plot_style.Dashes = "-"
) -> None:
    """Draw a line for each training, the best architectures in colours and on top.

    Args:
        axes: Where.
        trials: The table ``trials``.
        order: Architectures, the best first; as many as the palette has are coloured.
        column: What is drawn, one of ``TRIAL_LABELS``.
        dashes: Of the lines.
    """
    groups = {str(name): rows for name, rows in trials.groupby("architecture")}
    for place, architecture in reversed(list(enumerate(order))):
        colour, marker = trial_look(place)
        for _, trial in groups[architecture].sort_values("epoch").groupby("trial"):
            step = max(1, len(trial) // _MOST_MARKERS)
            axes.plot(
                trial["epoch"],
                trial[column],
                color=colour,
                linestyle=dashes,
                linewidth=1.4,
                marker=marker,
                markersize=4.5 if marker != "." else 3,
                markevery=(place * step // len(plot_style.PALETTE) % step, step),
                rasterized=marker == "." and len(order) > plot_style.MOST_VECTORS,
            )
    axes.set_xlabel("Epoch")
    axes.set_ylabel(TRIAL_LABELS[column])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if column == "val_accuracy":
        plot_style.show_percent(axes.yaxis)
