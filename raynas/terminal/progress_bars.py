"""What a run shows while it works: a bar per stage on a terminal, a line now and then in a log."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from raynas.costs.costs import show_seconds
from raynas.terminal.eta import Remaining

_LOG_EVERY = 15.0  # seconds between lines where there is no terminal, at first
_LOG_SHARE = 0.05  # of a stage's time between them, later
_LOG_SELDOM = 300.0  # at most
_WIDE = 110  # columns of a terminal from which on a stage has a bar


class Advance(Protocol):
    """Moves a stage's bar on."""

    def __call__(self, done: int, text: str = "", left: float | None = None) -> None:
        """Show that so many units are done, with a short text beside.

        Args:
            done: Units that are done.
            text: What else is known.
            left: What is left where that is not the rest of the units, because several are
                worked on at a time: the longest queue, in units.
        """


def say(text: str) -> None:
    """Print a line at once, before there are stages."""
    print(text, flush=True)  # noqa: T201 - what a person reads


class Stages:
    """The progress of a run, stage by stage; a context manager."""

    def __init__(self, console: Console, log_every: float = _LOG_EVERY) -> None:
        """Show nothing yet.

        Args:
            console: Where to show it.
            log_every: Seconds between lines where there is no terminal; more in a long stage.
        """
        self._console = console
        self._expected: dict[str, float] = {}
        self._begun: list[_Stage] = []
        columns = _bar() if console.width >= _WIDE else (_Line(),)
        # a dumb terminal cannot draw anything anew
        self._bars = Progress(*columns, console=console) if console.is_interactive else None
        self._log_every = log_every
        self._ended = threading.Event()
        self._log = threading.Thread(target=self._write_lines, name="raynas-log", daemon=True)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        else:
            self._log.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._bars is not None:
            self._bars.stop()
        else:
            self._log.join()

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take in a forecast: the seconds of each stage by its name."""
        self._expected = dict(seconds)

    def stage(self, name: str, total: int, unit: str, at_a_time: int = 1) -> Advance:
        """Begin a stage and return what moves it on.

        Args:
            name: The stage.
            total: Units of work in all.
            unit: What is counted.
            at_a_time: Units that are worked on at once, where a queue tells what is left.
        """
        begun = _Stage(name, total, unit, Remaining(total / at_a_time, self._expected.get(name)))
        self._begun.append(begun)
        if self._bars is None:
            return lambda done, text="", left=None: self._move(begun, done, text, left)
        bars = self._bars
        task = bars.add_task(name, total=total, unit=unit, text="", stage=begun)

        def advance(done: int, text: str = "", left: float | None = None) -> None:
            begun.move(done, text, left)
            bars.update(task, completed=done, text=text)

        return advance

    def _move(self, begun: "_Stage", done: int, text: str, left: float | None) -> None:
        begun.move(done, text, left)
        if done >= begun.total:
            self.print(begun.line(0.0))

    def _write_lines(self) -> None:
        """Say now and then how far the newest stage is, also while nothing moves."""
        while not self._ended.wait(self._log_every):
            begun = self._begun[-1] if self._begun else None
            if begun and begun.is_due(self._log_every):
                self.print(begun.line(self._following()))

    def _following(self) -> float:
        """Return the forecast seconds of the stages that have not begun."""
        begun = {each.name for each in self._begun}
        return sum(seconds for name, seconds in self._expected.items() if name not in begun)


class _Stage:
    """A stage that has begun: how far it is, and how long it still takes."""

    def __init__(self, name: str, total: int, unit: str, remaining: Remaining) -> None:
        self.name, self.total, self._unit = name, total, unit
        self.remaining = remaining
        self._started = self._said = time.monotonic()
        self._ended: float | None = None
        self._done, self._text = 0, ""

    def move(self, done: int, text: str, left: float | None) -> None:
        self._done, self._text = done, text
        if done >= self.total and self._ended is None:
            self._ended = time.monotonic()
        self.remaining.saw(self.total - done if left is None else left)

    def is_due(self, every: float) -> bool:
        """Return whether it is time for a line: a long stage needs fewer of them."""
        now = time.monotonic()
        pause = min(max(every, _LOG_SHARE * (now - self._started)), max(every, _LOG_SELDOM))
        return self._done < self.total and now - self._said >= 0.99 * pause

    def line(self, following: float) -> str:
        """Return the stage's line in a log.

        Args:
            following: Forecast seconds of the stages after it.
        """
        self._said = time.monotonic()
        left = self.remaining.seconds()
        words = [
            f"{self.name:<9} {self._done}/{self.total} {self._unit}",
            show_seconds((self._ended or self._said) - self._started),
        ]
        if left is not None and self._done < self.total:
            words.append(f"about {show_seconds(left)} left")
        if left is not None and following >= 1:
            words.append(f"{show_seconds(left + following)} with what follows")
        return f"{', '.join(words)}  {self._text}".rstrip()


def _bar() -> tuple[ProgressColumn, ...]:
    """Return what is shown of a stage where there is room for it on one line."""
    return (
        TextColumn("{task.description:<9}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.fields[text]}"),
    )


class _Line(ProgressColumn):
    """A stage's line, as a log has it, folded where a terminal is narrow."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["stage"].line(0.0), overflow="fold")


class _Left(ProgressColumn):
    """The time left of a bar's stage."""

    def render(self, task: Task) -> Text:
        left = task.fields["stage"].remaining.seconds()
        if task.finished or left is None:
            return Text("")
        return Text(f"about {show_seconds(left)} left", style="progress.remaining")
