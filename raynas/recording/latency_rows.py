"""The rows of a table of latencies, fitted to what was measured, and how well they add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import CostTable
from raynas.costs.latency_fit import counts_of, fit, relative_errors
from raynas.nets.timing import Timings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

Array = npt.NDArray[np.float64]
Rows = list[dict[str, Any]]
ENDS = "stem and head"


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        space: The space, with identity where layers may be skipped.
        costs: What its candidates cost otherwise.
        nets: N whole networks.
        times: Of everything.
        numbers: Which candidates are alike, as of ``timing.alike``.
    """

    space: SearchSpace
    costs: CostTable
    nets: Sequence[Architecture]
    times: Timings
    numbers: Sequence[Sequence[int]]

    def counts(self) -> Array:
        """Return how often each network has each part (N x P), first its stem and head."""
        parts = (
            [0, *(1 + row[i] for row, i in zip(self.numbers, net, strict=True))]
            for net in self.nets
        )
        return counts_of(parts, 2 + max(chain.from_iterable(self.numbers)))

    def isolated(self, quantile: float) -> Array:
        """Return what each part takes by itself, in milliseconds (P)."""
        found = np.zeros(2 + max(chain.from_iterable(self.numbers)))
        found[0] = _milliseconds(self.times.fixed, quantile)
        for numbers, row in zip(self.numbers, self.times.candidates, strict=True):
            found[1 + np.array(numbers)] = [_milliseconds(each, quantile) for each in row]
        return found

    def whole(self, quantile: float) -> Array:
        """Return what each network takes, in milliseconds (N)."""
        return _milliseconds(self.times.nets, quantile)


def fitted(measured: Measured, quantile: float, held_out: int) -> tuple[Rows, Rows]:
    """Return the rows of a table of latencies, and those of its whole networks.

    Args:
        measured: What was measured.
        quantile: Which of the repeats counts.
        held_out: Networks, the last ones, that the table is not fitted to; at most half of them,
            where a tiny space has no more.
    """
    counts, isolated, whole = (
        measured.counts(),
        measured.isolated(quantile),
        measured.whole(quantile),
    )
    known = max(len(whole) - held_out, len(whole) // 2)
    latency = fit(counts[:known], isolated, whole[:known])
    nets = [
        {
            "architecture": str(net),
            "held_out": place >= known,
            "macs": measured.costs.of(net).macs,
            "measured_ms": float(whole[place]),
            "predicted_ms": float(counts[place] @ latency),
            "isolated_ms": float(counts[place] @ isolated),
        }
        for place, net in enumerate(measured.nets)
    ]
    return _rows(measured, latency, isolated), nets


def _rows(measured: Measured, latency: Array, isolated: Array) -> Rows:
    """Return a row for each candidate of each layer, and the last one for stem and head."""
    rows: Rows = [
        {
            "layer": layer,
            "candidate": choice,
            "operation": candidate.name,
            "macs": measured.costs.macs[layer][choice],
            "latency_ms": float(latency[1 + measured.numbers[layer][choice]]),
            "isolated_ms": float(isolated[1 + measured.numbers[layer][choice]]),
        }
        for layer, block in enumerate(measured.space.blocks)
        for choice, candidate in enumerate(block.candidates)
    ]
    stem_and_head = {
        "layer": None,
        "candidate": None,
        "operation": ENDS,
        "macs": measured.costs.fixed.macs,
        "latency_ms": float(latency[0]),
        "isolated_ms": float(isolated[0]),
    }
    return [*rows, stem_and_head]


def errors_of(nets: Rows) -> dict[str, Any]:
    """Return how far sums are off on the networks that were held out, as shares of the time.

    Beside the table stand sums of isolated times, and a straight line over the multiply-adds of
    the other networks. None: there was nothing to tell it by.
    """
    seen, unseen = ([net for net in nets if net["held_out"] == out] for out in (False, True))
    errors = np.abs(_errors(unseen, "predicted_ms"))
    isolated, by_macs = _errors(unseen, "isolated_ms"), np.array([])
    if len(seen) > 1:
        line = np.polyfit(_column(seen, "macs"), _column(seen, "measured_ms"), 1)
        straight = np.polyval(line, _column(unseen, "macs")).astype(np.float64)
        by_macs = np.abs(relative_errors(straight, _column(unseen, "measured_ms")))
    return {
        "held_out": len(unseen),
        "median_error": _median(errors),
        "max_error": float(errors.max()) if len(errors) else None,
        "isolated_median_error": _median(np.abs(isolated)),
        "isolated_bias": _median(isolated),
        "macs_median_error": _median(by_macs),
    }


def _errors(nets: Rows, predicted: str) -> Array:
    return relative_errors(_column(nets, predicted), _column(nets, "measured_ms"))


def _median(values: Array) -> float | None:
    return float(np.median(values)) if len(values) else None


def _column(nets: Rows, name: str) -> Array:
    return np.array([net[name] for net in nets], dtype=np.float64)


def _milliseconds(seconds: Array, quantile: float) -> Array:
    """Return the quantile of repeats, which lie along the last axis."""
    if not len(seconds):
        return np.zeros(0)
    found: Array = np.quantile(seconds, quantile, axis=-1) * 1000
    return found
