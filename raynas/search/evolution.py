"""SPOS evolution with ask and tell: it knows neither who scores architectures nor where.

Source: SPOS (Guo et al. 2020), section 3.4 and its published search; ``ALGORITHMS`` 6.3. Parents
are the best of *all* generations so far; no architecture is proposed twice; every loop is
bounded, so a small or tightly limited space ends the search early instead of hanging it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from raynas.search.legal import LegalSampler
from raynas.settings import SearchSettings
from raynas.space import Architecture

_EVOLUTION = 3  # stream of random numbers, apart from those of paths (1) and batches (2)
_ATTEMPTS = 10  # tries per wanted child, as published


@dataclass(frozen=True)
class Child:
    """A proposed architecture and where it came from."""

    architecture: Architecture
    origin: str
    parents: tuple[Architecture, ...] = ()


@dataclass(frozen=True)
class Scored:
    """A scored architecture: a row of the table ``architectures``."""

    order: int
    generation: int
    child: Child
    score: float


class Evolution:
    """Generations of architectures: ``ask`` for the next ones, ``tell`` their scores."""

    def __init__(self, sampler: LegalSampler, settings: SearchSettings, seed: int) -> None:
        """Draw the first generation.

        Args:
            sampler: Draws and judges legal architectures.
            settings: Sizes and probabilities.
            seed: Seed of the run.
        """
        self._sampler = sampler
        self._settings = settings
        self._rng = np.random.default_rng([seed, _EVOLUTION])
        self.generation = 0
        self.history: list[Scored] = []
        self._seen: set[Architecture] = set()
        self._waiting: list[Child] = []
        self._asked: dict[Architecture, Child] = {}
        self._waiting = self._fill([], settings.population, self._random)

    @property
    def finished(self) -> bool:
        """Whether every generation has been scored, or no legal architecture is left."""
        return not self._waiting and not self._asked

    def ask(self, count: int | None = None) -> list[Architecture]:
        """Return up to ``count`` architectures of this generation that nobody has asked for.

        An empty list before ``finished`` means: first tell what is out.
        """
        count = len(self._waiting) if count is None else count
        asked, self._waiting = self._waiting[:count], self._waiting[count:]
        self._asked |= {child.architecture: child for child in asked}
        return [child.architecture for child in asked]

    def tell(self, architectures: Iterable[Architecture], scores: Iterable[float]) -> None:
        """Take scores; one that is not finite marks a failure, which never breeds.

        Raises:
            KeyError: An architecture that is not out.
        """
        for architecture, score in zip(architectures, scores, strict=True):
            child = self._asked.pop(architecture)
            if math.isfinite(score):
                self.history.append(Scored(len(self.history), self.generation, child, float(score)))
        if not self._waiting and not self._asked:
            self._advance()

    def ranked(self) -> list[Scored]:
        """Return all scored architectures, best first; ties in the order of scoring."""
        return sorted(self.history, key=lambda scored: (-scored.score, scored.order))

    def _advance(self) -> None:
        """Breed the next generation: mutations, crossovers, and random ones to fill up."""
        self.generation += 1
        if self.generation >= self._settings.generations:
            return
        parents = [scored.child.architecture for scored in self.ranked()[: self._settings.parents]]
        children: list[Child] = []
        if parents:
            mutations, crossovers = self._shares()
            children = self._fill([], mutations, lambda: self._mutation(parents))
            children += self._fill([], crossovers, lambda: self._crossover(parents))
        self._waiting = self._fill(children, self._settings.population, self._random)

    def _shares(self) -> tuple[int, int]:
        """Return how many mutations and crossovers to breed: no more than the population."""
        mutations, crossovers = self._settings.mutations, self._settings.crossovers
        population = self._settings.population
        if mutations + crossovers > population:
            mutations = round(population * mutations / (mutations + crossovers))
            crossovers = population - mutations
        return mutations, crossovers

    def _fill(
        self, children: list[Child], count: int, draw: Callable[[], Child | None]
    ) -> list[Child]:
        """Add new legal children up to ``count``, within ten attempts for each."""
        filled = children[:count]
        for _ in range(_ATTEMPTS * (count - len(filled))):
            if len(filled) == count:
                break
            child = draw()
            if child is None or child.architecture in self._seen:
                continue
            if self._sampler.allows(child.architecture):
                self._seen.add(child.architecture)
                filled.append(child)
        return filled

    def _random(self) -> Child | None:
        architecture = self._sampler.draw(self._rng)
        return None if architecture is None else Child(architecture, "random")

    def _mutation(self, parents: Sequence[Architecture]) -> Child:
        """Redraw each layer's candidate with a small probability; it may stay the same."""
        parent = parents[int(self._rng.integers(len(parents)))]
        redraw = self._rng.random(len(parent)) < self._settings.mutation_probability
        drawn = self._rng.integers(self._sampler.sizes)
        return Child(Architecture(map(int, np.where(redraw, drawn, parent))), "mutation", (parent,))

    def _crossover(self, parents: Sequence[Architecture]) -> Child:
        """Take each layer's candidate from one of two parents, which may be equal."""
        first, second = (parents[int(self._rng.integers(len(parents)))] for _ in range(2))
        coin = self._rng.random(len(first)) < 0.5
        return Child(
            Architecture(map(int, np.where(coin, first, second))), "crossover", (first, second)
        )

    def state(self) -> dict[str, Any]:
        """Return everything that ``restore`` needs, as plain data for JSON."""
        return {
            "generation": self.generation,
            "history": [_plain(scored) for scored in self.history],
            "waiting": [_plain_child(child) for child in self._waiting],
            "asked": [_plain_child(child) for child in self._asked.values()],
            "seen": sorted(map(str, self._seen)),
            "rng": self._rng.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Continue from a state; what was asked for and never told is asked for again."""
        self.generation = state["generation"]
        self.history = [
            Scored(row["order"], row["generation"], _child(row), row["score"])
            for row in state["history"]
        ]
        self._waiting = [_child(row) for row in [*state["asked"], *state["waiting"]]]
        self._asked = {}
        self._seen = {Architecture.parse(text) for text in state["seen"]}
        self._rng.bit_generator.state = state["rng"]
        return self


def _plain(scored: Scored) -> dict[str, Any]:
    row = {"order": scored.order, "generation": scored.generation, "score": scored.score}
    return row | _plain_child(scored.child)


def _plain_child(child: Child) -> dict[str, Any]:
    return {
        "architecture": str(child.architecture),
        "origin": child.origin,
        "parents": [str(parent) for parent in child.parents],
    }


def _child(row: dict[str, Any]) -> Child:
    parents = tuple(Architecture.parse(parent) for parent in row["parents"])
    return Child(Architecture.parse(row["architecture"]), row["origin"], parents)
