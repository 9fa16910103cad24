"""How far a run has come, read off its folder while it works."""

from dataclasses import dataclass
from typing import Any, Literal

from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.settings import Settings
from raynas.storage.lock import is_held
from raynas.storage.outcome_rows import is_on_all
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore


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
    settings, plan = Settings.from_json(run["settings"]), PlanFacts.from_json(run["plan"])
    outcomes, epochs = store.rows("outcomes"), _count(store, "trials", "epoch")
    if outcomes or epochs:
        again = sum(map(is_on_all, outcomes)) if settings.num_finals else 0
        done, wanted = len(outcomes) - again, settings.num_winners if run["settings"] else None
        failed = [row["status"] for row in outcomes].count("failed")
        rest = f" of {wanted}" if wanted and wanted >= done else ""
        bad = f", {failed} of them failed" if failed else ""
        more = f", {again} of {settings.num_finals} once more" if settings.num_finals else ""
        return f"{done}{rest} networks are retrained{more}{bad}, after {epochs:,} epochs in all"
    scored, checked = _count(store, "architectures", "order"), _count(store, "checks", "score")
    is_differentiable = settings.search.traits.is_differentiable
    if scored:
        did = "found" if is_differentiable else "taken" if settings.architecture else "scored"
        return f"the search has {did} {scored:,} architectures"
    if is_differentiable:
        return _search_words(store, settings.differentiable)
    if checked:
        return f"{checked} of {settings.num_trainings} networks to learn from are trained"
    steps, total = _count(store, "steps", "step"), plan.steps
    if steps:
        return f"pretraining is at step {steps:,}" + (f" of {total:,}" if total else "")
    pretrains = settings.pretrain.epochs > 0
    return "pretraining has not begun" if pretrains else "the search has not begun"


def _search_words(store: RunStore, settings: DifferentiableSettings) -> str:
    """Return where the searches of a differentiable strategy are."""
    rows = store.table("search_epochs", ["seed", "epoch", "status"]).to_pylist()
    if not rows:
        return "the search has not begun"
    seeds = {row["seed"]: row["epoch"] for row in sorted(rows, key=lambda row: row["epoch"])}
    ended = {row["seed"] for row in rows if row["status"]}
    epochs = sorted(epoch for seed, epoch in seeds.items() if seed not in ended)
    if not epochs:
        return f"the search has ended for {_seeds(len(ended), settings.seeds)}"
    where = f"{epochs[0]} to {epochs[-1]}" if epochs[0] < epochs[-1] else str(epochs[0])
    rest = f", {len(ended)} ended" if ended else ""
    of = _seeds(len(epochs), settings.seeds)
    return f"the search is at epoch {where} of {settings.epochs}, {of}{rest}"


def _seeds(count: int, of: int) -> str:
    return f"{count} of {of} seeds" if count < of else f"{of} seed{'s' * (of != 1)}"


def _count(store: RunStore, table: str, column: str) -> int:
    """Return the rows of a table, reading one of its columns."""
    return int(store.table(table, [column]).num_rows)
