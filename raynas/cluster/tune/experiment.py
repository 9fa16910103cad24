"""A Ray Tune experiment as raynas runs it: quiet, in a temporary folder, never restored by Tune."""

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import PlacementGroup, remove_placement_group


class Recorder(tune.Callback):
    """A Tune callback that writes tables; Tune's own copy of it on disk is empty."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its callbacks, and nothing is ever restored from there."""
        return {}


PLACEMENT_GROUP = "placement_group"
"""What results of trials with several workers name: the group that holds their resources."""


class GroupsRemoved(Recorder):
    """Frees the resources of the workers of a trial that has ended, however it did.

    Ray Train leaves that to a process that asks Ray's dashboard, for trials that are stopped or
    killed; without a dashboard the next trial would wait for ever.
    """

    def __init__(self) -> None:
        """Know of no group."""
        self._groups: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep which group a trial has."""
        del iteration, trials, info
        if PLACEMENT_GROUP in result:
            self._groups[trial.trial_id] = result[PLACEMENT_GROUP]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remove the group of a trial that is done, or was stopped."""
        del iteration, trials, info
        self._remove(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remove the group of a trial that failed for good."""
        del iteration, trials, info
        self._remove(trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remove the group of a trial that will be tried again, by another group."""
        del iteration, trials, info
        self._remove(trial)

    def _remove(self, trial: Any) -> None:
        group = self._groups.pop(trial.trial_id, None)
        if group is not None:  # else it has one worker, or none has reported
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group))))


class QuietReporter(tune.ProgressReporter):
    """Prints nothing; the launch script draws its own progress."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Return False."""
        del trials, done
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Print nothing."""
        del trials, done, sys_info


def run_experiment(
    trainable: Any,
    resources: Any,
    callbacks: Sequence[tune.Callback],
    max_failures: int,
    param_space: Mapping[str, Any] | None = None,
    **how: Any,
) -> list[str]:
    """Run trials to their ends; return the errors of those that failed for good.

    Args:
        trainable: What a trial does.
        resources: What a trial takes of the cluster.
        callbacks: Told of reports and ends.
        max_failures: Times that a failing trial is tried again.
        param_space: Configs of the trials where no searcher suggests them.
        how: Fields of ``tune.TuneConfig``, such as the searcher.
    """
    with tempfile.TemporaryDirectory(prefix="raynas-tune-") as folder:
        results = tune.Tuner(
            tune.with_resources(trainable, resources),
            param_space=dict(param_space or {}),
            tune_config=tune.TuneConfig(
                trial_dirname_creator=lambda trial: trial.trial_id,
                **how,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                progress_reporter=QuietReporter(),
                callbacks=[*callbacks, GroupsRemoved()],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=max_failures),
            ),
        ).fit()
        return [str(error) for error in results.errors]
