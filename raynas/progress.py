"""How far a run has come, read off its folder while it works."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from raynas.lock import is_held
from raynas.store import RunStore


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        state: Whether it is finished, a driver is at work on it, or it stopped before its end.
        words: Where it is: a clause without a full stop.
    """

    state: Literal["finished", "running", "stopped"]
    words: str


def progress(store: RunStore) -> Progress:
    """Return how far a run has come.

    Args:
        store: The folder of a run.
    """
    run = store.rows("runs")[0]
    words = _words(store, run)
    if run["finished"]:
        return Progress("finished", words)
    return Progress("running" if is_held(store) else "stopped", words)


def _words(store: RunStore, run: dict[str, Any]) -> str:
    settings, plan = (json.loads(run[name] or "{}") for name in ("settings", "plan"))
    outcomes, epochs = store.table("outcomes", ["status"]), _count(store, "trials", "epoch")
    if len(outcomes) or epochs:
        done, wanted = len(outcomes), settings.get("retrain", {}).get("top_k")
        failed = outcomes["status"].to_pylist().count("failed")
        rest = f" of {wanted}" if wanted and wanted >= done else ""
        bad = f", {failed} of them failed" if failed else ""
        return f"{done}{rest} networks are retrained{bad}, after {epochs:,} epochs in all"
    scored, checked = _count(store, "architectures", "order"), _count(store, "checks", "score")
    if scored:
        return f"the search has scored {scored:,} architectures"
    if checked:
        return f"the self-check has trained {checked} of {settings.get('check')} networks"
    steps, total = _count(store, "steps", "step"), plan.get("steps")
    if steps:
        return f"pretraining is at step {steps:,}" + (f" of {total:,}" if total else "")
    has_supernet = settings.get("pretrain", {}).get("epochs", 1)
    return "pretraining has not begun" if has_supernet else "the search has not begun"


def _count(store: RunStore, table: str, column: str) -> int:
    """Return the rows of a table, reading one of its columns."""
    return int(store.table(table, [column]).num_rows)
