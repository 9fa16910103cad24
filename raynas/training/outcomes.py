"""What came of the search: scored architectures, and the outcomes of those that were retrained."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raynas.console import Advance
from raynas.costs import CostTable
from raynas.search.evolution import Evolution
from raynas.space import Architecture
from raynas.store import RunStore
from raynas.training.records import architecture_rows, ranked_outcomes

ScoreOf = Callable[[Architecture], float]
SEARCH_STATE = "checkpoints/search.json"


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        architecture: What it trained.
        epochs: Epochs that it finished.
        val_accuracy: After the last of them; None if there was none.
        test_accuracy: None unless it finished.
        status: finished, stopped (by the scheduler) or failed.
        error: The last lines of its traceback, or None.
        checkpoint: Where the weights of a finished trial lie in the run folder.
    """

    architecture: str
    epochs: int
    val_accuracy: float | None
    test_accuracy: float | None
    status: str
    error: str | None = None
    checkpoint: str | None = None


class Chronicle:
    """Writes each generation of an evolution into the table ``architectures``."""

    def __init__(self, store: RunStore, costs: CostTable, advance: Advance) -> None:
        """Keep where to write and what shows the progress."""
        self._store = store
        self._costs = costs
        self._advance = advance
        self._written = 0

    def __call__(self, evolution: Evolution) -> None:
        """Write what is new, then the state from which the search continues.

        A generation is a part, written whole: one that grows replaces what there was of it.
        """
        history = evolution.history
        for generation in sorted({item.generation for item in history[self._written :]}):
            scored = [item for item in history if item.generation == generation]
            rows = architecture_rows(scored, self._costs)
            self._store.append("architectures", rows, part=f"{generation:06d}")
        self._written = len(history)
        self._store.write_bytes(SEARCH_STATE, json.dumps(evolution.state()).encode())
        best = max((item.score for item in history), default=float("nan"))
        self._advance(evolution.generation, f"best score {best:.3f}")


class Outcomes:
    """The table ``outcomes``, rewritten with its ranks whenever a trial ends."""

    def __init__(self, store: RunStore, costs: CostTable) -> None:
        """Continue with the outcomes that the run folder holds."""
        self._store = store
        self._costs = costs
        self._rows = {row["architecture"]: row for row in store.rows("outcomes")}

    def settled(self) -> list[Architecture]:
        """Return the architectures that need no trial any more; failed ones are tried again."""
        return [
            Architecture.parse(text)
            for text, row in self._rows.items()
            if row["status"] != "failed"
        ]

    def add(self, end: TrialEnd, score_of: ScoreOf) -> None:
        """Take in how a trial ended, with the score for which it was chosen."""
        architecture = Architecture.parse(end.architecture)
        cost = self._costs.of(architecture)
        row: dict[str, Any] = {
            **vars(end),
            "score": score_of(architecture),
            "macs": cost.macs,
            "params": cost.params,
        }
        self._rows[end.architecture] = row
        self._store.append("outcomes", ranked_outcomes(self._rows.values()), part="outcomes")
