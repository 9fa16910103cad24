"""Run folders of differentiable searches: of real ones, and of gates that wander at random."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from raynas.differentiable.epochs import SearchEpoch, cell_gates, derived, epoch_row, gate_rows
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.spaces.cells import CellSpace
from raynas.storage.run_store import RunStore
from tests.analysis.invented import STARTED, Row
from tests.builders import ROOT, shipped_cells

METHODS = ROOT / "launch" / "settings"
SPACE = shipped_cells()
_FINAL = 1.0  # of the alphas' drift


def settings_of(method: str, **changes: Any) -> Settings:
    """Return the settings of a method that ships, with other ones of ``[differentiable]``."""
    settings = load_method(method, METHODS)
    return replace(settings, differentiable=replace(settings.differentiable, **changes))


def begin_gates(folder: Path, settings: Settings, seed: int = 0) -> RunStore:
    """Return the folder of a run that has begun."""
    store = RunStore.create(str(folder))
    row = {
        "run": store.name,
        "space": settings.space,
        "method": settings.method,
        "seed": seed,
        "settings": settings.to_json(),
        "started": STARTED,
    }
    store.append("runs", [row], "run")
    return store


def write_search(
    store: RunStore,
    seed: int,
    epochs: Iterable[SearchEpoch],
    status: str | None = "finished",
    space: CellSpace = SPACE,
) -> None:
    """Write what a search did, as the cluster writes it."""
    rows: list[Row] = []
    for epoch in epochs:
        rows.append({"seed": seed, **epoch_row(epoch)})
        gates = [{"seed": seed, **row} for row in gate_rows(epoch, space)]
        store.append("gates", gates, f"{seed:06}-{epoch.epoch:06}")
    rows[-1]["status"] = status
    store.append("search_epochs", rows, f"{seed:06}")


def invented_epochs(
    settings: Settings, seed: int, epochs: int, skips: float = 0.0
) -> list[SearchEpoch]:
    """Return epochs in which gates wander; how much skip connections gain by the end is given."""
    own, generator = settings.differentiable, torch.Generator().manual_seed(seed)
    names = [operation.name for operation in SPACE.operations]
    pull = torch.tensor([skips * (name == "skip_connect") for name in names])
    shape = (len(SPACE.edges), len(names))
    ends = {
        cell: _FINAL * torch.randn(shape, generator=generator) + pull
        for cell in ("normal", "reduction")
    }
    found = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        alphas = {
            cell: share * end + 0.3 * torch.randn(shape, generator=generator) * (1 - share)
            for cell, end in ends.items()
        }
        temperature = own.temperature(epoch - 1) if own.gates == "hard_concrete" else None
        normal, reduction = (
            cell_gates(SPACE, alphas, own, temperature, cell) for cell in ("normal", "reduction")
        )
        found.append(
            SearchEpoch(
                epoch=epoch,
                temperature=temperature,
                learning_rate=0.025 * (1 - share),
                train_loss=2.3 - share,
                val_loss=2.3 - 0.9 * share,
                val_accuracy=0.1 + 0.6 * share + 0.01 * seed,
                penalty=0.0,
                genotype=str(derived(SPACE, alphas, own)),
                normal=normal,
                reduction=reduction,
                seconds=2.0,
            )
        )
    return found


def invent_gates(
    folder: Path,
    method: str = "prdarts",
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int = 6,
    skips: float = 0.0,
    **changes: Any,
) -> RunStore:
    """Return the folder of a run whose searches have ended."""
    settings = settings_of(method, seeds=len(seeds), epochs=epochs, **changes)
    store = begin_gates(folder, settings, seeds[0])
    for seed in seeds:
        write_search(store, seed, invented_epochs(settings, seed, epochs, skips))
    return store
