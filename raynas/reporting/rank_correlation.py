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
YARDSTICKS = ("depth", "macs", "params", "naswot")
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
    """What short trainings say of a score.

    Attributes:
        num_trained: Networks that were trained.
        score: Agreement of the score before any training.
        learned: Agreement of what was predicted of each network from the others alone; None where
            the score learned nothing.
        yardsticks: Of depth, MACs, parameters and naswot.
        gains: 95 percent intervals of tau of the learned score, or else of the score, minus tau of
            a yardstick, on the same resamples.
    """

    num_trained: int
    score: Agreement
    learned: Agreement | None
    yardsticks: dict[str, Agreement]
    gains: dict[str, tuple[float, float]]

    @property
    def best(self) -> Agreement:
        """The agreement of what the search maximised."""
        return self.learned or self.score

    @property
    def verdict(self) -> str:
        """One sentence in plain words: whether the score is worth more than a count or a guess."""
        score = "the learned score" if self.learned else "the score"
        rival = max(_COUNTS, key=lambda name: self.yardsticks[name].tau)
        count, tau = _COUNTS[rival], self.best.tau
        against = f"(tau {tau:.2f} against {self.yardsticks[rival].tau:.2f})"
        small = max(of.high for of in (self.yardsticks[name] for name in _COUNTS)) < 0
        if small:
            return (
                "after so few epochs small networks are ahead on these images "
                f"(tau of {count} {self.yardsticks[rival].tau:.2f}); what size alone explains is "
                "not learned, but longer trainings (--training-epochs) would say more"
            )
        if not tau > self.yardsticks[rival].tau:
            return (
                f"on these images {score} does not beat {count} {against}: its winners deserve "
                "no more trust than large networks"
            )
        if not self.gains[rival][0] > 0:
            guess = "" if self.best.low > 0 else ", as may be that it beats a random choice"
            return (
                f"on these images {score} ranks better than {count} {against}, but with "
                f"{self.num_trained} networks that may be chance{guess}"
            )
        return f"on these images {score} beats {count} {against}"


_COUNTS = {"macs": "MACs", "params": "parameters"}


def checked(
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
) -> Check | None:
    """Return what the short trainings say; None for fewer than three that finished.

    Args:
        rows: Of the table ``checks``.
        predictions: Of the table ``predictions``.
        seed: Of the resamples.
    """
    rows = [row for row in rows if row["val_accuracy"] is not None]
    if len(rows) < 3:
        return None
    predicted = {
        row["architecture"]: row["predicted_accuracy"]
        for row in predictions
        if row["kind"] == "left_out" and row["predicted_accuracy"] is not None
    }
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.float64)
        for name in ("score", *YARDSTICKS)
    }
    if predicted and all(row["architecture"] in predicted for row in rows):
        columns["learned"] = np.array([predicted[row["architecture"]] for row in rows])
    accuracy = np.array([row["val_accuracy"] for row in rows])
    rng = random_numbers(seed, Stream.CHECKED_AGAIN)
    drawn = rng.integers(len(rows), size=(_RESAMPLES, len(rows)))
    taus = {
        name: np.array([kendall_tau(values[chosen], accuracy[chosen]) for chosen in drawn])
        for name, values in columns.items()
    }
    found = {
        name: Agreement(kendall_tau(values, accuracy), *_interval(taus[name]))
        for name, values in columns.items()
    }
    best = taus.get("learned", taus["score"])
    gains = {name: _interval(best - taus[name]) for name in _COUNTS}
    yardsticks = {name: found[name] for name in YARDSTICKS}
    return Check(len(rows), found["score"], found.get("learned"), yardsticks, gains)


def kendall_tau(a: Array, b: Array) -> float:
    """Return Kendall's tau-b; 0 where one side is constant, which ranks nothing."""
    tau = float(stats.kendalltau(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    return tau if math.isfinite(tau) else 0.0


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, _INTERVAL)
    return float(low), float(high)
