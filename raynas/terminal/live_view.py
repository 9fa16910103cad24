"""Watching something that changes: redrawn on a terminal, a line for each change in a log."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live


@dataclass(frozen=True)
class View:
    """One look.

    Attributes:
        whole: What a terminal shows.
        line: What a log is told, where it differs from the last one.
        is_last: Whether nothing will change any more.
    """

    whole: RenderableType
    line: str
    is_last: bool


def follow(look: Callable[[], View], console: Console, seconds: float) -> None:
    """Look again and again, until nothing will change any more.

    Args:
        look: Takes a look.
        console: A terminal, or what a log is written to.
        seconds: From one look to the next.
    """
    if console.is_interactive:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            _repeat(look, lambda view: live.update(view.whole, refresh=True), seconds)
        return
    told: list[str] = []

    def tell(view: View) -> None:
        if [view.line] != told[-1:]:
            told.append(view.line)
            console.print(view.line, markup=False, highlight=False, soft_wrap=True)
            console.file.flush()

    _repeat(look, tell, seconds)


def _repeat(look: Callable[[], View], show: Callable[[View], None], seconds: float) -> None:
    while True:
        view = look()
        show(view)
        if view.is_last:
            return
        time.sleep(seconds)
