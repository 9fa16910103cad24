"""The curves of retraining trials in MLflow, Weights & Biases or TensorBoard, by Tune's loggers.

The tables stay what counts: a tracker that fails says so once and is not asked again.
"""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ray import tune
from ray.tune.logger import LoggerCallback

from raynas.errors import UserError
from raynas.store import RunStore

Tracker = Literal["mlflow", "wandb", "tensorboard"]
_PACKAGES = {"mlflow": "mlflow", "wandb": "wandb", "tensorboard": "tensorboardX"}
_PROJECT = "raynas"


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

    def __init__(self, logger: LoggerCallback, run: str, folder: Path, warn: Callable[[str], None]):
        """Hold the logger.

        Args:
            logger: Sends or writes what it is given.
            run: Name of the run.
            folder: Where a logger that writes files may do so.
            warn: Told when the logger fails.
        """
        self._logger: LoggerCallback | None = logger
        self._run, self._folder, self._warn = run, folder, warn

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks, but nothing is ever restored from there."""
        return {}

    def setup(self, *args: Any, **info: Any) -> None:
        """Log in, or open what is written to."""
        self._attempt("setup", *args, **info)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Begin a trial's curves."""
        del iteration, trials, info
        tracked = self._tracked(trial)
        with contextlib.suppress(OSError):  # which the logger then meets
            tracked.init_local_path()  # Weights & Biases expects it
        self._attempt("log_trial_start", tracked)

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
        self._attempt("log_trial_result", iteration, self._tracked(trial), numbers)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End a trial's curves."""
        del iteration, trials, info
        self._attempt("log_trial_end", self._tracked(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End the curves of a trial that failed."""
        del iteration, trials, info
        self._attempt("log_trial_end", self._tracked(trial), failed=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Wait until all is sent."""
        del info
        self._attempt("on_experiment_end", trials)

    def _tracked(self, trial: Any) -> _Tracked:
        architecture = trial.config["architecture"]
        folder = str(self._folder / architecture)
        return _Tracked(trial.trial_id, {"architecture": architecture}, folder, self._run)

    def _attempt(self, method: str, *args: Any, **named: Any) -> None:
        if self._logger is None:
            return
        try:
            getattr(self._logger, method)(*args, **named)
        except Exception as error:  # noqa: BLE001 - a service's errors are many, and none matters
            name, self._logger = type(self._logger).__name__, None
            self._warn(f"warning: tracking ends, the tables go on: {name}: {error}")


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
    return [Tracking(_logger(tracker, store.name), store.name, folder / tracker, warn)]


def _logger(tracker: Tracker, run: str) -> LoggerCallback:
    match tracker:
        case "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: PLC0415

            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
            return MLflowLoggerCallback(
                os.environ.get("MLFLOW_TRACKING_URI"), experiment_name=experiment, tags={"run": run}
            )
        case "wandb":
            from ray.air.integrations.wandb import WandbLoggerCallback  # noqa: PLC0415

            # the logger's process has the environment of Ray's start, which may be another one
            mode = os.environ.get("WANDB_MODE", "online")
            project = os.environ.get("WANDB_PROJECT", _PROJECT)
            return WandbLoggerCallback(project, group=run, mode=mode)
        case "tensorboard":
            return tune.logger.TBXLoggerCallback()
