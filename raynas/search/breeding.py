"""How an architecture is bred from parents, as SPOS published it (arXiv 1904.00420)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from raynas.spaces.architecture import Architecture

Parents = Sequence[Architecture]


@dataclass(frozen=True)
class Child:
    """A proposed architecture and where it came from.

    Attributes:
        architecture: What is proposed.
        origin: random, mutation or crossover.
        parents: What it was bred from.
        order: How many were proposed before it.
    """

    architecture: Architecture
    origin: str
    parents: tuple[Architecture, ...] = ()
    order: int = 0

    def plain(self) -> dict[str, Any]:
        """Return the child as plain data for JSON."""
        return {
            "architecture": str(self.architecture),
            "origin": self.origin,
            "parents": [str(parent) for parent in self.parents],
            "order": self.order,
        }

    @classmethod
    def parse(cls, row: dict[str, Any]) -> Self:
        """Return the child that ``plain`` described."""
        parents = tuple(Architecture.parse(parent) for parent in row["parents"])
        return cls(Architecture.parse(row["architecture"]), row["origin"], parents, row["order"])


def mutation(
    parents: Parents, sizes: Sequence[int], probability: float, rng: np.random.Generator
) -> Child:
    """Redraw each layer's candidate with a small probability; it may stay the same."""
    parent = parents[int(rng.integers(len(parents)))]
    redraw = rng.random(len(parent)) < probability
    drawn = rng.integers(sizes)
    return Child(Architecture(map(int, np.where(redraw, drawn, parent))), "mutation", (parent,))


def crossover(parents: Parents, rng: np.random.Generator) -> Child:
    """Take each layer's candidate from one of two parents, which may be equal."""
    first, second = (parents[int(rng.integers(len(parents)))] for _ in range(2))
    coin = rng.random(len(first)) < 0.5
    genes = map(int, np.where(coin, first, second))
    return Child(Architecture(genes), "crossover", (first, second))
