"""Ctrl-C and SIGTERM that wait: a step of work is done whole, and recorded, or not begun."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


class Shield:
    """Keeps signals waiting but for where it is open; a context manager.

    Only the main thread is sent signals, so it does nothing on others.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._is_open = False
        self._late: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._before.items():
            if callable(handler) or handler == signal.SIG_DFL:
                signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the signals through again, with those that have come."""
        for number, handler in self._before.items():
            if handler is not None:  # None: not Python's own, and was left alone
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
        if self._is_open:
            self._do(number, frame)
        else:
            self._late.append(number)

    def _let_in(self) -> None:
        if self._late:
            self._do(self._late.pop(), None)

    def _do(self, number: int, frame: FrameType | None) -> None:
        """Do what the signal did before; where that ends the process, let it save its work."""
        before = self._before[number]
        if not callable(before):
            sys.exit(128 + number)
        before(number, frame)
