"""Draw the search: the score of every architecture in the order of scoring, by origin.

    python analysis/history.py RUN...

The score has the unit of its formula (``search.score`` of the run's settings); higher is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.history import draw_history
from raynas.reporting.queries import score_name
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, run_script


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
    rows = plot_style.read_rows(store, "architectures", "the search")
    draw_history(axes, rows, score_name(store.rows("runs")[0]))
    axes.set_title(plot_style.describe(store))


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
