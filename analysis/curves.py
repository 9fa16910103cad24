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

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.curves import (
    draw_pretraining,
    draw_rate,
    draw_trials,
    order_trials,
    trial_entry,
)
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
        order = order_trials(trials, ranks)
        _draw_trials(loss, accuracy, trials, order)
        entries = _entries(order, ranks)
        names = [str(entry.get_label()) for entry in entries]
        figure.legend(
            entries,
            names,
            title="Rank and architecture",
            alignment="left",
            loc="outside lower left",
            ncols=1 + (max(map(len, names)) < 45),
            prop={"family": plot_style.MONOSPACE, "size": 8},
        )
    return figure


def _draw_steps(axes: Axes, steps: pd.DataFrame) -> None:
    rate = draw_pretraining(axes, steps)
    axes.set_title("Pretraining of the supernet")
    entries = [*axes.lines, *rate.lines]
    axes.legend(handles=entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderpad=0)


def _ranks(store: RunStore) -> dict[str, int]:
    """Return the rank of every architecture that has one already."""
    return {row["architecture"]: row["rank"] for row in store.rows("outcomes") if row["rank"]}


def _draw_trials(loss: Axes, accuracy: Axes, trials: pd.DataFrame, order: list[str]) -> None:
    draw_trials(loss, trials, order, "train_loss", "--")
    draw_trials(loss, trials, order, "val_loss")
    draw_trials(accuracy, trials, order, "val_accuracy")
    loss.set_title("Retraining: loss")
    loss.set_ylabel("Loss (nats)")
    accuracy.set_title("Retraining: validation accuracy")
    rate = draw_rate(loss, *_longest(trials))
    lines = [Line2D([], [], color=plot_style.GREY, linestyle=dashes) for dashes in ("-", "--")]
    entries = ["validation", "training", "learning rate"]
    rate.legend([*lines, *rate.lines], entries, loc="upper right", frameon=True, edgecolor="none")


def _entries(order: list[str], ranks: dict[str, int]) -> list[Line2D]:
    """Return the legend of architectures: rank and name."""
    num_named = len(plot_style.PALETTE)
    found = [
        trial_entry(place, f"{ranks.get(text, '-'):>2}  {text}")
        for place, text in enumerate(order[:num_named])
    ]
    if others := len(order) - len(found):
        found.append(trial_entry(num_named, f"    {others} more"))
    return found


def _longest(trials: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return epochs and learning rates of the trial that came farthest; all share a schedule."""
    farthest = trials.sort_values("epoch")["trial"].iloc[-1]
    trial = trials[trials["trial"] == farthest].sort_values("epoch")
    return trial["epoch"], trial["learning_rate"]


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
