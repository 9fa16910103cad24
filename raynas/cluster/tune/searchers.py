"""SPOS evolution as a Ray Tune searcher: scored inside ``suggest``, or by a trial for each.

A score by indicators takes a microsecond and a Tune trial tens of milliseconds, so there the
whole evolution runs inside the first ``suggest``, and Tune sees only the winners. A score that
takes seconds (SPOS, section 3.4) is a trial; its result comes back by ``on_trial_complete``.
The state is plain data and is saved as JSON, never as a pickle.
"""

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.cluster.tune.tune_searcher import Config, ConfigSearcher, TuneSearcher
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture

Record = Callable[[Evolution], None]
_RECORD_SECONDS = 1.0  # of scoring trials that a crash may undo


class EvolutionSearcher(TuneSearcher):
    """Suggests what an evolution wants scored by trials, if so, and then its winners."""

    def __init__(  # noqa: PLR0913 - an evolution, and what becomes of its winners
        self,
        evolution: Evolution,
        scorer: AdditiveScorer | None,
        top_k: int,
        record: Record | None = None,
        done: Collection[Architecture] = (),
        min_distance: int = 1,
    ) -> None:
        """Wrap an evolution; nothing is scored yet.

        Args:
            evolution: Fresh, restored half-way, or finished.
            scorer: Scores architectures, higher is better; None: trials do, and report "score".
            top_k: How many winners become trials, best first, each once.
            record: Called after each generation, and between scoring trials, to write the tables.
            done: Winners that need no trial any more.
            min_distance: Layers in which winners differ, as far as the evolution has such.
        """
        is_scoring = scorer is None and not evolution.finished
        super().__init__(metric="score" if is_scoring else "val_accuracy")
        self.evolution = evolution
        self._scorer = scorer
        self._top_k, self._min_distance = top_k, min_distance
        self._record = record
        self._done = {str(architecture) for architecture in done}
        self._trials: dict[str, str] = {}
        self._recorded = time.monotonic()
        self._scores: dict[Architecture, float] = {}
        self._winners: list[str] = []

    def next_config(self, trial_id: str) -> Config | None:
        """Return what the evolution wants scored by a trial, and then its winners."""
        self.evolve()
        if not self.evolution.finished:
            asked = self._next(trial_id, map(str, self.evolution.ask(1)))
            if self.evolution.finished:  # it found nothing new
                self._tell_record()
            return asked
        started = self._done.union(self._trials.values())
        return self._next(trial_id, (each for each in self._winner_texts() if each not in started))

    @property
    def waits(self) -> bool:
        """Whether the scores of running trials decide what comes next."""
        return not self.evolution.finished

    def _next(self, trial_id: str, texts: Iterator[str]) -> dict[str, Any] | None:
        """Note and return the first of some architectures as a config."""
        text = next(texts, None)
        if text is None:
            return None
        self._trials[trial_id] = text
        return {"architecture": text}

    @property
    def exhausted(self) -> bool:
        """Whether no generation and no winner is left to run."""
        return self.evolution.finished and self._done.issuperset(self._winner_texts())

    def evolve(self) -> None:
        """Run the generations that are left, unless trials score them."""
        while self._scorer is not None and not self.evolution.finished:
            architectures = self.evolution.ask()
            self._tell(architectures, self._scorer(architectures))

    def _tell(self, architectures: Sequence[Architecture], scores: Iterable[float]) -> None:
        generation = self.evolution.generation
        self.evolution.tell(architectures, scores)
        is_due = self.evolution.generation != generation or self.evolution.finished
        if self._scorer is None and time.monotonic() >= self._recorded + _RECORD_SECONDS:
            is_due = True
        if is_due:
            self._tell_record()

    def _tell_record(self) -> None:
        if self._record is not None:
            self._record(self.evolution)
            self._recorded = time.monotonic()

    def score_of(self, architecture: Architecture) -> float:
        """Return the score of an architecture that the evolution has seen."""
        history = self.evolution.history
        if len(self._scores) < len(history):  # each is scored once
            self._scores = {item.child.architecture: item.score for item in history}
        return self._scores[architecture]

    def winners(self) -> list[Architecture]:
        """Return the best architectures, best first."""
        found = self.evolution.winners(self._top_k, self._min_distance)
        return [scored.child.architecture for scored in found]

    def _winner_texts(self) -> list[str]:
        """Return the winners of a finished evolution, ranked once."""
        self._winners = self._winners or list(map(str, self.winners()))
        return self._winners

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in a score, NaN for a failure, or note that a winner's trial has ended."""
        text = self._trials.pop(trial_id, None)
        if text is None:
            return
        if self.evolution.finished:
            self._done.add(text)  # its outcome is in the tables
            return
        score = float((result or {}).get("score", math.nan))
        self._tell([Architecture.parse(text)], [math.nan if error else score])

    def save(self, checkpoint_path: str) -> None:
        """Write the state as JSON."""
        state = {
            "evolution": self.evolution.state(),
            "done": sorted(self._done),
            "trials": self._trials,
        }
        Path(checkpoint_path).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Read the state that ``save`` wrote."""
        state = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
        self.evolution.restore(state["evolution"])
        self._done, self._trials = set(state["done"]), state["trials"]
        self._scores, self._winners = {}, []


class ListSearcher(ConfigSearcher):
    """Suggests given architectures in their order, each once."""

    def __init__(
        self, scores: Mapping[Architecture, float], done: Collection[Architecture] = ()
    ) -> None:
        """Keep what to suggest.

        Args:
            scores: The architectures and their scores, the first one first.
            done: Those that need no trial any more.
        """
        super().__init__([{"architecture": str(each)} for each in scores if each not in set(done)])
        self._scores = dict(scores)

    def winners(self) -> list[Architecture]:
        """Return all of the architectures."""
        return list(self._scores)

    def score_of(self, architecture: Architecture) -> float:
        """Return the score of one of the architectures."""
        return self._scores[architecture]
