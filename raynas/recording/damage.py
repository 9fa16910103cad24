"""What a run folder lacks, or holds cut off: by a full disk, a crash of its storage, a person."""

import json
from collections.abc import Iterator
from typing import Any

from raynas.errors import UserError
from raynas.recording.outcomes import SEARCH_STATE
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.recording.reuse import PRETRAINING
from raynas.settings.settings import Settings
from raynas.storage.outcome_rows import name_of_row
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RUN_COPY, DamagedError, RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.training.checkpoints import checkpoint_path, is_whole
from raynas.training.starts.inheriting import SUPERNET
from raynas.training.starts.start import START

_FOUND_BY_SEARCH = [name for name in SCHEMAS if name not in {"runs", *PRETRAINING}]


def write_run(store: RunStore, row: dict[str, Any]) -> None:
    """Write the row of ``runs``, and its copy."""
    store.append("runs", [row], part="run")
    store.write_bytes(RUN_COPY, store.read_bytes("tables/runs/run.parquet"))


def read_run(store: RunStore) -> dict[str, Any] | None:
    """Return the row of ``runs``, or of its copy where that is lost; None: there is no run.

    Raises:
        UserError: Both are lost, and the folder holds what some run has found.
    """
    if rows := _whole_rows(store) or _copied_rows(store):
        return rows[0]
    left = [f"tables/{name}" for name in _FOUND_BY_SEARCH if store.list_files(f"tables/{name}")]
    left += [path for path in _continued_from(store) if path not in {CHECKPOINT, RUN_COPY}]
    if left:
        raise UserError(
            f"run folder {store.uri}: tables/runs is lost, and with it of which settings the rest "
            f"is ({left[0]} and so on), so it cannot be continued; choose another --run (its "
            "models and exports are as they were)"
        )
    return None


def _whole_rows(store: RunStore) -> list[dict[str, Any]]:
    try:
        return store.rows("runs")
    except DamagedError:
        return []


def _copied_rows(store: RunStore) -> list[dict[str, Any]]:
    if not store.has(RUN_COPY):  # asked first: below a file there is nothing to open
        return []
    try:
        return store.rows_of_file(RUN_COPY, "runs")
    except (FileNotFoundError, DamagedError):
        return []


def _continued_from(store: RunStore) -> list[str]:
    return [
        f"{folder}/{name}"
        for folder in ("checkpoints", "models")
        for name in sorted(store.list_files(folder))
    ]


def damaged(store: RunStore) -> Iterator[str]:
    """Yield the files from which a run continues that cannot be read to their end."""
    for table in SCHEMAS:
        yield from store.damaged(table)
    for path in _continued_from(store):
        if path.endswith(".safetensors") and not is_whole(store, path):
            yield path
    yield from (path for path in (START, SUPERNET) if store.has(path) and not is_whole(store, path))
    if store.has(SEARCH_STATE) and not _is_json(store.read_bytes(SEARCH_STATE)):
        yield SEARCH_STATE


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def missing(store: RunStore, settings: Settings) -> list[str]:
    """Return what a finished run lacks that the same command makes again.

    The losses of steps are not among it, which nothing but another pretraining could tell, nor are
    checkpoints, of which a finished run has no need.
    """
    lost = list(damaged(store))
    if lost:
        return lost
    outcomes = [*store.rows("outcomes"), *store.rows("rivals")]
    row = read_run(store)
    needed = _needed(settings, PlanFacts.from_json(row["plan"] if row else None))
    if any(store.has(checkpoint_path(name_of_row(row))) for row in outcomes):
        needed.append("trials")  # which nothing else could tell
    tables = [f"tables/{name}" for name in needed if not store.parts(name)]
    models = [row["checkpoint"] for row in outcomes if row["status"] == "finished"]
    return tables + [path for path in models if not store.has(path)]


def is_whole_run(store: RunStore, settings: Settings) -> bool:
    """Return whether a run is finished and lacks nothing that its command would make again.

    Args:
        store: The run folder.
        settings: Those of the run.
    """
    row = read_run(store)
    return row is not None and row["finished"] is not None and not missing(store, settings)


def lost_for_good(store: RunStore, settings: Settings) -> list[str]:
    """Return a sentence for what a finished run lacks that no command makes again."""
    if not _pretrains(settings) or store.list_files("tables/steps"):  # which may be damaged
        return []
    return [
        "warning: tables/steps is lost, and with it the losses of its steps; nothing needs them"
    ]


def _needed(settings: Settings, facts: PlanFacts) -> list[str]:
    """Return the tables that every finished run of these settings has, and that can be rebuilt."""
    tables = ["runs", "architectures", "outcomes"]
    if _pretrains(settings):
        tables += ["isometry", "ledger", "indicators"]
    if settings.num_trainings:
        tables.append("checks")
    if settings.rival_names or facts.auto_rivals:
        tables.append("rivals")
    return [*tables, *settings.search.traits.tables]


def _pretrains(settings: Settings) -> bool:
    return bool(settings.pretrain.epochs) and not settings.search.traits.is_differentiable
