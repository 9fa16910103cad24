"""Runs of invented numbers, of a realistic size, small, or hardly begun."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.invented import SMALL, InventedRun, Size


@pytest.fixture
def invent(tmp_path: Path) -> Callable[..., InventedRun]:
    """Return a function of name, seed and size that begins an invented run."""

    def begin(name: str = "run-a", seed: int = 0, size: Size = SMALL) -> InventedRun:
        return InventedRun(tmp_path / name, seed, size)

    return begin


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> InventedRun:
    """Return a finished run of 20 layers with 1000 scored and 3 retrained architectures.

    It is shared: tests read it and write nothing into it.
    """
    return InventedRun(tmp_path_factory.mktemp("full") / "run-a", 0, Size()).finish()


@pytest.fixture
def small_run(invent: Callable[..., InventedRun]) -> InventedRun:
    """Return a finished run of 6 layers with 30 scored and 2 retrained architectures."""
    return invent().finish()


@pytest.fixture
def young_run(invent: Callable[..., InventedRun]) -> InventedRun:
    """Return a run that has started and recorded nothing else."""
    run = invent("young")
    run.start()
    return run
