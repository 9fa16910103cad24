"""What sections of the page are made of: tables that can be sorted, and pictures."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from raynas.costs.costs import show_quantity
from raynas.reporting.page.chart import HALF, NARROW, WIDE, Chart


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
        sorted_by: Whether the rows come in its order.
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
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    rest: str = ""
    sorts: bool = True


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        title: Above it.
        sentence: What it shows in numbers, below it.
        wide: The drawing for a desk and for print.
        narrow: The one for a phone; None where one size does for both.
        legend: Keys and their meanings.
    """

    title: str
    sentence: str
    wide: Markup
    narrow: Markup | None = None
    legend: Sequence[tuple[Markup, str]] = field(default=())


def picture(
    title: str,
    alt: str,
    sentence: str,
    draw: Callable[[int], Chart],
    legend: Sequence[tuple[Markup, str]] = (),
) -> Picture:
    """Draw a figure once for a desk and once for a phone."""
    wide, narrow = (draw(width).svg(alt) for width in (WIDE, NARROW))
    return Picture(title, sentence, wide, narrow, legend)


def half_picture(
    title: str,
    alt: str,
    sentence: str,
    draw: Callable[[int], Chart],
    legend: Sequence[tuple[Markup, str]] = (),
) -> Picture:
    """Draw a figure that has a neighbour on a desk and room on a phone."""
    return Picture(title, sentence, draw(HALF).svg(alt), None, legend)


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


def share_tick(value: float) -> str:
    """Return a share as an axis of percentages shows it."""
    return f"{100 * value:.4g}"


def is_missing(value: float | None) -> bool:
    """Return whether there is no number."""
    return value is None or math.isnan(value)


def sampled(count: int, most: int) -> npt.NDArray[np.intp]:
    """Return indices, evenly spread over all, of no more than so many; the last is among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp))


def finite(values: Iterable[float | None]) -> list[float]:
    """Return the values that are numbers."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]
