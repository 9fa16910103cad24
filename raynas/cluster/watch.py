"""What Tune does not see of an experiment: storage that fails, and trials that hang.

Of whatever a callback or a searcher raises, Tune makes a trial's failure or a traceback; what is
raised between its steps comes out as it is. For a trial that says nothing it waits for ever; one
that was killed is tried again.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from raynas.cluster.failures import traceback_of
from raynas.patience import StorageError

_HANGS_AFTER = 60.0  # seconds without a result, at least
_TIMES_LONGEST = 10.0  # the longest wait for a result so far
_STORAGE = re.compile(rf"{StorageError.__name__}: (.+)")  # as a traceback ends
TRIES = 2  # of a trial again, whose process or machine was lost


class Watch(tune.Callback):
    """Raises the first StorageError of a recorder, a searcher or a trial; kills hung trials."""

    def __init__(self, recorder: tune.Callback | None = None) -> None:
        """Watch a recorder, if there is one."""
        self._recorder = recorder
        self._error: StorageError | None = None
        self._heard: dict[str, float] = {}
        self._longest = 0.0  # seconds between two signs of life of a trial

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks, but nothing is ever restored from there."""
        return {}

    def attempt(self, work: Callable[..., None], *args: Any, **named: Any) -> None:
        """Do some work, unless the storage has failed already."""
        if self._error is not None:
            return
        try:
            work(*args, **named)
        except StorageError as error:
            self._error = error

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """End the experiment if the storage has failed; kill who hangs."""
        del iteration, info
        if self._error is not None:
            raise self._error
        now = time.monotonic()
        for trial in trials:
            if trial.status == Trial.RUNNING and self._hangs(trial, now):
                ray.kill(trial.temporary_state.ray_actor)
                self._heard[trial.trial_id] = now

    def _hangs(self, trial: Any, now: float) -> bool:
        """Return whether a trial is silent for far longer than any was; without one, who knows."""
        silent = now - self._heard.setdefault(trial.trial_id, now)
        return 0 < self._longest < silent / _TIMES_LONGEST and silent > _HANGS_AFTER

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begin to wait, also for one that is tried again."""
        del iteration, trials, info
        self._heard[trial.trial_id] = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note the sign of life, and hand on."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._heard.get(trial.trial_id, now))
        self._heard[trial.trial_id] = now
        if self._recorder is not None:
            self.attempt(self._recorder.on_trial_result, iteration, trials, trial, result, **info)

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        """Hand on."""
        if self._recorder is not None:
            self.attempt(self._recorder.on_trial_complete, *args, **info)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hand on a failure, unless the storage is to blame and not the architecture."""
        told = _STORAGE.search(traceback_of(trial))
        if told:
            self._error = self._error or StorageError(told[1])
        elif self._recorder is not None:
            self.attempt(self._recorder.on_trial_error, iteration, trials, trial, **info)


class WatchedSearcher(Searcher):
    """A searcher whose records of results may fail without becoming a trial's failure."""

    def __init__(self, searcher: Searcher, watch: Watch) -> None:
        """Hold the searcher that decides."""
        super().__init__(metric=searcher.metric, mode=searcher.mode)
        self._searcher = searcher
        self._watch = watch

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Hand on."""
        accepted: bool = self._searcher.set_search_properties(metric, mode, config, **spec)
        return accepted

    def suggest(  # type: ignore[override]  # Ray documents the string FINISHED, but no type
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """Hand on; Tune lets through what this raises."""
        suggested: dict[str, Any] | str | None = self._searcher.suggest(trial_id)
        return suggested

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hand on."""
        self._watch.attempt(self._searcher.on_trial_result, trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hand on."""
        self._watch.attempt(self._searcher.on_trial_complete, trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Hand on."""
        self._searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Hand on."""
        self._searcher.restore(checkpoint_path)
