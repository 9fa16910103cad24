"""Join several runs into one Parquet file, ready for pandas, DuckDB or a paper's table.

    python analysis/aggregate.py RUN... --out FILE.parquet [--table outcomes]

Every row keeps its columns and units and gains run, space, method, seed (from the run's row in
the table runs) and folder (where the run lies).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split
from raynas.terminal.cli import exit_code, run_script

_KEYS = ("run", "space", "method", "seed")

Name = Literal[
    "runs",
    "images",
    "lost_images",
    "steps",
    "ledger",
    "isometry",
    "indicators",
    "architectures",
    "gates",
    "search_epochs",
    "trials",
    "calibration",
    "predictions",
    "checks",
    "outcomes",
    "teacher_epochs",
    "rival_epochs",
    "rivals",
    "answers",
    "mistakes",
]


@dataclass(frozen=True)
class Options:
    """One table of several runs as one Parquet file, with columns that say which run."""

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Run folders: local paths or URIs such as s3://bucket/run."""
    out: str
    """Parquet file to write: a local path or a URI."""
    table: Name = "outcomes"
    """Table to join."""


def join_runs(stores: Sequence[RunStore], name: str) -> pa.Table:
    """Return the rows of a table of all runs, in the order of the runs.

    Raises:
        UserError: No run was named, or none has a row in that table.
    """
    if not stores:
        raise UserError("run folders: got none, wanted at least one, such as runs/digits")
    joined = pa.concat_tables([_with_keys(store, name) for store in stores])
    if joined.num_rows == 0:
        raise UserError(f"table {name}: no rows yet in any of these runs; nothing was written")
    return joined


def _with_keys(store: RunStore, name: str) -> pa.Table:
    """Put the columns that say which run before a table's own, which win, as a search's seed."""
    rows, run = store.table(name), store.table("runs").slice(0, 1)
    schema = run.schema
    columns = {"folder": pa.array([store.uri] * rows.num_rows, pa.string())}
    for key in _KEYS:
        value = run.column(key)[0]
        columns[key] = pa.array([value.as_py()] * rows.num_rows, schema.field(key).type)
    return pa.table(columns | {key: rows.column(key) for key in rows.column_names})


def write_table(table: pa.Table, out: str) -> str:
    """Write a table as Parquet so that it appears whole or not at all; return its path or URI.

    Raises:
        UserError: A name without the ending .parquet, such as a folder's.
    """
    folder, name = split(out)
    if not name.endswith(".parquet"):
        raise UserError(f"--out {shown(out)}: wanted a file that ends in .parquet")
    store = RunStore(folder)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.write_bytes(name, sink.getvalue().to_pybytes())
    return store.locate(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, print its number of rows and its path and return the exit code."""
    return exit_code(lambda: _write(arguments), (UserError, OSError))


def _write(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(Options, args=arguments, description=__doc__)
    stores = [RunStore.open(uri) for uri in options.runs]
    table = join_runs(stores, options.table)
    path = write_table(table, options.out)
    runs = "1 run" if len(stores) == 1 else f"{len(stores)} runs"
    print(f"{table.num_rows} rows of {options.table} from {runs}: {path}")


if __name__ == "__main__":
    run_script(main)
