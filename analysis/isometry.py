"""Draw how near candidates are to dynamical isometry before training, beside Gaussian weights.

    python analysis/isometry.py RUN... [--json]

phi is the mean and varphi the variance of squared singular values of a candidate's Jacobian, both
without unit; spread is phi's standard deviation over a layer's candidates divided by its mean: 0
where all candidates have the same gain. Identities do not count. Prints a table of every run.
Residual blocks have phi = 1 from their skip alone: there, weights without gain look equal, too.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.isometry import draw_gains
from raynas.reporting.queries import isometry_by_layer, measured_candidates
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.text_tables import Column, TextTable


@dataclass(frozen=True)
class Options:
    """Gain of candidates at initialisation, with and without batch norms."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run; each gets two panels."""
    json: bool = False
    """Print one JSON object instead of tables."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


def read(store: RunStore) -> pd.DataFrame:
    """Return the measured candidates without identities; what is null is the run's own.

    Raises:
        UserError: Nothing is recorded yet.
    """
    rows = plot_style.read_rows(store, "isometry", "pretraining")
    return measured_candidates(rows, store.rows("runs")[0])


def variants(rows: pd.DataFrame) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Yield weights, whether batch norms were there, and the rows of both, in the table's order."""
    groups = rows.groupby(["initialisation", "batch_norm"], sort=False)
    for (weights, batch_norm), group in groups:
        yield str(weights), bool(batch_norm), group


@plot_style.drawing
def draw(stores: Sequence[RunStore]) -> Figure:
    """Return a figure with two panels per run: with batch norms and without.

    Raises:
        UserError: A run that has measured nothing yet.
    """
    figure = Figure(figsize=(9, 0.6 + 3.3 * len(stores)), layout="constrained")
    panels = figure.subplots(len(stores), 2, squeeze=False)
    for pair, store in zip(panels, stores, strict=True):
        _draw_run(pair, store)
    return figure


def _draw_run(pair: Sequence[Axes], store: RunStore) -> None:
    rows = read(store)
    pair[0].set_title(plot_style.describe(store) + "\nwith batch norms")
    pair[1].set_title("without batch norms")
    for axes, has_norms in zip(pair, (True, False), strict=True):
        draw_gains(axes, rows[rows["batch_norm"] == has_norms])
        if axes.collections:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)


def print_layers(store: RunStore, console: Console) -> None:
    """Print a row a layer, and the medians and maxima over layers."""
    layers = isometry_by_layer(read(store))
    columns, measures = [Column("layer")], []
    for weights, batch_norm, group in variants(layers):
        for name in ("phi", "varphi", "spread"):
            columns.append(Column(f"{weights}\n{'with' if batch_norm else 'no'} BN\n{name}"))
            measures.append(group.set_index("layer")[name])
    values = pd.concat(measures, axis=1)
    lines = [*values.iterrows(), ("median", values.median()), ("max", values.max())]
    rows = [[str(layer), *(f"{value:.3f}" for value in line)] for layer, line in lines]
    console.print(TextTable(columns, rows, plot_style.describe(store)))


def to_json(stores: Sequence[RunStore], picture: str) -> str:
    """Return layers, and medians and maxima over them, of every run as one JSON object."""
    runs: list[dict[str, Any]] = []
    for store in stores:
        layers = isometry_by_layer(read(store))
        kinds = layers.drop(columns="layer").groupby(["initialisation", "batch_norm"], sort=False)
        runs.append(
            {
                "run": store.uri,
                "layers": layers.replace({np.nan: None}).to_dict("records"),
                "medians": kinds.median().reset_index().to_dict("records"),
                "maxima": kinds.max().reset_index().to_dict("records"),
            }
        )
    return json.dumps({"runs": runs, "figure": picture}, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, save the figure, print its path and return the exit code."""
    return exit_code(lambda: _show(arguments), (UserError, OSError))


def _show(arguments: Sequence[str] | None) -> None:
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    options = tyro.cli(Options, args=arguments, description=__doc__, config=config)
    stores = plot_style.open_runs(options.runs)
    picture = plot_style.save(draw(stores), stores[0], "isometry", options.figure)
    if options.json:
        print(to_json(stores, picture))
        return
    console = make_console()
    for store in stores:
        print_layers(store, console)
    print(picture)


if __name__ == "__main__":
    run_script(main)
