"""Draw the search: the score of every architecture in the order of scoring, by origin.

    python analysis/history.py RUN...

The score has the unit of its formula (``search.score`` of the run's settings); higher is better.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.queries import score_name
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script

ORIGINS = {
    "random": (plot_style.GREY, "o"),
    "mutation": (plot_style.BLUE, "^"),
    "crossover": (plot_style.VERMILION, "s"),
    "exact": (plot_style.GREEN, "D"),
    "given": (plot_style.PURPLE, "P"),
    "differentiable": (plot_style.ORANGE, "v"),
}
"""Origin to colour and marker."""
_MOST_LABELS = 20  # generations that are numbered before every other one is left out


@dataclass(frozen=True)
class Options:
    """Score of every architecture that the search scored, with the best so far."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run; each gets a panel."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


@plot_style.drawing
def draw(stores: Sequence[RunStore]) -> Figure:
    """Return a figure with a panel per run.

    Raises:
        UserError: A run that has scored nothing yet.
    """
    figure = Figure(figsize=(8, 0.8 + 3.4 * len(stores)), layout="constrained")
    panels = figure.subplots(len(stores), 1, squeeze=False)[:, 0]
    for axes, store in zip(panels, stores, strict=True):
        _draw_run(axes, store)
    entries = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6)
    return figure


def _draw_run(axes: Axes, store: RunStore) -> None:
    rows = plot_style.read_rows(store, "architectures", "the search").sort_values("order")
    rows = rows[np.isfinite(rows["score"])]
    _draw_generations(axes, rows)
    for origin, group in rows.groupby("origin", sort=False):
        colour, marker = ORIGINS.get(str(origin), (plot_style.BLACK, "x"))
        axes.scatter(
            group["order"],
            group["score"],
            s=14,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0 if marker != "x" else 1,
            label=str(origin),
        )
    axes.step(
        rows["order"],
        rows["score"].cummax(),
        where="post",
        color=plot_style.BLACK,
        linewidth=1.4,
        label="best so far",
    )
    axes.set_title(plot_style.describe(store))
    axes.set_xlabel("Architecture, in the order of scoring")
    axes.set_ylabel(f"Score ({_formula(store)}), higher is better")
    axes.margins(x=0.01)


def _draw_generations(axes: Axes, rows: pd.DataFrame) -> None:
    """Rule off the generations and number them along the upper edge."""
    firsts = rows.groupby("generation")["order"].min()
    if len(firsts) < 2:
        return
    for first in firsts.iloc[1:]:
        axes.axvline(first - 0.5, color=plot_style.FAINT, linewidth=0.8, zorder=0)
    axes.grid(visible=False, axis="x")
    middles = (
        rows.groupby("generation")["order"].median().iloc[:: 1 + (len(firsts) - 1) // _MOST_LABELS]
    )
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(middles.tolist(), [str(int(generation)) for generation in middles.index])
    upper.tick_params(length=0, labelsize=8, labelcolor=plot_style.GREY)
    upper.spines["top"].set_visible(False)
    upper.set_xlabel("Generation", fontsize=8, color=plot_style.GREY)


def _formula(store: RunStore) -> str:
    return score_name(json.loads(store.rows("runs")[0]["settings"] or "{}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the figure, print its path and return the exit code."""
    return exit_code(lambda: _save(arguments), (UserError, OSError))


def _save(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(
        Options, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )
    stores = plot_style.open_runs(options.runs)
    print(plot_style.save(draw(stores), stores[0], "history", options.figure))


if __name__ == "__main__":
    run_script(main)
