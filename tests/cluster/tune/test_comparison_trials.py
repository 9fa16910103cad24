"""Which runs of a comparison share a supernet, and what a trial does with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
from ray import tune

from raynas.cluster.tune.comparison_trials import (
    Cell,
    CellRecorder,
    SupernetTrial,
    make_cells,
    share_supernets,
)
from raynas.errors import StageError
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.storage.schemas import SCHEMAS
from tests.builders import ROOT

FOLDER = ROOT / "launch" / "settings"
SHARING = ("fair_taylor", "fair_saliency", "layer_weighted")
"""Methods whose supernet is the same; the last one is made here."""


def cells_of(folder: Path, *methods: str, seeds: int = 1) -> list[Cell]:
    saliency = load_method("fair_saliency", FOLDER)
    made = replace(saliency, search=replace(saliency.search, score="layer_weighted"))
    named = {
        method: replace(made, method=method)
        if method == SHARING[-1]
        else load_method(method, FOLDER)
        for method in methods
    }
    return make_cells(named, seeds, str(folder))


def finish(cell: Cell) -> None:
    """Write a run that has ended and lacks no table."""
    for table in SCHEMAS.keys() - {"runs"}:
        cell.store.append(table, [{}], "all")
    cell.store.append("runs", [{"finished": datetime(2026, 3, 1, tzinfo=UTC)}], "run")


def test_methods_with_the_same_pretraining_and_seed_share_a_supernet(tmp_path: Path) -> None:
    methods = ("fair_saliency", "spos", "fair_taylor", "random", "naswot")
    groups = share_supernets(cells_of(tmp_path, *methods, seeds=2))

    assert [[cell.name for cell in group] for group in groups] == [
        [f"{name}-seed{seed}" for name in names]
        for seed in range(2)
        for names in (["fair_saliency", "fair_taylor"], ["spos"], ["random"], ["naswot"])
    ]


def trial_of(cells: list[Cell], work: Any, folder: Path) -> SupernetTrial:
    """Return a trial of one group, outside of Tune."""
    trial = object.__new__(SupernetTrial)
    trial.setup({"group": 0}, groups=[cells], work=work, folder=folder)
    return trial


def test_a_trial_does_its_runs_in_order_and_hands_a_finished_pretraining_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = cells_of(tmp_path, *SHARING)
    finish(cells[1])
    seen: list[tuple[str, str, str | None]] = []

    def work(settings: Settings, folder: str, source: str | None) -> list[str]:
        seen.append((settings.method, folder, source))
        cells[0].store.append("ledger", [{"layer": 0}], "final")
        cells[0].store.write_bytes(CHECKPOINT, safetensors.torch.save({}))
        if settings.method == SHARING[0]:
            raise StageError("all trials failed")
        raise RuntimeError("a bug")

    trial = trial_of(cells, work, tmp_path)
    results = [trial.step() for _ in cells]

    assert seen == [
        (SHARING[0], cells[0].store.uri, None),
        (SHARING[2], cells[2].store.uri, cells[0].store.uri),
    ]
    assert [result["cell"] for result in results] == [cell.name for cell in cells]
    assert [result[tune.result.DONE] for result in results] == [False, False, True]
    assert results[0]["error"] == "all trials failed"
    assert results[1]["error"] is None
    assert results[2]["error"].endswith("RuntimeError: a bug")


def test_each_run_s_end_is_told_once_and_a_lost_trial_fails_the_rest(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, *SHARING)
    finish(cells[0])
    told: list[tuple[str, str | None, Sequence[str]]] = []
    recorder = CellRecorder([cells], lambda cell, *found: told.append((cell.name, *found)))
    trial = SimpleNamespace(config={"group": 0}, error_file=None, get_error=lambda: "node lost")

    def tell(result: Mapping[str, Any]) -> None:
        recorder.on_trial_result(0, [], trial, result)

    for _ in range(2):
        tell({"cell": cells[0].name, "error": None, "warnings": []})
        tell({"cell": cells[1].name, "error": "it broke", "warnings": ["beware"]})
    recorder.on_trial_error(0, [], trial)

    assert told == [(cells[1].name, "it broke", ["beware"]), (cells[2].name, "node lost", [])]
