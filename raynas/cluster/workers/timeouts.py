"""How long pieces take, and how long is too long."""

import statistics
from collections import deque

_LATE_TIMES, _LATE_SECONDS = 4.0, 1.0  # of the usual time, and at least
_HUNG_TIMES, _HUNG_SECONDS = 20.0, 30.0
_FIRST_SECONDS = 120.0  # before anything is known; a GPU's first step takes its time
_RECENT = 64


class Pace:
    """The running median of the seconds that a piece takes, and the limits that follow."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seconds: deque[float] = deque(maxlen=_RECENT)

    def add(self, seconds: float, num_pieces: int) -> None:
        """Note how long some pieces took together."""
        self._seconds.append(seconds / num_pieces)

    def late_after(self, num_pieces: int) -> float:
        """Return the seconds after which others are asked for the same pieces."""
        return self._limit(_LATE_TIMES, num_pieces, _LATE_SECONDS)

    def hung_after(self, num_pieces: int) -> float:
        """Return the seconds after which a worker is taken for hung and started anew."""
        return self._limit(_HUNG_TIMES, num_pieces, _HUNG_SECONDS)

    def _limit(self, times: float, num_pieces: int, least: float) -> float:
        if not self._seconds:
            return _FIRST_SECONDS
        return max(times * num_pieces * statistics.median(self._seconds), least)
