"""SPOS evolution as a Ray Tune searcher: generations inside ``suggest``, trials for the winners.

A score by indicators takes a microsecond and a Tune trial tens of milliseconds, so the
whole evolution runs inside the first ``suggest``; Tune sees only the architectures that are
worth training. The state is plain data and is saved as JSON, never as a pickle.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.space import Architecture

Record = Callable[[Evolution], None]


class EvolutionSearcher(Searcher):
    """Suggests the best architectures of an evolution, best first, each once."""

    def __init__(
        self,
        evolution: Evolution,
        scorer: AdditiveScorer,
        top_k: int,
        record: Record | None = None,
        done: Collection[Architecture] = (),
    ) -> None:
        """Wrap an evolution; nothing is scored yet.

        Args:
            evolution: Fresh, restored half-way, or finished.
            scorer: Scores architectures; higher is better.
            top_k: How many winners become trials.
            record: Called after each generation, to write the tables.
            done: Winners that need no trial any more.
        """
        super().__init__(metric="val_accuracy", mode="max")
        self.evolution = evolution
        self._scorer = scorer
        self._top_k = top_k
        self._record = record
        self._done = {str(architecture) for architecture in done}
        self._trials: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out who records: Tune copies its searcher to disk, and bars cannot be copied."""
        return {**self.__dict__, "_record": None}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Accept: the space lies in the evolution, not in Tune's config."""
        del metric, mode, config, spec
        return True

    def suggest(  # type: ignore[override]  # Ray documents the string FINISHED, but no type
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """Return the next winner as a trial's config, or FINISHED."""
        self.evolve()
        for architecture in self.winners():
            text = str(architecture)
            if text not in self._done and text not in self._trials.values():
                self._trials[trial_id] = text
                return {"architecture": text}
        finished: str = Searcher.FINISHED
        return finished

    @property
    def exhausted(self) -> bool:
        """Whether no generation and no winner is left to run."""
        return self.evolution.finished and self._done.issuperset(map(str, self.winners()))

    def evolve(self) -> None:
        """Run the generations that are left; does nothing once they are through."""
        while not self.evolution.finished:
            self._evolve_generation()
            if self._record is not None:
                self._record(self.evolution)

    def _evolve_generation(self) -> None:
        """Score until the next generation begins: at once, or child by child."""
        generation = self.evolution.generation
        while self.evolution.generation == generation and not self.evolution.finished:
            architectures = self.evolution.ask()
            self.evolution.tell(architectures, self._scorer(architectures))

    def winners(self) -> list[Architecture]:
        """Return the best architectures, best first."""
        return [scored.child.architecture for scored in self.evolution.ranked()[: self._top_k]]

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note that a winner's trial has ended, well or not; its outcome is in the tables."""
        del result, error
        text = self._trials.pop(trial_id, None)
        if text is not None:
            self._done.add(text)

    def save(self, checkpoint_path: str) -> None:
        """Write the state as JSON."""
        state = {
            "evolution": self.evolution.state(),
            "done": sorted(self._done),
            "trials": self._trials,
        }
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Read the state that ``save`` wrote."""
        state = json.loads(Path(checkpoint_path).read_text())
        self.evolution.restore(state["evolution"])
        self._done, self._trials = set(state["done"]), state["trials"]
