"""Write a run as one HTML page that anyone can open: the best network first, then all the rest.

    python analysis/report.py RUN [--out FILE]

Works while the run is going on, and after it failed. Accuracies are percentages, multiply-adds
(MACs) are of one image, losses are in nats. The page asks for nothing from outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from raynas.errors import UserError
from raynas.reporting.page.writing import make_page
from raynas.reporting.summary import PAGE
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split
from raynas.terminal.cli import exit_code, run_script

METHODS = Path(__file__).parent.parent / "launch" / "settings"


@dataclass(frozen=True)
class Options:
    """The report of a run as one HTML file."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder: a local path or a URI such as s3://bucket/run."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """File to write, ending in .html; unset: report.html in the run folder."""


def write(store: RunStore, out: str | None) -> str:
    """Write the report so that it appears whole or not at all; return its path or URI.

    Raises:
        UserError: A name without the ending .html.
    """
    target, name = store, PAGE
    if out is not None:
        folder, name = split(out)
        if not name.endswith(".html"):
            raise UserError(f"--out {shown(out)}: wanted a file that ends in .html")
        target = RunStore(folder)
    target.write_bytes(name, make_page(store, METHODS).encode(errors="backslashreplace"))
    return target.locate(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, print its path and return the exit code."""
    return exit_code(lambda: _write(arguments), (UserError, OSError))


def _write(arguments: Sequence[str] | None) -> None:
    options = tyro.cli(Options, args=arguments, description=__doc__)
    print(write(RunStore.open(options.run), options.out))


if __name__ == "__main__":
    run_script(main)
