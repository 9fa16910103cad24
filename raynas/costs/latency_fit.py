"""Latencies of parts that add up to those of whole networks, fitted to both measurements.

By itself a part finds its weights and inputs in the cache, in a network it may not; so isolated
latencies p are where the fit begins, and whole networks y = A t decide:

    minimise over t >= 0 and s >= 0:  mean ((A t - y) / y)^2 + lambda mean ((t - s p) / (p + e))^2

A counts how often a network has each part, s is what all parts are slower by in a network, e a
tenth of the mean p, so that tiny parts may differ by more than their own size; lambda is chosen
by cross-validation. Source: ridge regression (Hoerl, Kennard 1970) towards a prior, with the
non-negative least squares of Lawson and Hanson (1974).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import optimize

from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import ChoiceBlock, SearchSpace

Array = npt.NDArray[np.float64]
_STRENGTHS = tuple(10.0 ** np.arange(-5, 3.5, 0.5))  # lambda
_FOLDS = 5
_ATTEMPTS = 20  # draws for each network that is wanted


def fit(counts: Array, isolated: Array, measured: Array) -> Array:
    """Return the latency of each part in a network (P), in the unit of what was measured.

    Args:
        counts: How often each network has each part (N x P).
        isolated: The latency of each part by itself (P).
        measured: The latency of each network (N), positive; without any, or with fewer than two
            for each fold of the cross-validation, the isolated ones are all that is known.
    """
    if len(measured) < 2 * _FOLDS:
        return isolated
    errors = [_validated(counts, isolated, measured, strength) for strength in _STRENGTHS]
    return _solved(counts, isolated, measured, _STRENGTHS[int(np.argmin(errors))])


def _validated(counts: Array, isolated: Array, measured: Array, strength: float) -> float:
    """Return the mean squared relative error on networks that each fold leaves out."""
    fold = np.arange(len(measured)) % _FOLDS
    errors = []
    for each in range(_FOLDS):
        rest, out = fold != each, fold == each
        found = _solved(counts[rest], isolated, measured[rest], strength)
        errors.append(relative_errors(counts[out] @ found, measured[out]) ** 2)
    return float(np.concatenate(errors).mean())


def _solved(counts: Array, isolated: Array, measured: Array, strength: float) -> Array:
    """Return t for one lambda; the last unknown is s."""
    networks, parts = counts.shape
    data = np.c_[counts / measured[:, None], np.zeros(networks)] / np.sqrt(networks)
    weight = np.sqrt(strength / parts) / (isolated + isolated.mean() / 10)
    prior = np.c_[np.diag(weight), -weight * isolated]
    wanted = np.r_[np.full(networks, 1 / np.sqrt(networks)), np.zeros(parts)]
    found, _ = optimize.nnls(np.r_[data, prior], wanted)
    times: Array = found[:-1]
    return times


def relative_errors(predicted: Array, measured: Array) -> Array:
    """Return how far predictions are off, as shares of what was measured; above 0: too slow."""
    errors: Array = predicted / measured - 1
    return errors


def counts_of(choices: Iterable[Iterable[int]], parts: int) -> Array:
    """Return how often each network has each part (N x P).

    Args:
        choices: For each network, the numbers of its parts.
        parts: P.
    """
    rows = [np.bincount(list(numbers), minlength=parts) for numbers in choices]
    return np.array(rows, dtype=np.float64).reshape(-1, parts)


def spread_networks(space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Return up to so many different networks, from shallow to deep; fewer in a tiny space.

    Every second one is drawn uniformly; the others skip each layer that may be skipped with a
    probability of their own, since uniform draws alone have hardly any shallow network.
    """
    rng = random_numbers(seed, Stream.TIMED_NETWORKS)
    found: dict[Architecture, None] = {}
    for number in range(_ATTEMPTS * count):
        if len(found) == count:
            break
        skips = rng.random() if number % 2 else 0.0
        found[Architecture(_choice(block, skips, rng) for block in space.blocks)] = None
    return list(found)


def _choice(block: ChoiceBlock, skips: float, rng: np.random.Generator) -> int:
    drawn, is_skipped = int(rng.integers(block.size)), bool(rng.random() < skips)
    return block.identity if is_skipped and block.identity is not None else drawn
