"""Tables of text that fit where they are shown, from a telephone's 40 columns to a log's none.

A table that is too wide leaves out its lesser columns, one by one, and says which. Then names such
as architectures are folded, never cut; and what still does not fit is continued below.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 2  # columns between two columns
_NARROW = 16  # columns to which a name is folded before a lesser column is left out


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: Its heading, in as many lines as there are.
        is_text: Whether it stands on the left, as numbers do not.
        folds: Whether it is a name, which is folded where it does not fit, and shown in each part
            of a table that is continued.
        lesser: Of these, the columns with the highest number are left out first; 0: never.
    """

    head: str
    is_text: bool = False
    folds: bool = False
    lesser: int = 0


class TextTable:
    """A table for a console, fitted to its width whenever it is shown."""

    def __init__(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], title: str = ""
    ) -> None:
        """Take the cells in.

        Args:
            columns: From left to right; the first is shown in each part of a table.
            rows: Of each, a text for each column.
            title: What stands above.
        """
        self._columns, self._title = list(columns), title
        cells = zip(*rows, strict=True)
        self._cells = [list(of) for of in cells] or [[] for _ in self._columns]
        self._widths = [
            max(map(cell_len, (*column.head.split("\n"), *texts)), default=0)
            for column, texts in zip(self._columns, self._cells, strict=True)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield Text(self._title, style="italic")
        shown = self._without_lesser(options.max_width)
        for number, part in enumerate(self._parts(shown, options.max_width)):
            if number:
                yield Text()
            yield self._drawn(part, options.max_width)
        left_out = [each for at, each in enumerate(self._columns) if at not in shown]
        if left_out:
            names = ", ".join(column.head.replace("\n", " ") for column in left_out)
            yield Text(f"not shown in {options.max_width} columns: {names}", style="dim")

    def _needs(self, at: Sequence[int]) -> int:
        """Return the width of some columns whose names are folded."""
        return sum(map(self._least, at)) + _GAP * (len(at) - 1)

    def _least(self, at: int) -> int:
        return min(self._widths[at], _NARROW) if self._columns[at].folds else self._widths[at]

    def _without_lesser(self, width: int) -> list[int]:
        """Return the columns that are shown."""
        shown = list(range(len(self._columns)))
        for at in sorted(shown, key=lambda at: -self._columns[at].lesser):
            if self._columns[at].lesser and self._needs(shown) > width:
                shown.remove(at)
        return shown

    def _parts(self, shown: Sequence[int], width: int) -> Iterator[list[int]]:
        """Yield the columns of each part of the table: names, and others as long as they fit."""
        names = [at for at in shown if self._columns[at].folds or at == 0]
        others = [at for at in shown if at not in names]
        while True:
            count = len(others)
            while count > 1 and self._needs([*names, *others[:count]]) > width:
                count -= 1
            yield sorted([*names, *others[:count]])
            others = others[count:]
            if not others:
                return

    def _drawn(self, part: Sequence[int], width: int) -> Table:
        """Return some columns, their names as wide as there is room."""
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
        rooms, columns = self._rooms(part, width), []
        for at in part:
            column, texts = self._columns[at], self._cells[at]
            head, room = column.head, rooms.get(at)
            if room:
                head, *texts = ("\n".join(folded(text, room)) for text in (head, *texts))
            is_left = column.is_text or column.folds
            table.add_column(
                Text(head), justify="left" if is_left else "right", overflow="fold", no_wrap=True
            )
            columns.append(map(Text, texts))
        for row in zip(*columns, strict=True):
            table.add_row(*row)
        return table

    def _rooms(self, part: Sequence[int], width: int) -> dict[int, int]:
        """Return the columns of names and what is left for each of them."""
        folding = [at for at in part if self._columns[at].folds]
        numbers = [at for at in part if at not in folding]
        room = width - self._needs(numbers) - _GAP * len(folding)
        rooms = {}
        for count, at in enumerate(sorted(folding, key=self._widths.__getitem__)):
            rooms[at] = max(min(self._widths[at], room // (len(folding) - count)), 1)
            room -= rooms[at]
        return rooms


def folded(text: str, width: int) -> list[str]:
    """Return the lines of a text, cut after a space, - _ or / where that is possible."""
    lines = [""]
    for word in re.findall(r"[^ _/-]*[ _/-]|[^ _/-]+", text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(word.rstrip()) > width:
            lines.append("")
        for letter in word:
            if lines[-1] and cell_len(lines[-1]) + cell_len(letter) > width and letter != " ":
                lines.append("")
            lines[-1] += letter
    return [line.rstrip(" ") for line in lines]


def facts(found: Mapping[str, str]) -> Table:
    """Return names and what there is to say of each, in as many lines as that needs."""
    table = Table.grid(padding=(0, _GAP))
    for name, text in found.items():
        table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    return table
