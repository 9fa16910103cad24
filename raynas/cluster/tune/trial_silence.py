"""How long a trial may be silent: what it says of itself, and how its driver counts the time."""

import time

MOST_SECONDS = "most_seconds"
"""In a report: for how long the trial may be silent, by what it has done itself."""
_LOOK = 5.0  # seconds between two looks at the trials, at most; the driver was stopped for the rest


class WorkTime:
    """How long a trial works for a report; only what it has trained or computed tells that."""

    def __init__(self, ahead: float = 1.0) -> None:
        """Begin to work.

        Args:
            ahead: Times the longest work so far that the work for a later report may take.
        """
        self._ahead = ahead
        self._longest = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin to work for the next report."""
        self._began = time.monotonic()

    def told(self) -> dict[str, float]:
        """Return what to add to the report of work that has ended now."""
        self._longest = max(self._longest, time.monotonic() - self._began)
        return {MOST_SECONDS: self._ahead * self._longest}


class WatchedTime:
    """Seconds in which a driver watches; while it is stopped, or busy otherwise, few pass.

    Trials go on meanwhile, and what they have reported waits to be heard.
    """

    def __init__(self) -> None:
        """Begin to watch."""
        self._seconds = 0.0
        self._looked = time.monotonic()

    def now(self) -> float:
        """Look, and return the seconds so far."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, _LOOK)
        self._looked = now
        return self._seconds
