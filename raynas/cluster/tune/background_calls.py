"""Calls to a service that may hang, fail or take its time, without anybody waiting for them."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Call = Callable[[Any], None]
"""Uses the service."""
END_SECONDS = 20.0
"""How long the end waits for a service that answers."""
_STUCK_AFTER = 12.0  # seconds without an answer, after which the end waits no longer


class Background:
    """A thread that uses a service, one call after the other; nobody waits for it.

    A daemon: a process may end while a server lets the thread wait.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Make what is called there, too: importing it takes its time, and may fail."""
        self.error: BaseException | None = None
        self._make = make
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._asked: float | None = None  # when the call that is under way was begun
        self._is_given_up = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def ask(self, call: Call) -> None:
        """Let it do something when it has done what was asked before."""
        self._calls.put(call)

    @property
    def silent_seconds(self) -> float:
        """How long it has been at one thing."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def close(self) -> bool:
        """Wait for what was asked, as long as there are answers; return whether all was done.

        What was not is not begun any more: a service that wakes up later is left in peace.
        """
        self._calls.put(None)
        until = time.monotonic() + END_SECONDS
        while self._thread.is_alive() and time.monotonic() < until and not self._is_stuck:
            self._thread.join(0.1)
        self._is_given_up = self._thread.is_alive()
        return not self._is_given_up

    @property
    def _is_stuck(self) -> bool:
        """Whether an answer is overdue; the last call may wait for all that is under way."""
        return self.silent_seconds > _STUCK_AFTER and self._calls.qsize() > 1

    def _work(self) -> None:
        try:
            self._asked = time.monotonic()
            service = self._make()
            self._asked = None
            while (call := self._calls.get()) and not self._is_given_up:
                self._asked = time.monotonic()
                call(service)
                self._asked = None
        except BaseException as error:  # noqa: BLE001 - also whoever leaves; none of it matters
            self.error, self._asked = error, None
