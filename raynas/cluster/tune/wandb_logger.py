"""Weights & Biases by Tune's logger, which hears nothing of how its processes end."""

from typing import Any

import ray
from ray.air.integrations.wandb import WandbLoggerCallback


class TellingWandbLogger(WandbLoggerCallback):
    """Tune's logger, with a process for each trial; raises what has ended one of them."""

    def __init__(self, project: str, run: str, mode: str, seconds: float) -> None:
        """Prepare.

        Args:
            project: Where it is shown.
            run: What groups the trials there.
            mode: online, offline and so on.
            seconds: To wait at the end until all is sent.
        """
        super().__init__(project, group=run, mode=mode, upload_timeout=0)
        self._seconds = seconds
        self._work: list[Any] = []  # of all processes so far

    def log_trial_start(self, trial: Any) -> None:
        """Hand on, and look after the process from now on."""
        super().log_trial_start(trial)
        # Ray's own name; where it is missing, nobody hears of errors, as without this class
        known = getattr(self, "_trial_logging_futures", {})
        self._work += [known[trial]] if trial in known else []

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Hand on, if all is well."""
        self._raise_errors(0)
        super().log_trial_result(iteration, trial, result)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Wait until all is sent, and end what takes longer.

        Raises:
            TimeoutError: Something was not sent in time.
        """
        try:
            late = self._raise_errors(self._seconds)
        finally:
            super().on_experiment_end(trials, **info)
        if late:
            raise TimeoutError(f"{late} trials were not sent within {self._seconds:.0f} s")

    def _raise_errors(self, seconds: float) -> int:
        """Raise what has ended a process; return how many are at work after some seconds."""
        if not self._work:
            return 0
        ended, late = ray.wait(self._work, num_returns=len(self._work), timeout=seconds)
        try:
            ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause or error) from error
        return len(late)
