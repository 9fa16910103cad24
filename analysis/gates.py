"""Draw differentiable searches: skip connections and path depth of their genotypes over epochs.

    python analysis/gates.py RUN... [--of heat] [--json]

Lines are means over seeds, bands go from the least to the most; runs that differ in seeds alone
share a line. Skip connections are percentages of the inputs that a genotype chooses; path depth
is the mean number of operations with weights on a path through a cell. Prints a table of the last
epochs. A weight is what the genotype is chosen by, without unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import tyro
from matplotlib.figure import Figure
from rich.console import Console

from raynas.errors import UserError
from raynas.reporting import plot_style
from raynas.reporting.figures.gate_heat_map import SEARCH_WRITER, draw_heat
from raynas.reporting.figures.gates import MEASURES, draw_spread, set_epochs
from raynas.reporting.queries import (
    CELLS,
    best_search,
    last_epochs,
    whole_searches,
)
from raynas.reporting.run_labels import name_runs
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.terminal.cli import exit_code, make_console, run_script
from raynas.terminal.json_text import json_text
from raynas.terminal.text_tables import Column, TextTable

METHODS = Path(__file__).parent.parent / "launch" / "settings"
Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """Skip connections and path depth over the epochs of differentiable searches."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run; each gets a line."""
    of: Literal["epochs", "heat"] = "epochs"
    """What is drawn: all runs over epochs, or the last weights of one run's gates, for its most
    accurate seed."""
    json: bool = False
    """Print one JSON object instead of a table; shares and accuracies in [0, 1]."""
    figure: plot_style.Place = field(default_factory=plot_style.Place)


def read(stores: Sequence[RunStore]) -> dict[str, pd.DataFrame]:
    """Return the table ``search_epochs`` by what tells runs apart.

    Raises:
        UserError: A run without a differentiable search, or before its first epoch.
    """
    found: dict[str, pd.DataFrame] = {}
    for name, store in zip(name_runs(stores, METHODS), stores, strict=True):
        rows = plot_style.read_rows(store, "search_epochs", SEARCH_WRITER)
        before = [found[name]] if name in found else []
        found[name] = pd.concat([*before, rows]).drop_duplicates(["seed", "epoch"])
    return found


@plot_style.drawing
def draw(stores: Sequence[RunStore]) -> Figure:
    """Return a figure of normal cells above, reduction cells below, with a line per run.

    Raises:
        UserError: A run without a differentiable search, or before its first epoch.
    """
    runs = read(stores)
    columns = 1 + (max(map(len, runs)) < 60) + (max(map(len, runs)) < 36)
    figure = Figure(figsize=(9, 6 + 0.2 * -(-len(runs) // columns)), layout="constrained")
    figure.suptitle(_place(stores), x=0.01, ha="left", fontsize=10)
    panels = figure.subplots(len(CELLS), len(MEASURES), sharex=True, sharey="col")
    for line, cell in zip(panels, CELLS, strict=True):
        for axes, (measure, name) in zip(line, MEASURES.items(), strict=True):
            for index, rows in enumerate(runs.values()):
                draw_spread(axes, rows.groupby("epoch")[f"{cell}_{measure}"], index, len(runs))
            axes.set_title(f"{cell.capitalize()} cells")
            axes.set_ylabel(name)
    for axes in panels[-1]:
        set_epochs(axes)
    plot_style.show_percent(panels[0, 0].yaxis)
    figure.legend(
        panels[0, 0].lines, runs.keys(), loc="outside lower left", ncols=columns, handlelength=3.5
    )
    return figure


def _place(stores: Sequence[RunStore]) -> str:
    """Return where the searches were: images and spaces."""
    rows = [store.rows("runs")[0] for store in stores]
    places = [f"{Settings.from_json(row['settings']).data} on {row['space']}" for row in rows]
    return "Differentiable search: " + "; ".join(dict.fromkeys(places))


def summarise(runs: Mapping[str, pd.DataFrame]) -> list[Row]:
    """Return a row for each run: what the last epochs of its whole searches found.

    Lists are mean, least and most over seeds, None where no search is whole; shares and
    accuracies in [0, 1].
    """
    found = []
    for name, rows in runs.items():
        searches = last_epochs(rows)
        whole, best = whole_searches(searches), best_search(searches)
        short = searches.loc[~searches.index.isin(whole.index), "status"].value_counts().to_dict()
        columns = ["val_accuracy", *(f"{cell}_{measure}" for cell in CELLS for measure in MEASURES)]
        spreads = whole[columns].astype(float).agg(["mean", "min", "max"])
        row = {
            "run": name,
            "seeds": len(whole),
            "cut_short": short,
            "epochs": int(searches["epoch"].max()),
            "seconds": float(searches["seconds"].sum()),
            **{name: None if whole.empty else spreads[name].tolist() for name in columns},
            "best_seed": None,
            "genotype": None,
        }
        if best is not None:
            row |= {"best_seed": int(best["seed"]), "genotype": str(best["genotype"])}
        found.append(row)
    return found


def print_runs(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a row a run, and the genotypes of the most accurate seeds."""
    spreads = (Column(f"{cell}\n{of}") for cell in CELLS for of in ("skips %", "depth"))
    columns = [
        Column("run", folds=True),
        Column("seeds"),
        Column("epochs", lesser=1),
        *spreads,
        Column("val %"),
        Column("seconds", lesser=2),
    ]
    console.print(TextTable(columns, map(_cells, rows)))
    for row in (row for row in rows if row["genotype"]):
        console.print(
            f"{row['run']}, seed {row['best_seed']}: {row['genotype']}",
            markup=False,
            soft_wrap=True,
        )


def _cells(row: Mapping[str, Any]) -> list[str]:
    short = ", ".join(f"{count} {status}" for status, count in row["cut_short"].items())
    seeds = f"{row['seeds']} ({short})" if short else str(row["seeds"])
    spreads = [
        _spread(row[f"{cell}_{measure}"], 100 if measure == "skip_share" else 1)
        for cell in CELLS
        for measure in MEASURES
    ]
    accuracy, seconds = _spread(row["val_accuracy"], 100), f"{row['seconds']:,.0f}"
    return [row["run"], seeds, str(row["epochs"]), *spreads, accuracy, seconds]


def _spread(values: Sequence[float] | None, factor: float) -> str:
    """Return a mean [least, most]; a number alone where all are equal; a dash for none."""
    if values is None:
        return "-"
    form = "{:.1f}" if factor > 1 else "{:.2f}"
    mean, least, most = (form.format(factor * value) for value in values)
    return mean if least == most else f"{mean} [{least}, {most}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, save the figure, print its path and return the exit code."""
    return exit_code(lambda: _show(arguments), (UserError, OSError))


def _show(arguments: Sequence[str] | None) -> None:
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    options = tyro.cli(Options, args=arguments, description=__doc__, config=config)
    stores = plot_style.open_runs(options.runs)
    rows = summarise(read(stores))
    is_heat = options.of == "heat"
    figure = draw_heat(stores) if is_heat else draw(stores)
    name = "gates-heat" if is_heat else "gates"
    picture = plot_style.save(figure, stores[0], name, options.figure)
    if options.json:
        print(json_text({"runs": rows, "figure": picture}))
        return
    print_runs(rows, make_console())
    print(picture)


if __name__ == "__main__":
    run_script(main)
