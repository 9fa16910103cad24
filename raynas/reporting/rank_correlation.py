"""How well a score ranked networks that were then trained, beside what costs nothing to know.

Source: Kendall's tau-b; percentile bootstrap over the networks (Efron 1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from raynas.seeds import Stream, random_numbers

Array = npt.NDArray[np.float64]
YARDSTICKS = ("depth", "macs", "naswot")
_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau with validation accuracy, and its 95 percent interval."""

    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class Check:
    """What a self-check found.

    Attributes:
        num_trained: Networks that were trained.
        score: Agreement of the run's score.
        yardsticks: Of depth, MACs and naswot.
        gain: 95 percent interval of tau of the score minus tau of MACs, on the same resamples.
    """

    num_trained: int
    score: Agreement
    yardsticks: dict[str, Agreement]
    gain: tuple[float, float]

    @property
    def verdict(self) -> str:
        """One sentence in plain words: whether the score is worth more than counting MACs."""
        macs, score = self.yardsticks["macs"].tau, self.score.tau
        if not score > macs:
            return (
                f"on these images the score does not beat MACs (tau {score:.2f} against "
                f"{macs:.2f}): its winners deserve no more trust than large networks"
            )
        if not self.gain[0] > 0:
            return (
                f"on these images the score ranks better than MACs (tau {score:.2f} against "
                f"{macs:.2f}), but with {self.num_trained} networks that may be chance"
            )
        return f"on these images the score beats MACs (tau {score:.2f} against {macs:.2f})"


def checked(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> Check | None:
    """Return what rows of the table ``checks`` say; None for fewer than three that finished."""
    rows = [row for row in rows if row["val_accuracy"] is not None]
    if len(rows) < 3:
        return None
    names = ("score", *YARDSTICKS)
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
    accuracy = np.array([row["val_accuracy"] for row in rows])
    rng = random_numbers(seed, Stream.CHECKED_AGAIN)
    drawn = rng.integers(len(rows), size=(_RESAMPLES, len(rows)))
    taus = {
        name: np.array([_tau(values[chosen], accuracy[chosen]) for chosen in drawn])
        for name, values in columns.items()
    }
    found = {
        name: Agreement(_tau(values, accuracy), *_interval(taus[name]))
        for name, values in columns.items()
    }
    gain = _interval(taus["score"] - taus["macs"])
    return Check(len(rows), found["score"], {name: found[name] for name in YARDSTICKS}, gain)


def _tau(a: Array, b: Array) -> float:
    """Return Kendall's tau-b; 0 where one side is constant, which ranks nothing."""
    tau = float(stats.kendalltau(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    return tau if math.isfinite(tau) else 0.0


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, _INTERVAL)
    return float(low), float(high)
