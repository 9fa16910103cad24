"""SPOS evolution with ask and tell: it knows neither who scores architectures nor where.

Source: SPOS (Guo et al. 2020), section 3.4 and its published search. Parents
are the best of *all* that was told so far, by score or by Pareto fronts (FairNAS); no architecture
is proposed twice; every loop is bounded, so a small or tightly limited space ends the search
early instead of hanging it. Children are bred a generation at a time, or one at a time.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import nsmallest
from itertools import islice
from typing import Any, Self

import numpy as np

from raynas.search import pareto
from raynas.search.breeding import Child, crossover, mutation
from raynas.search.constrained_sampling import LegalSampler
from raynas.seeds import Stream, random_numbers
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture

_ATTEMPTS = 10  # tries per wanted child, as published

_Draw = Callable[[], Child | None]


@dataclass(frozen=True)
class Scored:
    """A scored architecture: a row of the table ``architectures``."""

    generation: int
    child: Child
    score: float


class Evolution:
    """Generations of architectures: ``ask`` for the next ones, ``tell`` their scores.

    With steady-state breeding a generation is a window: as many told ones as a population has.
    """

    def __init__(self, sampler: LegalSampler, settings: SearchSettings, seed: int) -> None:
        """Draw the first generation.

        Args:
            sampler: Draws and judges legal architectures.
            settings: Sizes and probabilities.
            seed: Seed of the run.
        """
        self._sampler = sampler
        self._settings = settings
        self._rng = random_numbers(seed, Stream.EVOLUTION)
        self._is_steady = settings.breeding == "steady_state"
        self.generation = 0
        self.history: list[Scored] = []
        self._objectives: list[tuple[float, ...]] = []
        self._best: list[Scored] = []  # as many as there are parents
        self._seen: set[Architecture] = set()
        self._waiting: list[Child] = []
        self._asked: dict[Architecture, Child] = {}
        self._exhausted = False
        self._waiting = self._fill([], settings.population, self._random)

    @property
    def finished(self) -> bool:
        """Whether every generation has been scored, or no legal architecture is left."""
        is_over = not self._is_steady or self._exhausted or not self._num_left
        return not self._waiting and not self._asked and is_over

    @property
    def _num_left(self) -> int:
        """How many architectures may still be proposed."""
        return self._settings.generations * self._settings.population - len(self._seen)

    @property
    def _num_told(self) -> int:
        return len(self._seen) - len(self._waiting) - len(self._asked)

    def ask(self, count: int | None = None) -> list[Architecture]:
        """Return up to ``count`` architectures that nobody has asked for.

        Without a count: the rest of this generation, or in a steady state one child at least.
        An empty list before ``finished`` means: first tell what is out.
        """
        count = max(len(self._waiting), 1) if count is None else count
        if self._is_steady:
            self._breed(count - len(self._waiting))
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
                self._add(Scored(self.generation, child, float(score)))
            if self._is_steady:
                self.generation = self._num_told // self._settings.population
        if not self._is_steady and not self._waiting and not self._asked:
            self._advance()

    def ranked(self) -> list[Scored]:
        """Return all scored architectures, best first; ties in the order of proposal."""
        return list(self._best_first())

    def winners(self, count: int, min_distance: int = 1) -> list[Scored]:
        """Return the best ones of all, or points along the first front, highest score first.

        Args:
            count: How many.
            min_distance: Layers in which each differs from every better one; where too few do, the
                best of the others fill up. A front keeps no distance.
        """
        if not self._settings.goals or not self.history:
            if min_distance == 1:  # each was scored once
                return nsmallest(count, self.history, key=_by_score)
            return apart(sorted(self.history, key=_by_score), count, min_distance)
        found, objectives = self._in_order()
        first = next(pareto.fronts(objectives))
        return [found[first[place]] for place in pareto.along(objectives[first], count)]

    def _best_first(self) -> Iterator[Scored]:
        if self._settings.goals:
            found, objectives = self._in_order()
            return (found[place] for place in pareto.best_first(objectives))
        return iter(sorted(self.history, key=_by_score))

    def _in_order(self) -> tuple[list[Scored], pareto.Array]:
        """Return all scored ones and their objectives (N x M) in the order of proposal.

        It decides between equals, however the answers came in.
        """
        order = np.argsort([item.child.order for item in self.history], kind="stable")
        shape = (-1, 1 + len(self._settings.goals))
        objectives = np.array(self._objectives, dtype=np.float64).reshape(shape)
        return [self.history[place] for place in order], objectives[order]

    def _parents(self) -> list[Architecture]:
        best: Iterable[Scored] = self._best
        if self._settings.goals:
            best = islice(self._best_first(), self._settings.parents)
        return [scored.child.architecture for scored in best]

    def _add(self, scored: Scored) -> None:
        cost = self._sampler.costs.of(scored.child.architecture)
        self.history.append(scored)
        self._objectives.append((-scored.score, *map(cost.of, self._settings.goals)))
        insort(self._best, scored, key=_by_score)
        del self._best[self._settings.parents :]

    def _advance(self) -> None:
        """Breed the next generation: mutations, crossovers, and random ones to fill up."""
        self.generation += 1
        if self.generation >= self._settings.generations:
            return
        parents = self._parents()
        children: list[Child] = []
        if parents:
            mutations, crossovers = self._shares()
            children = self._fill([], mutations, self._mutation(parents))
            children += self._fill([], crossovers, self._crossover(parents))
        self._waiting = self._fill(children, self._settings.population, self._random)

    def _breed(self, count: int) -> None:
        """Breed so many children of the best so far, once the first population is told."""
        is_first = self._num_told < self._settings.population and (self._waiting or self._asked)
        if is_first or self._exhausted or min(count, self._num_left) <= 0:
            return
        parents = self._parents()
        for _ in range(min(count, self._num_left)):
            children = self._fill([], 1, self._kind(parents)) or self._fill_up()
            if not children:
                self._exhausted = True
                return
            self._waiting += children

    def _fill_up(self) -> list[Child]:
        """Return a random child, if as many tries as a whole generation has find a new one."""
        return self._fill([], 1, self._random, _ATTEMPTS * self._settings.population)

    def _kind(self, parents: list[Architecture]) -> _Draw:
        """Return how to draw one child; the shares of a generation are its probabilities."""
        mutations, crossovers = self._shares()
        lot = int(self._rng.integers(self._settings.population))
        if not parents or lot >= mutations + crossovers:
            return self._random
        return self._mutation(parents) if lot < mutations else self._crossover(parents)

    def _shares(self) -> tuple[int, int]:
        """Return how many mutations and crossovers to breed: no more than the population."""
        mutations, crossovers = self._settings.mutations, self._settings.crossovers
        population = self._settings.population
        if mutations + crossovers > population:
            mutations = round(population * mutations / (mutations + crossovers))
            crossovers = population - mutations
        return mutations, crossovers

    def _fill(
        self, children: list[Child], count: int, draw: _Draw, attempts: int | None = None
    ) -> list[Child]:
        """Add new legal children up to ``count``, within ten attempts for each if not told."""
        filled = children[:count]
        attempts = _ATTEMPTS * (count - len(filled)) if attempts is None else attempts
        for _ in range(attempts):
            if len(filled) == count:
                break
            child = draw()
            if child is None or child.architecture in self._seen:
                continue
            if self._sampler.allows(child.architecture):
                filled.append(replace(child, order=len(self._seen)))
                self._seen.add(child.architecture)
        return filled

    def _random(self) -> Child | None:
        architecture = self._sampler.draw(self._rng)
        return None if architecture is None else Child(architecture, "random")

    def _mutation(self, parents: list[Architecture]) -> _Draw:
        probability = self._settings.mutation_probability
        return partial(mutation, parents, self._sampler.sizes, probability, self._rng)

    def _crossover(self, parents: list[Architecture]) -> _Draw:
        return partial(crossover, parents, self._rng)

    def state(self) -> dict[str, Any]:
        """Return everything that ``restore`` needs, as plain data for JSON."""
        return {
            "generation": self.generation,
            "history": [_plain(scored) for scored in self.history],
            "waiting": [child.plain() for child in self._waiting],
            "asked": [child.plain() for child in self._asked.values()],
            "seen": sorted(map(str, self._seen)),
            "exhausted": self._exhausted,
            "rng": self._rng.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Continue from a state; what was asked for and never told is asked for again."""
        self.generation = state["generation"]
        self.history, self._objectives, self._best = [], [], []
        for row in state["history"]:
            self._add(Scored(row["generation"], Child.parse(row), row["score"]))
        self._waiting = [Child.parse(row) for row in [*state["asked"], *state["waiting"]]]
        self._asked = {}
        self._seen = {Architecture.parse(text) for text in state["seen"]}
        self._exhausted = state.get("exhausted", False)  # runs before steady states have none
        self._rng.bit_generator.state = state["rng"]
        return self


def apart(ranked: Sequence[Scored], count: int, min_distance: int) -> list[Scored]:
    """Return the best ones that differ from every better one, and fill up with the best others."""
    chosen: list[Scored] = []
    for item in ranked:
        own = item.child.architecture
        pairs = (zip(own, each.child.architecture, strict=True) for each in chosen)
        if all(sum(a != b for a, b in pair) >= min_distance for pair in pairs):
            chosen.append(item)
        if len(chosen) == count:
            return chosen
    taken = {item.child.architecture for item in chosen}
    others = [item for item in ranked if item.child.architecture not in taken]
    return sorted([*chosen, *others[: count - len(chosen)]], key=_by_score)


def _by_score(scored: Scored) -> tuple[float, int]:
    """Return what sorts the best first, and equals by the order of proposal."""
    return -scored.score, scored.child.order


def _plain(scored: Scored) -> dict[str, Any]:
    return {"generation": scored.generation, "score": scored.score} | scored.child.plain()
