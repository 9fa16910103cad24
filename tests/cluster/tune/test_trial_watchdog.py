"""What is kept from Tune: storage that fails, unfit nodes, and trials that hang."""

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial

from raynas.cluster.planning.node_requirements import UnfitNodeError
from raynas.cluster.tune import trial_silence
from raynas.cluster.tune.trial_silence import MOST_SECONDS
from raynas.cluster.tune.trial_watchdog import Watch, WatchedSearcher
from raynas.cluster.tune.tune_searcher import TuneSearcher
from raynas.errors import StageError
from raynas.storage.retry import StorageError

CALLS = ("on_trial_result", "on_trial_complete", "on_trial_error")


class Recorder(tune.Callback):
    """Notes what it is told, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self._error = error

    def _note(self, name: str) -> None:
        self.told.append(name)
        if self._error:
            raise self._error

    def on_trial_result(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self._note("on_trial_result")

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self._note("on_trial_complete")

    def on_trial_error(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self._note("on_trial_error")


class Recording(TuneSearcher):
    """A searcher that notes what it is told, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(metric="score")
        self.told: list[str] = []
        self._error = error

    def next_config(self, trial_id: str) -> dict[str, Any]:
        """Return anything."""
        return {"trial": trial_id}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note it."""
        del result
        self.told.append(trial_id)
        if self._error:
            raise self._error

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note it."""
        del error
        self.on_trial_result(trial_id, result or {})


def build_trial(name: str = "a", error_file: Path | None = None) -> Any:
    """Return as much of a trial as is looked at."""
    return SimpleNamespace(
        trial_id=name,
        status=Trial.RUNNING,
        error_file=str(error_file) if error_file else None,
        get_error=lambda: None,
        temporary_state=SimpleNamespace(ray_actor=f"actor {name}"),
    )


def tell(watch: Watch, call: str, trial: Any) -> None:
    """Tell as Tune does."""
    result = {"result": {}} if call == "on_trial_result" else {}
    getattr(watch, call)(iteration=1, trials=[trial], trial=trial, **result)


def fail(watch: Watch, searcher: TuneSearcher, error: Exception, folder: Path) -> None:
    """Let a trial fail for good, and tell its searcher and then its callbacks as Tune does."""
    path = folder / "error.txt"
    path.write_text("".join(traceback.format_exception(error)))
    WatchedSearcher(searcher, watch).on_trial_complete("a", error=True)
    tell(watch, "on_trial_error", build_trial(error_file=path))


def end_step(watch: Watch, *trials: Any) -> None:
    """End a step as Tune does."""
    watch.on_step_end(iteration=1, trials=list(trials))


class TestStorage:
    @pytest.mark.parametrize("call", CALLS)
    def test_a_recorder_is_told_everything_as_long_as_it_can_write(self, call: str) -> None:
        recorder = Recorder()
        watch = Watch(recorder)
        tell(watch, call, build_trial())
        end_step(watch)

        assert recorder.told == [call]

    @pytest.mark.parametrize("call", CALLS)
    def test_the_first_failure_to_write_ends_the_experiment_at_the_end_of_the_step(
        self, call: str
    ) -> None:
        recorder = Recorder(StorageError("full"))
        watch = Watch(recorder)
        tell(watch, call, build_trial())
        tell(watch, call, build_trial())

        assert recorder.told == [call]
        with pytest.raises(StorageError, match="full"):
            end_step(watch)

    @pytest.mark.parametrize("call", CALLS)
    def test_a_mistake_of_the_recorder_is_not_hidden(self, call: str) -> None:
        with pytest.raises(ZeroDivisionError):
            tell(Watch(Recorder(ZeroDivisionError())), call, build_trial())

    @pytest.mark.parametrize("error", [StorageError("full"), UnfitNodeError("node x: no torch")])
    def test_a_trial_whose_place_failed_ends_the_experiment_and_is_no_failed_architecture(
        self, tmp_path: Path, error: Exception
    ) -> None:
        recorder, searcher = Recorder(), Recording()
        watch = Watch(recorder)
        fail(watch, searcher, error, tmp_path)

        assert recorder.told == searcher.told == []
        with pytest.raises(StageError, match=f"^{error}$"):
            end_step(watch)

    def test_a_trial_that_failed_by_itself_is_recorded(self, tmp_path: Path) -> None:
        recorder, searcher = Recorder(), Recording()
        fail(Watch(recorder), searcher, ValueError("nan"), tmp_path)

        assert recorder.told == ["on_trial_error"]
        assert searcher.told == ["a"]

    @pytest.mark.parametrize("call", ["on_trial_result", "on_trial_complete"])
    def test_a_searcher_that_cannot_write_ends_the_experiment_too(self, call: str) -> None:
        watch, searcher = Watch(), Recording(StorageError("full"))
        watched = WatchedSearcher(searcher, watch)
        for name in ("a", "b"):
            getattr(watched, call)(name, {})

        assert searcher.told == ["a"]
        assert watched.suggest("c") == {"trial": "c"}
        with pytest.raises(StorageError, match="full"):
            end_step(watch)


