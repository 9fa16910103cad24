"""Small run folders, written table by table."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Row = dict[str, Any]


def make_run(
    folder: Path,
    finished: bool = True,
    settings: Settings | None = None,
    plan: Row | None = None,
    **tables: list[Row],
) -> RunStore:
    """Return a run folder; columns that rows do not name are null."""
    store = RunStore.create(str(folder / "run"))
    run = {
        "run": "run",
        "space": "small_mobile",
        "method": "fair_saliency",
        "seed": 0,
        "settings": (settings or Settings()).to_json(),
        "started": STARTED,
        "finished": STARTED + timedelta(seconds=90) if finished else None,
        "plan": json.dumps(plan or {}),
    }
    for name, rows in {"runs": [run], **tables}.items():
        empty = dict.fromkeys(SCHEMAS[name].names)
        store.append(name, [empty | row for row in rows], "rows")
    return store


def outcome(rank: int, architecture: str = "1-0", **values: Any) -> Row:
    """Return a row of the table ``outcomes``."""
    return {
        "rank": rank,
        "architecture": architecture,
        "score": 1.5,
        "macs": 12_300,
        "params": 456,
        "val_accuracy": 0.75,
        "test_accuracy": 0.725,
        "epochs": 3,
        "status": "finished",
        "test_images": 400,
    } | values
