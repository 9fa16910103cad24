"""Draw the training: the supernet's loss by step, and every retrained network by epoch.

    python analysis/curves.py RUN

Losses are cross-entropies in nats, accuracies percentages of the validation images. The
learning rate is the faint line against the right-hand axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script


@dataclass(frozen=True)
class Options:
    """Loss of pretraining by step; losses and accuracy of retraining by epoch."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


@plot_style.drawing
def draw(store: RunStore) -> Figure:
    """Return a figure of what there is: pretraining above, retraining below.

    Raises:
        UserError: The run has recorded neither.
    """
    steps, trials = store.table("steps").to_pandas(), store.table("trials").to_pandas()
    if steps.empty and trials.empty:
        raise UserError(
            f"run folder {store.uri}: no rows in tables steps and trials yet; pretraining and "
            "retraining write them"
        )
    heights = [3.0] * (not steps.empty) + [3.8] * (not trials.empty)
    figure = Figure(figsize=(9, 0.3 + sum(heights)), layout="constrained")
    figure.suptitle(plot_style.describe(store), x=0.01, ha="left", fontsize=10)
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    if not steps.empty:
        _draw_steps(figure.add_subplot(grid[0, :]), steps.sort_values("step"))
    if not trials.empty:
        loss, accuracy = (figure.add_subplot(grid[-1, column]) for column in range(2))
        ranks = _ranks(store)
        names = _draw_trials(loss, accuracy, trials, ranks)
        figure.legend(
            [Line2D([], [], color=colour, linewidth=2) for colour in names.values()],
            names.keys(),
            title="Rank and architecture",
            alignment="left",
            loc="outside lower left",
            ncols=1 + (max(map(len, names)) < 45),
            prop={"family": plot_style.MONOSPACE, "size": 8},
        )
    return figure


def _draw_steps(axes: Axes, steps: pd.DataFrame) -> None:
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
    rate = _draw_rate(axes, steps["step"], steps["learning_rate"])
    axes.set_title("Pretraining of the supernet")
    axes.set_xlabel("Step")
    axes.set_ylabel("Training loss (nats)")
    entries = [*axes.lines, *rate.lines]
    axes.legend(handles=entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderpad=0)
    axes.margins(x=0.01)


def _draw_rate(axes: Axes, x: pd.Series, rate: pd.Series) -> Axes:
    """Draw the learning rate faintly against axes of its own, which lie above the others."""
    twin = axes.twinx()
    twin.plot(x, rate, color=plot_style.GREY, linewidth=1, alpha=0.45, label="learning rate")
    twin.set_ylabel("Learning rate", color=plot_style.GREY)
    twin.tick_params(colors=plot_style.GREY)
    twin.set_ylim(bottom=0)
    twin.grid(visible=False)
    return twin


def _ranks(store: RunStore) -> dict[str, int]:
    """Return the rank of every architecture that has one already."""
    return {row["architecture"]: row["rank"] for row in store.rows("outcomes") if row["rank"]}


def _draw_trials(
    loss: Axes, accuracy: Axes, trials: pd.DataFrame, ranks: dict[str, int]
) -> dict[str, str]:
    """Draw the best architectures in colours, the others in grey; return name to colour."""
    best = trials.groupby("architecture")["val_accuracy"].max().sort_values(ascending=False)
    order = sorted(map(str, best.index), key=lambda text: ranks.get(text, len(best) + 1))
    looks = dict(zip(order, plot_style.PALETTE, strict=False))
    for architecture in reversed(order):  # the best on top
        rows = trials[trials["architecture"] == architecture].sort_values("epoch")
        for _, trial in rows.groupby("trial"):
            _draw_trial(loss, accuracy, trial, looks.get(architecture, plot_style.FAINT))
    rate = _draw_rate(loss, *_longest(trials))
    _label(loss, "Loss (nats)", "Retraining: loss")
    _label(accuracy, "Validation accuracy (%)", "Retraining: validation accuracy")
    plot_style.show_percent(accuracy.yaxis)
    lines = [Line2D([], [], color=plot_style.GREY, linestyle=dashes) for dashes in ("-", "--")]
    entries = ["validation", "training", "learning rate"]
    rate.legend([*lines, *rate.lines], entries, loc="upper right", frameon=True, edgecolor="none")
    names = {f"{ranks.get(text, '-'):>2}  {text}": colour for text, colour in looks.items()}
    if others := len(order) - len(looks):
        names[f"    {others} more"] = plot_style.FAINT
    return names


def _draw_trial(loss: Axes, accuracy: Axes, trial: pd.DataFrame, colour: str) -> None:
    """Draw one trial; markers show one that has a single epoch so far."""
    for axes, column, dashes in (
        (loss, "train_loss", "--"),
        (loss, "val_loss", "-"),
        (accuracy, "val_accuracy", "-"),
    ):
        axes.plot(
            trial["epoch"],
            trial[column],
            color=colour,
            linestyle=dashes,
            linewidth=1.4,
            marker=".",
            markersize=3,
        )


def _longest(trials: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return epochs and learning rates of the trial that came farthest; all share a schedule."""
    farthest = trials.sort_values("epoch")["trial"].iloc[-1]
    trial = trials[trials["trial"] == farthest].sort_values("epoch")
    return trial["epoch"], trial["learning_rate"]


def _label(axes: Axes, name: str, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the figure, print its path and return the exit code."""
    return exit_code(lambda: _save(arguments), (UserError, OSError))


def _save(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )
    store = RunStore.open(options.run)
    print(plot_style.save(draw(store), store, "curves", options.figure))


if __name__ == "__main__":
    run_script(main)
