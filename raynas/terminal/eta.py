"""How long a stage still takes: its own pace, and before that is known, the forecast's.

Source: a mean of two speeds, in which the forecast weighs as much as a twentieth of the stage.
"""

import time
from collections.abc import Callable, Sequence

_TRUST = 0.05  # of a stage, for which its forecast stands
_RECENT = 0.5  # of the time since the stage began is looked at, so that a change of pace shows


class Remaining:
    """The time left of a stage, from what is left of it at the moments when that changed."""

    def __init__(
        self,
        left: float,
        expected_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a stage.

        Args:
            left: Work of the whole stage, in any unit that takes about the same time each.
            expected_seconds: Forecast of the whole stage; None: there is none.
            clock: Seconds that only grow.
        """
        self._clock = clock
        self._expected = expected_seconds
        self._whole = left
        self._seen: list[tuple[float, float]] = []  # (time, what was left then), newest last
        self._started = clock()

    def saw(self, left: float) -> None:
        """Take in what is left of the work now.

        What was left at the first call is where measuring begins: before it lie the start of
        processes, or the work of a run that is continued.
        """
        now = self._clock()
        since = now - _RECENT * (now - self._started)
        while len(self._seen) > 1 and self._seen[1][0] <= since:
            self._seen.pop(0)
        self._seen.append((now, left))

    def seconds(self) -> float | None:
        """Return the seconds left; None while neither a pace nor a forecast is known."""
        now = self._clock()
        if not self._seen:
            spent = now - self._started
            return None if self._expected is None else max(self._expected - spent, 0.0)
        then, left = self._seen[-1]
        pace = self._pace()
        return None if pace is None else max(left * pace - (now - then), 0.0)

    def _pace(self) -> float | None:
        """Return seconds per unit: (forecast + measured seconds) / (forecast + measured units)."""
        (first, most), (last, least) = self._seen[0], self._seen[-1]
        seconds, units = last - first, most - least
        if self._expected is not None and self._whole > 0:
            seconds += _TRUST * self._expected
            units += _TRUST * self._whole
        return seconds / units if units > 0 else None


def longest_queue(lengths: Sequence[float], places: int) -> float:
    """Return when the last of several pieces of work ends that start in order, some at a time.

    Args:
        lengths: Of the pieces, in the order in which they start.
        places: Pieces at a time.
    """
    ends = [0.0] * max(places, 1)
    for length in lengths:
        soonest = ends.index(min(ends))
        ends[soonest] += length
    return max(ends)
