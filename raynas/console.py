"""What a run shows while it works: a bar per stage on a terminal, a line now and then in a log."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LOG_EVERY = 15.0  # seconds between lines where there is no terminal


class Advance(Protocol):
    """Moves a stage's bar on."""

    def __call__(self, done: int, text: str = "") -> None:
        """Show that so many units are done, with a short text beside."""


def say(text: str) -> None:
    """Print a line at once, before there are stages."""
    print(text, flush=True)  # noqa: T201 - what a person reads


class Stages:
    """The progress of a run, stage by stage; a context manager."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet.

        Args:
            console: Where to show it.
        """
        self._console = console
        columns = (
            TextColumn("{task.description:<9}"), BarColumn(30), MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("{task.fields[text]}"),
        )  # fmt: skip
        self._bars = Progress(*columns, console=console) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def stage(self, name: str, total: int, unit: str) -> Advance:
        """Begin a stage and return what moves it on.

        Args:
            name: The stage.
            total: Units of work in all.
            unit: What is counted.
        """
        if self._bars is None:
            return _Log(self, name, total, unit)
        bars, task = self._bars, self._bars.add_task(name, total=total, unit=unit, text="")
        return lambda done, text="": bars.update(task, completed=done, text=text)


class _Log:
    """Prints a line when a stage ends, and every few seconds before."""

    def __init__(self, stages: Stages, name: str, total: int, unit: str) -> None:
        self._stages = stages
        self._where = name, total, unit
        self._started = self._last = time.monotonic()

    def __call__(self, done: int, text: str = "") -> None:
        name, total, unit = self._where
        now = time.monotonic()
        if done < total and now - self._last < _LOG_EVERY:
            return
        self._last = now
        seconds = now - self._started
        self._stages.print(f"{name:<9} {done}/{total} {unit}, {seconds:.0f} s {text}".rstrip())