class Clock:
    """A clock that can be set, and the actors that were killed."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.killed: list[str] = []

    def watch(self, watch: Watch, seconds: float, *trials: Any) -> None:
        """Let a driver look at its trials for some time, every four seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 4, until)
            end_step(watch, *trials)


def start(watch: Watch, *trials: Any) -> None:
    """Start trials as Tune does."""
    for trial in trials:
        watch.on_trial_start(iteration=0, trials=[], trial=trial)


def report(watch: Watch, trial: Any, seconds: float | None = None) -> None:
    """Report as a trial does that has worked for so long, or has trained nothing."""
    result = {} if seconds is None else {MOST_SECONDS: seconds}
    watch.on_trial_result(iteration=1, trials=[trial], trial=trial, result=result)


class TestHungTrials:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Return a clock that can be set, and the actors that were killed."""
        clock = Clock()
        monkeypatch.setattr(trial_silence.time, "monotonic", lambda: clock.now)
        monkeypatch.setattr(ray, "kill", clock.killed.append)
        return clock

    def test_a_trial_that_is_silent_ten_times_as_long_as_it_works_is_killed_once(
        self, clock: Clock
    ) -> None:
        watch, trial = Watch(), build_trial()
        start(watch, trial)
        report(watch, trial, 20)
        clock.watch(watch, 10 * 20, trial)
        assert clock.killed == []

        clock.watch(watch, 8, trial)
        assert clock.killed == ["actor a"]

    def test_nobody_is_killed_within_a_minute_however_short_epochs_are(self, clock: Clock) -> None:
        watch, trial = Watch(), build_trial()
        start(watch, trial)
        report(watch, trial, 0.1)
        clock.watch(watch, 59, trial)
        assert clock.killed == []

        clock.watch(watch, 2, trial)
        assert clock.killed == ["actor a"]

    @pytest.mark.parametrize(("others", "hours"), [(1, 1), (100, 100 * 100 / 3600)])
    def test_before_a_trial_has_worked_it_may_take_a_hundred_times_as_long_as_others(
        self, clock: Clock, others: float, hours: float
    ) -> None:
        watch, quick, slow = Watch(), build_trial("quick"), build_trial("slow")
        start(watch, quick, slow)
        report(watch, quick, others)
        clock.watch(watch, 3600 * hours - 1, slow)
        assert clock.killed == []

        clock.watch(watch, 8, slow)
        assert clock.killed == ["actor slow"]

    def test_while_no_trial_has_worked_nobody_knows_how_long_is_too_long(
        self, clock: Clock
    ) -> None:
        watch, resumed, begun = Watch(), build_trial("resumed"), build_trial("begun")
        start(watch, resumed, begun)
        report(watch, resumed)
        clock.watch(watch, 1e5, resumed, begun)

        assert clock.killed == []

    def test_a_trial_that_is_begun_elsewhere_is_not_judged_by_what_it_was(
        self, clock: Clock
    ) -> None:
        watch, trial = Watch(), build_trial()
        start(watch, trial)
        report(watch, trial, 1)
        start(watch, trial)
        clock.watch(watch, 3000, trial)

        assert clock.killed == []

    def test_one_that_hangs_again_is_killed_again_after_ten_times_as_long(
        self, clock: Clock
    ) -> None:
        watch, trial = Watch(), build_trial()
        start(watch, trial)
        report(watch, trial, 1)
        clock.watch(watch, 61, trial)
        start(watch, trial)
        clock.watch(watch, 599, trial)
        assert clock.killed == ["actor a"]

        clock.watch(watch, 10, trial)
        assert clock.killed == ["actor a"] * 2

    def test_a_driver_that_was_stopped_takes_nobody_for_hung(self, clock: Clock) -> None:
        watch, trials = Watch(), [build_trial("a"), build_trial("b")]
        start(watch, *trials)
        for trial in trials:
            report(watch, trial, 1)
        clock.watch(watch, 40, *trials)
        clock.now += 1e6  # both have reported meanwhile; Tune hears them one after the other
        report(watch, trials[0], 1)
        end_step(watch, *trials)
        report(watch, trials[1], 1)
        clock.watch(watch, 50, *trials)

        assert clock.killed == []

    def test_a_trial_that_waits_for_its_place_is_not_taken_for_hung(self, clock: Clock) -> None:
        watch, trial = Watch(), build_trial()
        start(watch, trial)
        report(watch, trial, 1)
        trial.status = Trial.PENDING
        clock.watch(watch, 1e4, trial)

        assert clock.killed == []
