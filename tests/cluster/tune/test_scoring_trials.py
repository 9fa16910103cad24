"""Scoring trials: one architecture each, on actors that outlive them, fed to the evolution.

A trial takes Tune a good part of a second on a busy machine, so generations are few and small.
"""

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raynas.cluster.planning.connection import Resources
from raynas.cluster.tune.scoring_trials import run_scoring
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.search.evolution import Evolution
from raynas.spaces.architecture import Architecture
from raynas.training.scoring import Scorer
from tests.builders import build_evolution, run_to_end, sum_of_choices

pytestmark = pytest.mark.cluster

TINY: dict[str, Any] = {
    "generations": 3,
    "population": 4,
    "parents": 2,
    "mutations": 2,
    "crossovers": 1,
}


def made(folder: Path, fails: str = "", unscored: str = "") -> Callable[[], Scorer]:
    """Return what builds a score that notes its process; it fails for some architectures."""

    def make() -> Scorer:
        (folder / f"built-{os.getpid()}").touch()

        def score(architecture: Architecture) -> float:
            with (folder / f"scored-{os.getpid()}").open("a") as file:
                file.write(f"{architecture}\n")
            if str(architecture) == fails:
                raise ValueError("this one cannot be scored")
            return math.nan if str(architecture) == unscored else float(sum(architecture))

        return score

    return make


@dataclass(frozen=True)
class Search:
    """A search that has ended, and where its actors left their notes."""

    evolution: Evolution
    folder: Path
    errors: list[str]

    def scored(self) -> list[str]:
        """Return what was scored, in all processes."""
        return [line for file in self.folder.glob("scored-*") for line in file.read_text().split()]

    def rows(self) -> list[tuple[int, str, float]]:
        """Return what has a score, in the order of proposal."""
        return rows(self.evolution)


def rows(evolution: Evolution) -> list[tuple[int, str, float]]:
    """Return what an evolution has scored, in the order of proposal."""
    return sorted(
        (item.child.order, str(item.child.architecture), item.score) for item in evolution.history
    )


def search(folder: Path, fails: str = "", unscored: str = "", **settings: Any) -> Search:
    """Score a tiny evolution to its end, two architectures at a time."""
    evolution = build_evolution(**(TINY | settings))
    searcher = EvolutionSearcher(evolution, None, 0)
    return Search(evolution, folder, run_scoring(searcher, made(folder, fails, unscored), 1, 0, 2))


@pytest.fixture(scope="module")
def ended(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Search:
    """Return a search without failures."""
    assert cluster.cpus >= 2
    return search(tmp_path_factory.mktemp("ended"))


@pytest.mark.usefixtures("cluster")
class TestScoring:
    def test_trials_score_what_scoring_in_one_process_does(self, ended: Search) -> None:
        here = build_evolution(**TINY)
        run_to_end(here, sum_of_choices)

        assert not ended.errors
        assert ended.rows() == rows(here)
        assert Counter(ended.scored()).most_common(1)[0][1] == 1  # each architecture once

    def test_an_actor_serves_many_trials(self, ended: Search) -> None:
        assert len(ended.scored()) == len(ended.evolution.history) == 12
        built = len(list(ended.folder.glob("built-*")))
        assert built < 10  # two at a time; one that finds no work at a generation's end may go

    @pytest.mark.slow
    def test_failures_and_nan_never_join_the_population(self, tmp_path: Path) -> None:
        first = build_evolution(**TINY).ask()
        failing, unscored = map(str, sorted(first, key=sum)[-2:])  # they would have been parents
        found = search(tmp_path, failing, unscored, generations=2)

        assert len(found.errors) == 1
        assert "this one cannot be scored" in found.errors[0]
        assert not {text for _, text, _ in found.rows()} & {failing, unscored}
        bred = {str(each) for item in found.evolution.history for each in item.child.parents}
        assert bred
        assert not bred & {failing, unscored}
        assert found.evolution.finished

    @pytest.mark.slow
    def test_a_steady_state_needs_no_barrier_and_scores_as_many(self, tmp_path: Path) -> None:
        settings = TINY | {"breeding": "steady_state", "generations": 2}
        found = search(tmp_path, **settings)
        alone = build_evolution(**settings)
        run_to_end(alone, sum_of_choices, chunk=1)

        assert len(found.evolution.history) == len(alone.history) == 8
