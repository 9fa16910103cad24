"""The page of runs at several resolutions: who wins, and links to the report of each."""

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from raynas.reporting.page.writing import environment, policy_hash, read_part, write_page
from raynas.reporting.resolution_summary import (
    COLUMNS,
    left_sentences,
    resolution_cells,
    rival_sentences,
    winner_sentences,
)
from raynas.reporting.resolutions import ResolutionComparison
from raynas.storage.run_store import RunStore


def write_resolutions_page(
    store: RunStore, found: ResolutionComparison, say: Callable[[str], None]
) -> None:
    """Write the page of a folder of runs; a sentence says why if it cannot be made.

    Args:
        store: The folder.
        found: What its runs have found.
        say: Prints a line.
    """
    write_page(store, lambda: make_resolutions_page(store, found), say)


def make_resolutions_page(store: RunStore, found: ResolutionComparison) -> str:
    """Return the page of a folder of runs.

    Args:
        store: The folder.
        found: What its runs have found.
    """
    style, rival = read_part("page.css"), found.best_rival
    page = (
        environment()
        .get_template("resolutions.html.jinja")
        .render(
            style=Markup(style),  # noqa: S704 - a file of this package
            style_hash=policy_hash(style),
            store=store,
            made=datetime.now(UTC),
            winner=_paragraph(winner_sentences(found)),
            rivals=_paragraph(rival_sentences(found)),
            is_rival_ahead=rival is not None and rival.is_ahead,
            left=_paragraph(left_sentences(found)),
            export=shlex.quote(found.found[0].export or "") if found.found else "",
            columns=COLUMNS,
            rows=[(each.store.name, resolution_cells(each)) for each in found.found],
        )
    )
    return page + "\n"


def _paragraph(sentences: Sequence[str]) -> str:
    return " ".join(f"{each[0].upper()}{each[1:]}." for each in sentences)
