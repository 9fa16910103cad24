"""Scoring trials: one architecture each, on actors that outlive them, fed to the evolution."""

import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from raynas.cluster.scoring import run_scoring
from raynas.cluster.searcher import EvolutionSearcher
from raynas.search.evolution import Evolution
from raynas.space import Architecture
from raynas.training.scoring import Score
from tests.builders import build_evolution, run_to_end, sum_of_choices

pytestmark = pytest.mark.cluster


def made(folder: Path, fails: str = "", unscored: str = "") -> Callable[[], Score]:
    """Return what builds a score that notes its process; it fails for some architectures."""

    def make() -> Score:
        (folder / f"built-{os.getpid()}").touch()

        def score(architecture: Architecture) -> float:
            with (folder / f"scored-{os.getpid()}").open("a") as file:
                file.write(f"{architecture}\n")
            if str(architecture) == fails:
                raise ValueError("this one cannot be scored")
            return math.nan if str(architecture) == unscored else float(sum(architecture))

        return score

    return make


def scored(folder: Path) -> list[str]:
    """Return what was scored, in all processes."""
    return [line for file in folder.glob("scored-*") for line in file.read_text().split()]


def search(
    evolution: Evolution, make: Callable[[], Score], concurrent: int = 2
) -> tuple[EvolutionSearcher, list[str]]:
    """Score an evolution to its end; return its searcher and the errors."""
    searcher = EvolutionSearcher(evolution, None, 0)
    return searcher, run_scoring(searcher, make, 1, 0, concurrent)


def rows(evolution: Evolution) -> list[tuple[int, str, float]]:
    """Return what an evolution has scored, in the order of proposal."""
    return sorted(
        (item.child.order, str(item.child.architecture), item.score) for item in evolution.history
    )


@pytest.mark.usefixtures("cluster")
class TestScoring:
    def test_trials_score_what_scoring_in_one_process_does(self, tmp_path: Path) -> None:
        here, there = build_evolution(), build_evolution()
        run_to_end(here, sum_of_choices)
        _, errors = search(there, made(tmp_path))

        assert not errors
        assert rows(there) == rows(here)
        assert Counter(scored(tmp_path)).most_common(1)[0][1] == 1  # each architecture once

    def test_an_actor_serves_many_trials(self, tmp_path: Path) -> None:
        evolution = build_evolution()
        search(evolution, made(tmp_path))

        assert len(scored(tmp_path)) == len(evolution.history) > 20
        assert len(list(tmp_path.glob("built-*"))) <= 4  # two at a time, and few restarts

    def test_failures_and_nan_never_join_the_population(self, tmp_path: Path) -> None:
        first = build_evolution().ask()
        failing, unscored = str(first[0]), str(first[1])
        evolution = build_evolution()
        _, errors = search(evolution, made(tmp_path, failing, unscored))

        assert len(errors) == 1
        assert "this one cannot be scored" in errors[0]
        texts = {text for _, text, _ in rows(evolution)}
        assert not texts & {failing, unscored}
        bred = {parent for item in evolution.history for parent in item.child.parents}
        assert not bred & set(first[:2])
        assert evolution.finished

    def test_a_steady_state_needs_no_barrier_and_scores_as_many(self, tmp_path: Path) -> None:
        evolution = build_evolution(breeding="steady_state")
        search(evolution, made(tmp_path))
        other = build_evolution(breeding="steady_state")
        run_to_end(other, sum_of_choices, chunk=1)

        assert len(evolution.history) == len(other.history)
