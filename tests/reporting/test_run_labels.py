"""Names that tell runs of differentiable searches apart."""

from pathlib import Path
from typing import Any

from raynas.reporting.run_labels import name_runs
from raynas.storage.run_store import RunStore
from tests.analysis.gate_runs import METHODS, begin_gates, settings_of


def begin(folder: Path, method: str = "prdarts", seed: int = 0, **changes: Any) -> RunStore:
    """Return a run of a method with other settings of its searches."""
    return begin_gates(folder, settings_of(method, **changes), seed)


def test_methods_are_told_apart_by_their_names_alone(tmp_path: Path) -> None:
    runs = [begin(tmp_path / method, method) for method in ("darts", "prdarts")]

    assert name_runs(runs, METHODS) == ["darts", "prdarts"]


def test_runs_of_a_method_are_told_apart_by_what_differs_from_it_whatever_comes_first(
    tmp_path: Path,
) -> None:
    runs = [
        begin(tmp_path / "a", path_weight=0.0, epochs=5),
        begin(tmp_path / "b", epochs=5),
        begin(tmp_path / "c", epochs=5, skip_weight=0.0, group_weight=0.25),
    ]

    assert name_runs(runs, METHODS) == [
        "prdarts, path-weight 0",
        "prdarts",
        "prdarts, group-weight 0.25, skip-weight 0",
    ]


def test_seeds_and_their_number_do_not_count(tmp_path: Path) -> None:
    runs = [begin(tmp_path / "a", seeds=3), begin(tmp_path / "b", seed=7)]

    assert name_runs(runs, METHODS) == ["prdarts", "prdarts"]


def test_a_method_whose_file_is_not_at_hand_has_no_defaults(tmp_path: Path) -> None:
    runs = [begin(tmp_path / "a"), begin(tmp_path / "b", path_weight=0.0)]

    assert name_runs(runs, tmp_path) == ["prdarts, path-weight 0.005", "prdarts, path-weight 0"]
