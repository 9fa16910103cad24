"""Figures of runs: how they look, and where they are saved (by the store, beside the tables).

The palette is Okabe and Ito's, whose colours can be told apart with any colour vision.
"""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

import matplotlib as mpl
import pandas as pd
import tyro
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from raynas.costs.costs import show_quantity
from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
)
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GREY, FAINT, BLACK, GRID, PAPER = "#767676", "#D9D9D9", "#000000", "#EBEBEB", "#FFFFFF"
Dashes = Literal["-", "--", "-.", ":"]
DASHES: tuple[Dashes, ...] = ("-", "--", "-.", ":")
MARKERS = "os^DvP*X"
MONOSPACE = "DejaVu Sans Mono"
MOST_VECTORS = 500  # marks of a figure; more are one image inside an SVG, or it is a large file

drawing = mpl.rc_context(
    {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "legend.frameon": False,
        "savefig.dpi": 150,
        "svg.hashsalt": "raynas",  # the same rows give the same file
    }
)
"""Decorates what draws or saves a figure, for ticks are made only when it is saved."""


@dataclass(frozen=True)
class Place:
    """Where a figure is saved."""

    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """File to write, ending in .png or .svg; unset: figures/NAME in the (first) run folder."""
    file_format: Annotated[Literal["png", "svg"], tyro.conf.arg(name="format")] = "png"
    """Format where --out is unset."""


def open_runs(uris: Sequence[str]) -> list[RunStore]:
    """Open run folders for reading.

    Raises:
        UserError: None was named, or one of them holds no run.
    """
    if not uris:
        raise UserError("run folders: got none, wanted at least one, such as runs/digits")
    return [RunStore.open(uri) for uri in uris]


def read_rows(store: RunStore, table: str, writer: str) -> pd.DataFrame:
    """Return a table that a figure cannot do without.

    Raises:
        UserError: It has no rows; the sentence names the stage that writes them.
    """
    frame: pd.DataFrame = store.table(table).to_pandas()
    if frame.empty:
        raise UserError(
            f"run folder {store.uri}: no rows in table {table} yet; {writer} writes them"
        )
    return frame


def describe(store: RunStore) -> str:
    """Return a run's title: its name, method, space and seed."""
    row = store.rows("runs")[0]
    return f"{row['run'] or store.name}: {row['method']} on {row['space']}, seed {row['seed']}"


def line_look(index: int) -> tuple[str, Dashes]:
    """Return colour and dashes of the line with that index: 24 looks before one repeats."""
    looks = list(itertools.product(DASHES, PALETTE))
    dashes, colour = looks[index % len(looks)]
    return colour, dashes


def show_quantities(axis: Axis) -> None:
    """Label an axis of MACs or parameters as 330M rather than 330000000."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: show_quantity(round(value))))


def show_percent(axis: Axis) -> None:
    """Label an axis of values in [0, 1] by percent; the axis's name says that it does."""
    axis.set_major_formatter(PercentFormatter(xmax=1, symbol=None))


def save(figure: Figure, store: RunStore, name: str, place: Place) -> str:
    """Save a figure so that it appears whole or not at all, and return its path or URI.

    Args:
        figure: The drawing.
        store: The run in whose folder it is saved unless ``place`` says otherwise.
        name: The file's name without its ending.
        place: A person's wishes.

    Raises:
        UserError: A file whose ending is no format of figures.
    """
    target, path = store, f"figures/{name}.{place.file_format}"
    if place.out is not None:
        folder, path = split(place.out)
        target = RunStore(folder)
    file_format = PurePosixPath(path).suffix.removeprefix(".").lower()
    if file_format not in {"png", "svg"}:
        out = shown(place.out or "")
        raise UserError(f"--out {out}: got ending {file_format!r}, wanted .png or .svg")
    target.write_bytes(path, rendered(figure, file_format))
    return target.locate(path)


@drawing
def rendered(figure: Figure, file_format: str) -> bytes:
    """Return a figure as a file; the same drawing gives the same bytes.

    Args:
        figure: The drawing.
        file_format: png or svg.
    """
    content = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    figure.savefig(content, format=file_format, metadata=metadata)
    return content.getvalue()
