"""Runs of invented numbers, of a realistic size, small, or hardly begun."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.invented import InventedRun, Size

SMALL = Size(layers=6, steps=60, records=3, generations=3, population=10, retrained=2, epochs=4)


@pytest.fixture
def invent(tmp_path: Path) -> Callable[..., InventedRun]:
    """Return a function of name, seed and size that begins an invented run."""

    def begin(name: str = "run-a", seed: int = 0, size: Size = SMALL) -> InventedRun:
        return InventedRun(tmp_path / name, seed, size)

    return begin


@pytest.fixture
def full_run(invent: Callable[..., InventedRun]) -> InventedRun:
    """Return a finished run of 20 layers with 1000 scored and 3 retrained architectures."""
    return invent(size=Size()).finish()


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
