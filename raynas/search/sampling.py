"""Which paths a pretraining step trains: strictly fair (FairNAS, Algorithm 1) or uniform (SPOS).

Every function is pure: the same seed and step give the same paths on any machine.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture


def fair_paths(
    sizes: Sequence[int], seed: int, step: int, extra: str = "rotate"
) -> list[Architecture]:
    """Return the paths of a strictly fair step: each candidate of each layer at least once.

    There are M = max(sizes) paths. A layer with M candidates permutes them; a layer with fewer
    (a reduction layer beside layers with identity) fills up with extra ones (Algorithm 1, R1).

    Args:
        sizes: Number of candidates per layer.
        seed: Seed of the run.
        step: Step number.
        extra: "rotate" takes the extra candidates in turn, so that counts are equal again
            after every ``fairness_cycle`` steps; "random" draws them uniformly.
    """
    rng = random_numbers(seed, Stream.PATHS, step)
    num_paths = max(sizes)
    slots = [rng.permutation(_filled(size, num_paths, step, extra, rng)) for size in sizes]
    return [Architecture(map(int, path)) for path in zip(*slots, strict=True)]


def _filled(
    size: int, num_paths: int, step: int, extra: str, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return all candidates of a layer, and extra ones up to the number of paths."""
    missing = num_paths - size
    if extra == "rotate":
        added = (step * missing + np.arange(missing)) % size
    else:
        added = rng.integers(size, size=missing)
    return np.concatenate([np.arange(size), added])


def uniform_paths(sizes: Sequence[int], seed: int, step: int) -> list[Architecture]:
    """Return the one path of a SPOS step: a uniform candidate in each layer."""
    rng = random_numbers(seed, Stream.PATHS, step)
    return [Architecture(int(choice) for choice in rng.integers(sizes))]


def fairness_cycle(sizes: Sequence[int], extra: str = "rotate") -> int:
    """Return after how many steps the counts of all candidates of a layer are equal again.

    A layer of n candidates gets M - n extra ones a step, in turn: n / gcd(n, M - n) steps.
    """
    if extra != "rotate":
        return 1
    num_paths = max(sizes)
    return math.lcm(*(size // math.gcd(size, num_paths - size) for size in sizes))


def count_updates(sizes: Sequence[int], paths: Sequence[Architecture]) -> npt.NDArray[np.int64]:
    """Return how often the paths use each candidate, as an L x max(sizes) array of counts."""
    counts = np.zeros((len(sizes), max(sizes)), dtype=np.int64)
    layers = np.arange(len(sizes))
    for path in paths:
        counts[layers, path] += 1
    return counts
