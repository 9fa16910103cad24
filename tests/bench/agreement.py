"""How well scores agree with a truth, with intervals over networks and seeds, as rows to print."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raynas.benchmark.ranking import Array, correlations, tau
from raynas.benchmark.truths.truth import Truth
from raynas.seeds import Stream, random_numbers
from tests.bench.uses import Use

_RESAMPLES = 300
_INTERVAL = (2.5, 97.5)  # percentiles
HEADER = (
    f"{'score':<34} {'networks':>8} {'seeds':>5} {'tau':>6} {'interval':>15} {'of seeds':>15} "
    f"{'in depth':>8} {'in MACs':>8} {'s':>7}"
)


@dataclass(frozen=True)
class Measured:
    """A score of the networks of a truth, once a seed.

    Attributes:
        name: Of the score.
        truth: The networks.
        values: Per seed, a score a network.
        seconds: For a network, or for all at once: the median over networks, the mean over seeds.
    """

    name: str
    truth: Truth
    values: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return tau, its means within equal depth and MACs quarters, and intervals."""
        found = [correlations(each, self.truth) for each in self.values]
        taus = [each["tau"] for each in found]
        return {
            "score": self.name,
            "networks": len(self.truth.accuracy),
            "seeds": len(self.values),
            "tau": _mean(taus),
            "interval": interval(self.values, self.truth.accuracy),
            "of seeds": (min(taus), max(taus)),
            "in depth": _mean([each.get("tau_depth", np.nan) for each in found]),
            "in MACs": _mean([each.get("tau_macs", np.nan) for each in found]),
            "s": _mean(self.seconds) if self.seconds else 0.0,
        }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def interval(values: Sequence[Array], accuracy: Array) -> tuple[float, float]:
    """Return where 95 percent of the mean tau lie when networks and seeds are drawn again."""
    rng = random_numbers(0, Stream.BENCH, Use.AGAIN)
    means = []
    for _ in range(_RESAMPLES):
        networks = rng.integers(len(accuracy), size=len(accuracy))
        seeds, counts = np.unique(rng.integers(len(values), size=len(values)), return_counts=True)
        taus = [tau(values[seed][networks], accuracy[networks]) for seed in seeds]
        means.append(float(np.average(taus, weights=counts)))
    low, high = np.nanpercentile(means, _INTERVAL)
    return float(low), float(high)


def line(row: dict[str, Any]) -> str:
    """Return a row as text below ``HEADER``."""
    low, high = (f"{low:6.3f} {high:6.3f}" for low, high in (row["interval"], row["of seeds"]))
    return (
        f"{row['score']:<34} {row['networks']:>8} {row['seeds']:>5} {row['tau']:>6.3f} "
        f"{low:>15} {high:>15} {row['in depth']:>8.3f} {row['in MACs']:>8.3f} {row['s']:>7.2f}"
    )
