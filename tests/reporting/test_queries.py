"""What a score is made of: the sums of blocks and of skipped layers."""

from pathlib import Path
from typing import Any

import pytest

from raynas.reporting.queries import score_parts, searched_by
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore


def indicator(layer: int, candidate: int, operation: str, value: float) -> dict[str, Any]:
    """Return a row of the table ``indicators``."""
    place = {"step": 9, "layer": layer, "candidate": candidate, "operation": operation}
    return place | {"kind": "score", "value": value}


ROWS = [
    indicator(0, 0, "k3e2", 1.0),
    indicator(0, 1, "k5e2", 2.0),
    indicator(1, 0, "k3e2", 4.0),
    indicator(1, 1, "identity", -0.5),
]


def build_store(folder: Path, settings: Settings, kinds: list[str]) -> RunStore:
    """Return a run whose score is there, and what trainings made of it."""
    store = RunStore.create(str(folder))
    store.append("runs", [{"run": "run", "settings": settings.to_json()}], part="run")
    for kind in kinds:
        store.append("indicators", [row | {"kind": kind} for row in ROWS], part=kind)
    return store


@pytest.mark.parametrize(
    ("architecture", "parts"), [("0-0", (5.0, 0.0)), ("1-1", (2.0, -0.5)), ("0-1", (1.0, -0.5))]
)
def test_a_score_is_what_blocks_and_what_identities_add(
    architecture: str, parts: tuple[float, float]
) -> None:
    assert score_parts(ROWS, architecture) == parts


@pytest.mark.parametrize(
    ("strategy", "kinds", "wanted"),
    [
        ("evolution", ["saliency"], None),
        ("evolution", ["saliency", "score"], "score"),
        ("exact", ["score", "calibrated"], "calibrated"),
        ("calibrated", ["score", "calibrated"], "score"),  # its scores are those it began with
    ],
)
def test_what_was_searched_by_is_the_learned_score_where_there_is_one(
    tmp_path: Path, strategy: Any, kinds: list[str], wanted: str | None
) -> None:
    settings = Settings(search=SearchSettings(strategy=strategy))
    found = searched_by(build_store(tmp_path / "run", settings, kinds))

    assert {row["kind"] for row in found} == ({wanted} if wanted else set())
