"""Runs on NAS-Bench-Macro's space and files of planted truths, small and without torch."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raynas.benchmark.truths.truth import Truth
from raynas.search.indicators import AdditiveScorer
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore

Array = npt.NDArray[np.float64]
REDUCTIONS = (0, 2, 5)
EVERY = [Architecture(choices) for choices in itertools.product(range(3), repeat=8)]


def sampled(count: int = 300, seed: int = 0) -> list[Architecture]:
    """Return some keys of the space."""
    chosen = np.random.default_rng(seed).choice(len(EVERY), count, replace=False)
    return [EVERY[index] for index in chosen]


def build_table(seed: int = 0) -> Array:
    """Return what each of 3 candidates of 8 layers adds to a score, layers x candidates."""
    return np.random.default_rng(seed).uniform(size=(8, 3))


def record(accuracy: float, *more: float, macs: int = 40_000_000) -> dict[str, Any]:
    """Return what a truth file says of a key."""
    return {"test_acc": [accuracy, *more], "flops": macs, "params": macs // 20}


def build_truth(keys: Sequence[Architecture], table: Array) -> dict[str, dict[str, Any]]:
    """Return a truth file in which an architecture's accuracy is a sum over its layers."""
    accuracies = 50 + 4 * AdditiveScorer(list(table))(keys)
    costs = [8_000_000 + 6_000_000 * sum(key) for key in keys]
    return {
        "".join(map(str, key)): record(float(accuracy), macs=macs)
        for key, accuracy, macs in zip(keys, accuracies, costs, strict=True)
    }


def bare_truth(keys: Sequence[Architecture]) -> Truth:
    """Return a truth, as NAS-Bench-Macro's format has it, of architectures alone."""
    none = np.zeros(len(keys))
    skips = (0,) * len(keys[0])
    return Truth("truth.json", tuple(keys), np.arange(len(keys)), none, none[:, None], skips)


def write_truth(folder: Path, table: Mapping[str, Any]) -> str:
    """Write a truth file and return its path."""
    path = folder / "truth.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    return str(path)


def build_run(
    folder: Path,
    table: Array | None = None,
    *,
    score: str = "taylor",
    seed: int = 0,
    scored: Mapping[Architecture, float | None] | None = None,
    space: str = "nas_bench_macro",
    settings: Settings | None = None,
) -> RunStore:
    """Write a run whose first-order importance is a table, and whose search scored something."""
    store = RunStore.create(str(folder))
    search: Any = {"score": score}
    told = replace(
        settings or Settings(method="fair_taylor"),
        space=space,
        seed=seed,
        search=SearchSettings(**search),
    )
    row = {
        "run": store.name,
        "space": space,
        "settings": told.to_json(),
        "method": told.method,
        "seed": seed,
        "started": datetime(2026, 3, 1, tzinfo=UTC),
    }
    store.append("runs", [row], "run")
    if table is not None:
        store.append("indicators", indicator_rows(table), "000")
    visited = [{"architecture": str(key), "score": value} for key, value in (scored or {}).items()]
    store.append("architectures", visited, "000")
    return store


def indicator_rows(table: Array, step: int = 9) -> list[dict[str, Any]]:
    """Return the rows of first-order importance."""
    names = ("k3e3", "k5e6")
    return [
        {
            "step": step,
            "layer": layer,
            "candidate": candidate,
            "kind": "taylor",
            "value": value,
            "operation": (("conv1x1" if layer in REDUCTIONS else "identity"), *names)[candidate],
        }
        for layer, values in enumerate(table)
        for candidate, value in enumerate(values)
    ]


def gate_rows(ratio: float = 2.0, step: int = 9) -> list[dict[str, Any]]:
    """Return the rows of batch norms whose blocks are so many times as large as identities."""
    told = indicator_rows(np.full((8, 3), ratio), step)
    blocks = [row | {"kind": "block"} for row in told if row["operation"] != "identity"]
    identities = [
        {**row, "kind": "layer", "candidate": None, "value": 1.0}
        for row in told
        if row["operation"] == "identity"
    ]
    return [*blocks, *identities]
