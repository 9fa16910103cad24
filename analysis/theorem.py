"""Draw Theorem 1 as measured on a run's supernet: inner products beside their expectation.

    python launch/theorem.py RUN
    python analysis/theorem.py RUN [--json]

The first measures (it needs torch and the images), this draws and prints a row a layer. Left:
observed over expected, 1 where filters behave as random ones are expected to. Right: the root mean
square of observed less expected, against what one pair in twenty may exceed with independent
filters of random direction (Chebyshev): on the line, they are equal. Nothing here has a unit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from matplotlib.figure import Figure
from rich.console import Console

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.theorem import draw_differences, draw_slopes
from raynas.storage.run_store import RunStore
from raynas.storage.schemas_beside_runs import INNER_PRODUCTS_FILE
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.text_tables import Column, TextTable

MEASURES = ("gamma", "slope", "difference", "threshold", "share_within", "relative")


@dataclass(frozen=True)
class Options:
    """Inner products behind batch norms, beside what is expected of random filters."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    json: bool = False
    """Print one JSON object instead of a table."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


def read(store: RunStore) -> pd.DataFrame:
    """Return what launch/theorem.py has measured.

    Raises:
        UserError: Nothing yet.
    """
    if not store.has(INNER_PRODUCTS_FILE):
        raise UserError(
            f"run folder {store.uri}: no {INNER_PRODUCTS_FILE} in it yet; python "
            "launch/theorem.py RUN writes it"
        )
    rows: pd.DataFrame = pq.read_table(
        pa.BufferReader(store.read_bytes(INNER_PRODUCTS_FILE))
    ).to_pandas()
    return rows


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the medians of each layer over its candidates' batch norms."""
    medians: pd.DataFrame = rows.groupby("layer")[list(MEASURES)].median()
    return medians


def gamma_correlation(rows: pd.DataFrame) -> float:
    """Return Spearman's correlation of gamma and relative difference over all batch norms."""
    return float(rows["gamma"].corr(rows["relative"], method="spearman"))


@plot_style.drawing
def draw(store: RunStore) -> Figure:
    """Return a figure of two panels.

    Raises:
        UserError: A run that has measured nothing yet.
    """
    rows = read(store)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_slopes(left, rows)
    draw_differences(right, rows)
    left.set_title(plot_style.describe(store))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)
    return figure


def print_layers(store: RunStore, console: Console) -> None:
    """Print the medians of each layer and of all, and what gamma has to do with it."""
    rows = read(store)
    lines = [*by_layer(rows).iterrows(), ("all", rows[list(MEASURES)].median())]
    cells = [[str(layer), *(f"{value:.4g}" for value in line)] for layer, line in lines]
    columns = [Column("layer"), *(Column(name.replace("_", "\n")) for name in MEASURES)]
    console.print(TextTable(columns, cells, plot_style.describe(store)))
    console.print(
        f"gamma and relative difference: Spearman's rho {gamma_correlation(rows):+.2f} over "
        f"{len(rows)} batch norms"
    )


def to_json(store: RunStore, picture: str) -> str:
    """Return the medians of each layer and the figure's place as one JSON object."""
    rows = read(store)
    found = {
        "run": store.uri,
        "layers": by_layer(rows).reset_index().to_dict("records"),
        "gamma_correlation": gamma_correlation(rows),
        "figure": picture,
    }
    return json.dumps(found, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, save the figure, print its path and return the exit code."""
    return exit_code(lambda: _show(arguments), (UserError, OSError))


def _show(arguments: Sequence[str] | None) -> None:
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    options = tyro.cli(Options, args=arguments, description=__doc__, config=config)
    (store,) = plot_style.open_runs([options.run])
    picture = plot_style.save(draw(store), store, "theorem", options.figure)
    if options.json:
        print(to_json(store, picture))
        return
    print_layers(store, make_console())
    print(picture)


if __name__ == "__main__":
    run_script(main)
