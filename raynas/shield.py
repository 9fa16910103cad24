"""Ctrl-C and SIGTERM that wait: a step of work is done whole, and recorded, or not begun."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


class Shield:
    """Keeps signals waiting but for where it is open; a context manager of the main thread."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._is_open = False
        self._late: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the signals through again, with those that have come."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._let_in()

    def opened(self, work: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
        """Return work that may be interrupted, before it begins by what came meanwhile."""

        def open_work(*args: _Given.args, **named: _Given.kwargs) -> _Found:
            self._is_open = True
            try:
                self._let_in()
                return work(*args, **named)
            finally:
                self._is_open = False

        return open_work

    def _take(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if self._is_open and callable(before):
            before(number, frame)
        else:
            self._late.append(number)

    def _let_in(self) -> None:
        if self._late:
            signal.raise_signal(self._late.pop())
