"""What sections of the page are made of: tables that can be sorted, and how values are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raynas.costs.costs import show_quantity


@dataclass(frozen=True)
class Cell:
    """What stands in a table's cell.

    Attributes:
        text: As it is shown.
        value: By which rows are sorted; None is always last.
        look: Classes of the style sheet.
        hint: What a pointer that rests there is told.
    """

    text: str
    value: float | str | None = None
    look: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """A table's column.

    Attributes:
        name: Its heading.
        is_text: Whether it is aligned like words.
        falls: Whether the greatest value comes first when it is sorted.
        sorted_by: Whether the rows come in its order, which falls if ``falls`` says so.
    """

    name: str
    is_text: bool = False
    falls: bool = False
    sorted_by: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
        caption: What it holds.
        columns: Its headings.
        rows: Its cells; the first one of each row names the row.
        rest: A sentence that says where the rows are that were left out.
        sorts: Whether headings sort.
        look: Classes of the style sheet, beside those of its section.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    rest: str = ""
    sorts: bool = True
    look: str = ""


@dataclass(frozen=True)
class Picture:
    """A small picture with words below it.

    Attributes:
        image: A data URI.
        alt: What those are told who do not see it.
        lines: The words, each in a line.
    """

    image: str
    alt: str
    lines: Sequence[str]


def percent(share: float | None) -> str:
    """Return 97.21 % for 0.97214, and a dash for what is not known."""
    return "-" if is_missing(share) else f"{100 * float(share or 0):.2f} %"


def word(text: str, look: str = "") -> Cell:
    """Return a cell with words."""
    return Cell(text, text, look)


def plain(value: float | None, form: str) -> Cell:
    """Return a cell with a number in that form; a dash where there is none."""
    return Cell("-") if is_missing(value) else Cell(form.format(value), value)


def share(value: float | None) -> Cell:
    """Return a cell with a share as a percentage."""
    return Cell("-") if is_missing(value) else Cell(percent(value), value)


def quantity(value: int | None) -> Cell:
    """Return a cell with MACs or parameters."""
    return Cell("-") if value is None else Cell(show_quantity(value), value, hint=f"{value:,}")


def is_missing(value: float | None) -> bool:
    """Return whether there is no number."""
    return value is None or math.isnan(value)
