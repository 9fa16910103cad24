"""The curves of retraining trials in MLflow, Weights & Biases or TensorBoard, by Tune's loggers.

The tables stay what counts. A tracker works in a thread of its own, so trials never wait for it;
one that fails, or does not answer, is named once and not asked again.
"""

import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ray import tune
from ray.tune.logger import LoggerCallback

from raynas.cluster.tune import background_calls
from raynas.cluster.tune.background_calls import Background, Call
from raynas.errors import UserError
from raynas.storage.outcome_rows import rival_file, training_name
from raynas.storage.run_store import RunStore

Tracker = Literal["mlflow", "wandb", "tensorboard"]
_PACKAGES = {"mlflow": "mlflow", "wandb": "wandb", "tensorboard": "tensorboardX"}
_PROJECT = "raynas"
_SILENT_SECONDS = 60.0  # without an answer, after which a person is told


@dataclass(frozen=True)
class _Tracked:
    """What Tune's loggers ask of a trial; it is named by its architecture."""

    trial_id: str
    config: Mapping[str, Any]
    local_path: str
    experiment_dir_name: str
    evaluated_params: Mapping[str, Any] = field(default_factory=dict)

    def init_local_path(self) -> None:
        """Make the folder of a logger that writes files."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __hash__(self) -> int:
        return hash(self.trial_id)

    def __str__(self) -> str:
        return str(self.config["architecture"])


class Tracking(tune.Callback):
    """Hands each epoch of each trial to one of Tune's loggers."""

    def __init__(
        self,
        tracker: str,
        make: Callable[[], Any],
        run: str,
        folder: Path,
        warn: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is imported or sent yet.

        Args:
            tracker: Its name.
            make: Makes what sends or writes what it is given.
            run: Name of the run.
            folder: Where a logger that writes files may do so.
            warn: Told when the tracker fails, once.
        """
        self._tracker, self._make = tracker, make
        self._run, self._folder, self._warn = run, folder, warn
        self._background: Background | None = None
        self._is_named = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks, but nothing is ever restored from there."""
        return {}

    def setup(self, *args: Any, **info: Any) -> None:
        """Log in, or open what is written to."""
        self._background = Background(self._make)
        self._ask(lambda logger: logger.setup(*args, **info))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begin a trial's curves."""
        del iteration, trials, info
        tracked = self._tracked(trial)
        self._ask(lambda logger: _start(logger, tracked))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Add a point to each curve: the numbers of the last epoch."""
        del trials, info
        last = result["history"][-1]
        numbers = {name: value for name, value in last.items() if isinstance(value, int | float)}
        if "test_accuracy" in result:
            numbers["test_accuracy"] = result["test_accuracy"]
        numbers["training_iteration"] = last["epoch"]
        tracked = self._tracked(trial)
        self._ask(lambda logger: logger.log_trial_result(iteration, tracked, numbers))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial's curves."""
        del iteration, trials, info
        tracked = self._tracked(trial)
        self._ask(lambda logger: logger.log_trial_end(tracked))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End the curves of a trial that failed."""
        del iteration, trials, info
        tracked = self._tracked(trial)
        self._ask(lambda logger: logger.log_trial_end(tracked, failed=True))

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Wait for a moment until all is sent."""
        del info
        self._ask(lambda logger: logger.on_experiment_end(trials))
        if self._background and not self._background.close():
            self._give_up(f"no answer for {self._background.silent_seconds:.0f} s")
        self._look()

    def _tracked(self, trial: Any) -> _Tracked:
        config = trial.config
        text = rival_file(config["rival"]) if "rival" in config else config.get("architecture")
        name = training_name(text or "teacher", config.get("trained_on", "train"))
        return _Tracked(trial.trial_id, {"architecture": name}, str(self._folder / name), self._run)

    def _ask(self, call: Call) -> None:
        self._look()
        if self._background:
            self._background.ask(call)

    def _look(self) -> None:
        """Say if the tracker has failed, and ask it no more; or that it does not answer."""
        error = self._background.error if self._background else None
        if error:
            self._give_up(str(error).partition("\n")[0] or type(error).__name__)
        elif self._background and self._background.silent_seconds > _SILENT_SECONDS:
            self._name(
                f"{self._tracker} has not answered for {_SILENT_SECONDS:.0f} s, trials go on"
            )

    def _give_up(self, why: str) -> None:
        self._background = None
        self._name(f"tracking ends, the tables go on: {self._tracker}: {why}")

    def _name(self, what: str) -> None:
        """Say it, unless something was said before."""
        if not self._is_named:
            self._is_named = True
            self._warn(f"warning: {what}")


def _start(logger: Any, tracked: _Tracked) -> None:
    """Begin a trial's curves."""
    with contextlib.suppress(OSError):  # which a logger that writes files then meets
        tracked.init_local_path()  # Weights & Biases expects it
    logger.log_trial_start(tracked)


def refuse_untrackable(tracker: Tracker | None, store: RunStore) -> None:
    """Refuse a tracker that cannot work, before anything starts.

    Raises:
        UserError: Its package is missing, or it writes files and the run folder is no folder.
    """
    if tracker is None:
        return
    package = _PACKAGES[tracker]
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"--track {tracker}: the package {package} is not installed here; run pip install "
            f"{package}, or leave the flag out"
        )
    if tracker == "tensorboard" and store.local_folder is None:
        raise UserError(
            f"--track tensorboard: it writes files, but the run folder {store.uri} is an object "
            "store; give a local --run, or use mlflow or wandb"
        )


def tracking(tracker: Tracker | None, store: RunStore, warn: Callable[[str], None]) -> list[Any]:
    """Return the Tune callbacks of a tracker; none without one.

    MLflow is found by MLFLOW_TRACKING_URI and its other variables, Weights & Biases by
    WANDB_API_KEY, WANDB_PROJECT and so on; TensorBoard's files lie in the run folder's
    ``tensorboard/``.

    Args:
        tracker: Its name.
        store: The run folder.
        warn: Told if it fails on the way.
    """
    if tracker is None:
        return []
    folder = (store.local_folder or Path("runs") / store.name).absolute()
    for noisy in ("urllib3", "mlflow"):  # they tell of each attempt; it is said once, at last
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    return [
        Tracking(tracker, lambda: _logger(tracker, store.name), store.name, folder / tracker, warn)
    ]


def _logger(tracker: Tracker, run: str) -> LoggerCallback:
    match tracker:
        case "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: PLC0415

            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
            return MLflowLoggerCallback(
                os.environ.get("MLFLOW_TRACKING_URI"), experiment_name=experiment, tags={"run": run}
            )
        case "wandb":
            from raynas.cluster.tune.wandb_logger import TellingWandbLogger  # noqa: PLC0415

            # the logger's process has the environment of Ray's start, which may be another one
            mode = os.environ.get("WANDB_MODE", "online")
            project = os.environ.get("WANDB_PROJECT", _PROJECT)
            # it gives up before it is given up, so that no process of it is left alone
            return TellingWandbLogger(project, run, mode, 0.7 * background_calls.END_SECONDS)
        case "tensorboard":
            return tune.logger.TBXLoggerCallback()
