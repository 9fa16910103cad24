"""What came of the search: scored architectures, and the outcomes of those that were retrained."""

import json
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from raynas.costs.costs import CostTable, Kind
from raynas.recording.answers import is_answered
from raynas.recording.rows import architecture_rows, ranked_outcomes, with_front
from raynas.search.evolution import Evolution, Scored
from raynas.spaces.architecture import Architecture
from raynas.spaces.protocol import Space
from raynas.storage.outcome_rows import TrainedOn, in_order, is_on_all, name_of_row
from raynas.storage.run_store import RunStore
from raynas.terminal.progress_bars import Advance

ScoreOf = Callable[[Architecture], float]
SEARCH_STATE = "checkpoints/search.json"
_STATE_SECONDS = 1.0  # of a search that a crash may undo, at least
_STATE_SHARE = 0.1  # of its time, at most, for writing its state


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        architecture: What it trained.
        epochs: Epochs that it finished.
        val_accuracy: After the last of them; None if there was none, or no validation images.
        test_accuracy: None unless it finished.
        status: finished, stopped (by the scheduler) or failed.
        error: The last lines of its traceback, or None.
        checkpoint: Where the weights of a finished trial lie in the run folder.
        val_balanced_accuracy: Like val_accuracy, the mean of the classes' recalls.
        test_balanced_accuracy: Likewise.
        test_images: How many images the test had; None unless it finished.
        trained_on: The images that it was trained on.
        temperature: By which its logits are divided for calibrated probabilities, or None.
    """

    architecture: str
    epochs: int
    val_accuracy: float | None
    test_accuracy: float | None
    status: str
    error: str | None = None
    checkpoint: str | None = None
    val_balanced_accuracy: float | None = None
    test_balanced_accuracy: float | None = None
    test_images: int | None = None
    trained_on: TrainedOn = "train"
    temperature: float | None = None


def known_scores(store: RunStore) -> dict[str, float]:
    """Return a run's scores by architecture, without those that failed: they may not, next time.

    Args:
        store: The run folder.
    """
    rows = store.table("architectures", ["architecture", "score"]).to_pylist()
    scored = [row for row in rows if row["score"] is not None and not math.isnan(row["score"])]
    return {row["architecture"]: row["score"] for row in scored}


class SearchLog:
    """Writes each generation of an evolution into the table ``architectures``."""

    def __init__(self, store: RunStore, costs: CostTable, advance: Advance) -> None:
        """Keep where to write and what shows the progress."""
        self._store = store
        self._costs = costs
        self._advance = advance
        self._written = 0
        self._best = -math.inf
        self._due = -math.inf

    def __call__(self, evolution: Evolution) -> None:
        """Write what is new, and now and then the state from which the search continues.

        A generation is a part, written whole: one that grows replaces what there was of it. The
        state holds all that was scored, so it is written at the end, and before only as often as
        takes a small share of the time: a search that continues scores the rest again.
        """
        history = evolution.history
        if not self._written:
            self._drop_undone(history)
        for generation, items in groupby(self._grown(history), _generation):
            scored = list(items)
            rows = architecture_rows(scored, self._costs)
            self._store.append("architectures", rows, part=_part(generation))
            self._best = max(self._best, *(item.score for item in scored))
        self._written = len(history)
        started = time.monotonic()
        if evolution.finished or started >= self._due:
            self._store.write_bytes(SEARCH_STATE, json.dumps(evolution.state()).encode())
            now = time.monotonic()
            self._due = now + max(_STATE_SECONDS, (now - started) / _STATE_SHARE)
        if evolution.finished:
            self._store.compact("architectures")
        best = self._best if history else math.nan
        self._advance(evolution.generation, f"best score {best:.3f}")

    def _grown(self, history: Sequence[Scored]) -> Sequence[Scored]:
        """Return the generations, whole, that have grown since the last call."""
        if self._written == len(history):
            return []
        oldest = history[self._written].generation
        return history[bisect_left(history, oldest, key=_generation) :]

    def _drop_undone(self, history: Sequence[Scored]) -> None:
        """Drop the generations that a crash has undone, and that may now turn out otherwise."""
        known = {_part(generation) for generation in set(map(_generation, history))}
        self._store.drop("architectures", lambda part: part not in known)


def _generation(item: Scored) -> int:
    return item.generation


def _part(generation: int) -> str:
    return f"{generation:06d}"


class Outcomes:
    """The table ``outcomes``, rewritten with its ranks whenever a trial ends."""

    def __init__(
        self,
        store: RunStore,
        costs: CostTable,
        goals: Sequence[Kind] = (),
        space: Space | None = None,
    ) -> None:
        """Continue with the outcomes that the run folder holds.

        Args:
            store: The run folder.
            costs: What architectures cost.
            goals: The costs that the run minimises beside accuracy; none: there is no front.
            space: Where architectures come from; with it, those of cells are shown as genotypes.
        """
        self._store = store
        self._costs = costs
        self._goals = goals
        self._space = space
        self._rows = {name_of_row(row): row for row in store.rows("outcomes")}

    def settled(self, trained_on: TrainedOn = "train") -> list[Architecture]:
        """Return the architectures that need no trial any more.

        Failed ones are tried again; one whose weights or answers are lost begins at its checkpoint.

        Args:
            trained_on: The images that trials train on.
        """
        return [
            Architecture.parse(row["architecture"])
            for row in self._rows.values()
            if is_on_all(row) == (trained_on == "all") and self._is_settled(row)
        ]

    def _is_settled(self, row: dict[str, Any]) -> bool:
        status, store = row["status"], self._store
        is_whole = status == "finished" and store.has(row["checkpoint"])
        return status == "stopped" or (is_whole and is_answered(store, name_of_row(row)))

    def best(self, count: int) -> dict[Architecture, float]:
        """Return the first-ranked architectures of those trained to their end, and their scores.

        Args:
            count: How many, at most.
        """
        firsts = [
            row
            for row in in_order(ranked_outcomes(self._rows.values()))
            if row["status"] == "finished" and not is_on_all(row)
        ]
        return {Architecture.parse(row["architecture"]): row["score"] for row in firsts[:count]}

    def temperature(self, architecture: Architecture) -> float | None:
        """Return the temperature that was fitted after the first training of a network, if any."""
        first = self._rows.get(str(architecture), {})
        found: float | None = first.get("temperature")
        return found

    def add(self, end: TrialEnd, score_of: ScoreOf) -> None:
        """Take in how a trial ended, with the score for which it was chosen.

        NaN stands for none: a person has named it.
        """
        architecture = Architecture.parse(end.architecture)
        cost = self._costs.of(architecture)
        score = score_of(architecture)
        row: dict[str, Any] = {
            **vars(end),
            "score": None if math.isnan(score) else score,
            **cost.columns,
        }
        if self._space and (genotype := self._space.genotype_text(architecture)):
            row["genotype"] = genotype
        self._rows[name_of_row(row)] = row
        rows = ranked_outcomes(self._rows.values())
        if self._goals:
            rows = with_front(rows, self._costs, self._goals)
        self._store.append("outcomes", rows, part="outcomes")
