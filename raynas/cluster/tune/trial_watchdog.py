"""What Tune does not see of an experiment: storage or nodes of no use, and trials that hang.

Of whatever a callback or a searcher raises, Tune makes a trial's failure or a traceback; what is
raised between its steps comes out as it is. For a trial that says nothing it waits for ever; one
that was killed is tried again.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from raynas.cluster.planning.node_requirements import UnfitNodeError
from raynas.cluster.ray_internals import kill_process
from raynas.cluster.tune.experiment import Recorder
from raynas.cluster.tune.failure_report import traceback_of
from raynas.cluster.tune.trial_silence import MOST_SECONDS, WatchedTime
from raynas.cluster.tune.tune_searcher import Config, TuneSearcher
from raynas.errors import StageError
from raynas.storage.retry import StorageError

_HANGS_AFTER, _TIMES_LONGER = 60.0, 10.0  # seconds without a result, and times what it has told
_UNKNOWN_AFTER, _TIMES_OTHERS = 3600.0, 100.0  # likewise, before a trial has told anything
_TIMES_AGAIN = 10.0  # longer each time that it was killed
# as a traceback ends that tells nothing of what was trained
_PLACE_FAILED = re.compile(rf"(?:{StorageError.__name__}|{UnfitNodeError.__name__}): (.+)")
TRIES = 2  # of a trial again, whose process or machine was lost


class Watch(Recorder):
    """Ends the experiment when storage fails or a node is unfit; kills hung trials."""

    def __init__(self, recorder: tune.Callback | None = None) -> None:
        """Watch a recorder, if there is one."""
        self._recorder = recorder
        self._error: StageError | None = None
        self._unexplained: dict[str, Callable[[], None]] = {}  # failures, for the searcher
        self._time = WatchedTime()
        self._heard: dict[str, float] = {}
        self._told: dict[str, float] = {}  # for how long a trial may be silent, by itself
        self._longest = 0.0  # of all that was told
        self._killed: Counter[str] = Counter()

    def attempt(self, work: Callable[..., None], *args: Any, **named: Any) -> None:
        """Do some work, unless the experiment is to end already."""
        if self._error is not None:
            return
        try:
            work(*args, **named)
        except StorageError as error:
            self._error = error

    def setup(self, *args: Any, **info: Any) -> None:
        """Hand on that the experiment begins."""
        if self._recorder is not None:
            self._recorder.setup(*args, **info)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """End the experiment if the storage or a node has failed it; kill who hangs."""
        del iteration, info
        if self._error is not None:
            raise self._error
        now = self._time.now()
        for trial in trials:
            if trial.status == Trial.RUNNING and self._hangs(trial.trial_id, now):
                kill_process(trial)
                self._heard[trial.trial_id] = now
                self._killed[trial.trial_id] += 1

    def _hangs(self, name: str, now: float) -> bool:
        """Return whether a trial is silent for far longer than its work takes."""
        silent = now - self._heard.setdefault(name, now)
        return silent > self._patience(name) * _TIMES_AGAIN ** self._killed[name]

    def _patience(self, name: str) -> float:
        """Return the seconds for which a trial may be silent, by what it has told.

        Before it has, others say little: architectures differ, and so do machines; a first epoch
        also imports, compiles and reads, and workers of one trial wait for each other's places.
        """
        if name in self._told:
            return max(_TIMES_LONGER * self._told[name], _HANGS_AFTER)
        return max(_TIMES_OTHERS * self._longest, _UNKNOWN_AFTER) if self._longest else math.inf

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begin to wait; a place that was lost tells nothing of the new one, a kill does."""
        del iteration, trials, info
        self._heard[trial.trial_id] = self._time.now()
        if not self._killed[trial.trial_id]:
            self._told.pop(trial.trial_id, None)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note the sign of life, and hand on."""
        self._heard[trial.trial_id] = self._time.now()
        if MOST_SECONDS in result:  # else nothing was trained for this report
            self._told[trial.trial_id] = result[MOST_SECONDS]
            self._longest = max(self._longest, result[MOST_SECONDS])
        if self._recorder is not None:
            self.attempt(self._recorder.on_trial_result, iteration, trials, trial, result, **info)

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        """Hand on."""
        if self._recorder is not None:
            self.attempt(self._recorder.on_trial_complete, *args, **info)

    def explain_first(self, name: str, tell: Callable[[], None]) -> None:
        """Tell a searcher of a trial's failure when its cause is known, if the trial is to blame.

        Tune tells searchers before callbacks, and without the cause.
        """
        self._unexplained[name] = tell

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hand on a failure, unless storage or a node is to blame and not the architecture."""
        tell = self._unexplained.pop(trial.trial_id, None)
        told = _PLACE_FAILED.search(traceback_of(trial))
        if told:
            self._error = self._error or StageError(told[1])
            return
        if tell is not None:
            self.attempt(tell)
        if self._recorder is not None:
            self.attempt(self._recorder.on_trial_error, iteration, trials, trial, **info)


class WatchedSearcher(TuneSearcher):
    """A searcher whose records of results may fail without becoming a trial's failure."""

    def __init__(self, searcher: TuneSearcher, watch: Watch) -> None:
        """Hold the searcher that decides."""
        super().__init__(metric=searcher.metric)
        self._searcher = searcher
        self._watch = watch

    def next_config(self, trial_id: str) -> Config | None:
        """Return what the searcher suggests; Tune lets through what this raises."""
        return self._searcher.next_config(trial_id)

    @property
    def waits(self) -> bool:
        """Whether the searcher waits."""
        return self._searcher.waits

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hand on."""
        self._watch.attempt(self._searcher.on_trial_result, trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hand on, a failure when its cause is known."""
        tell = functools.partial(self._searcher.on_trial_complete, trial_id, result, error)
        if error:
            self._watch.explain_first(trial_id, tell)
        else:
            self._watch.attempt(tell)

    def save(self, checkpoint_path: str) -> None:
        """Hand on."""
        self._searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Hand on."""
        self._searcher.restore(checkpoint_path)
