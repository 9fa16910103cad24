"""That the Ray which is installed still has what raynas takes from it without a promise."""

import importlib.util
import inspect
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import tune
from ray._private import node, utils, worker
from ray._private.runtime_env.working_dir import WorkingDirPlugin
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from raynas.cluster.planning.connection import Resources
from raynas.cluster.ray_internals import (
    POLL_SECONDS,
    QUIET,
    TRIED_WITH,
    is_job_copy,
    is_long_socket,
    is_other_version,
    is_slow_start,
    kill_process,
    last_failure,
    live_nodes,
    process_of,
    show_notices,
)
from tests.versions import changed, found, is_oldest, missing_parameters

READ_BY = {  # variables, and where Ray reads them; ray._raylet is compiled
    "RAY_USAGE_STATS_ENABLED": "ray._common.usage.usage_constants",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "ray._private.accelerators.accelerator",
    "RAY_enable_metrics_collection": "ray._raylet",
    "RAY_AUTH_MODE": "ray._raylet",
    "RAY_AUTH_TOKEN": "ray._raylet",
    "RAY_CHDIR_TO_TRIAL_DIR": "ray.train.constants",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "ray.tune.utils.callback",
    "TUNE_DISABLE_SIGINT_HANDLER": "ray.tune.tune",
    "TUNE_GLOBAL_CHECKPOINT_S": "ray.tune.execution.tune_controller",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": (
        "ray.tune.execution.experiment_state"
    ),
    "RAY_AIR_NEW_OUTPUT": "ray.tune.experimental.output",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "ray.train.v2._internal.constants",
}
PARAMETERS = {  # of what Ray documents for developers, who are warned that it may change
    "ray.tune.Callback.setup": (),
    "ray.tune.Callback.on_step_end": ("iteration", "trials"),
    "ray.tune.Callback.on_trial_start": ("iteration", "trials", "trial"),
    "ray.tune.Callback.on_trial_result": ("iteration", "trials", "trial", "result"),
    "ray.tune.Callback.on_trial_complete": ("iteration", "trials", "trial"),
    "ray.tune.Callback.on_trial_error": ("iteration", "trials", "trial"),
    "ray.tune.Callback.on_experiment_end": ("trials",),
    "ray.tune.search.Searcher": ("metric", "mode"),
    "ray.tune.search.Searcher.set_search_properties": ("metric", "mode", "config"),
    "ray.tune.search.Searcher.suggest": ("trial_id",),
    "ray.tune.search.Searcher.on_trial_result": ("trial_id", "result"),
    "ray.tune.search.Searcher.on_trial_complete": ("trial_id", "result", "error"),
    "ray.tune.search.Searcher.save": ("checkpoint_path",),
    "ray.tune.search.Searcher.restore": ("checkpoint_path",),
    "ray.tune.ProgressReporter.should_report": ("trials", "done"),
    "ray.tune.ProgressReporter.report": ("trials", "done"),
    "ray.tune.schedulers.TrialScheduler.set_search_properties": ("metric", "mode"),
    "ray.tune.schedulers.TrialScheduler.on_trial_add": ("tune_controller", "trial"),
    "ray.tune.schedulers.TrialScheduler.on_trial_result": ("tune_controller", "trial", "result"),
    "ray.tune.schedulers.TrialScheduler.on_trial_complete": ("tune_controller", "trial", "result"),
    "ray.tune.schedulers.TrialScheduler.on_trial_remove": ("tune_controller", "trial"),
    "ray.tune.logger.LoggerCallback.log_trial_start": ("trial",),
    "ray.tune.logger.LoggerCallback.log_trial_result": ("iteration", "trial", "result"),
    "ray.tune.logger.LoggerCallback.log_trial_end": ("trial", "failed"),
    "ray.tune.integration.ray_train.TuneReportCallback": (),
    "ray.cloudpickle.register_pickle_by_value": ("module",),
    "ray.cloudpickle.unregister_pickle_by_value": ("module",),
    "ray.util.get_node_ip_address": (),
}


class LocalTrial(Trial):
    """A real trial of Tune that has a folder and nothing else."""

    local_path = ""


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Return a trial that nobody runs."""
    made = LocalTrial("raynas", stub=True, trial_id="a1b2", config={"architecture": "0"})
    made.local_path = str(tmp_path)
    return made


def test_the_oldest_version_that_was_tried_is_the_oldest_that_is_accepted() -> None:
    assert is_oldest(TRIED_WITH[0], "ray")


def test_where_ray_reads_each_variable_is_known() -> None:
    assert set(READ_BY) >= {*QUIET, POLL_SECONDS}


@pytest.mark.parametrize("variable", READ_BY)
def test_ray_reads_each_variable_that_raynas_sets(variable: str) -> None:
    module = importlib.util.find_spec(READ_BY[variable])
    assert module, changed(READ_BY[variable], "ray", TRIED_WITH)
    assert module.origin
    name = variable.replace("RAY_enable", "enable")  # the prefix is put before it at run time
    assert name.encode() in Path(module.origin).read_bytes(), changed(variable, "ray", TRIED_WITH)


@pytest.mark.parametrize("interface", PARAMETERS)
def test_what_ray_offers_to_developers_takes_what_raynas_gives(interface: str) -> None:
    missing = missing_parameters(interface, PARAMETERS[interface])
    assert not missing, f"{changed(interface, 'ray', TRIED_WITH)}: no {', '.join(missing)}"


def test_the_words_by_which_tune_and_searchers_understand_each_other_are_the_same() -> None:
    assert Searcher.FINISHED == "FINISHED"
    names = [found(f"ray.tune.result.{name}") for name in ("DONE", "PID", "NODE_IP", "HOSTNAME")]
    assert names == ["done", "pid", "node_ip", "hostname"]


@pytest.mark.parametrize("is_shown", [True, False])
def test_notices_are_printed_only_if_they_are_to_be_shown(is_shown: bool) -> None:
    before = worker._worker_logs_enabled
    printed = io.StringIO()
    show_notices(is_shown)
    try:
        worker.print_worker_logs({"pid": "raylet", "lines": ["a node died"]}, printed)
    finally:
        show_notices(before)

    words = changed("ray._private.worker._worker_logs_enabled", "ray", TRIED_WITH)
    assert ("a node died" in printed.getvalue()) == is_shown, words


def test_a_cluster_of_another_version_is_known_by_ray_s_words() -> None:
    with pytest.raises(RuntimeError) as refused:
        utils.check_version_info({"ray_version": "1.0.0", "python_version": "2.7.1"}, "here")

    assert is_other_version(refused.value), changed("that error", "ray", TRIED_WITH)
    assert not is_other_version(RuntimeError("anything else"))


def test_a_ray_that_starts_too_slowly_is_known_by_ray_s_words() -> None:
    (words,) = re.findall(
        r'Exception\(\s*"(The current node timed out[^"]*)"', inspect.getsource(node)
    )

    assert is_slow_start(Exception(words))
    assert not is_slow_start(Exception("anything else"))


def test_an_address_of_a_socket_that_is_too_long_is_known_by_ray_s_words() -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011 - its words are what is tested
        utils.validate_socket_filepath(f"unix:/{'long' * 50}/socket")

    words = changed("the error of validate_socket_filepath", "ray", TRIED_WITH)
    assert is_long_socket(refused.value), words
    assert not is_long_socket(OSError("anything else"))


def test_ray_can_be_given_its_folder_where_it_starts() -> None:
    told = inspect.getsource(ray.init)

    assert '"_temp_dir"' in told, changed("ray.init(_temp_dir=...)", "ray", TRIED_WITH)


def test_a_job_s_copy_of_its_files_is_known_by_its_folder(tmp_path: Path) -> None:
    WorkingDirPlugin(str(tmp_path), None)
    (copies,) = tmp_path.iterdir()

    assert is_job_copy(copies / "_ray_pkg_0123" / "launch"), changed(
        "the folder of jobs", "ray", TRIED_WITH
    )
    assert not is_job_copy(tmp_path)


@pytest.mark.cluster
def test_live_nodes_tell_their_names_and_what_they_have_promised(cluster: Resources) -> None:
    (only,) = live_nodes()

    assert only.id == ray.get_runtime_context().get_node_id()
    assert only.address == ray.util.get_node_ip_address()
    assert only.host
    assert only.resources["CPU"] == cluster.cpus


class TestTrial:
    def test_its_process_is_killed(self, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
        killed: list[Any] = []
        monkeypatch.setattr(ray, "kill", killed.append)
        remote = SimpleNamespace(remote=lambda **_: None)
        actor = SimpleNamespace(get_auto_filled_metrics=remote)
        trial.set_ray_actor(actor)
        kill_process(trial)

        assert killed == [actor]

    def test_its_error_file_ends_with_the_last_try(self, trial: Trial) -> None:
        for why in ("the first", "the second"):
            trial.handle_error(tune.TuneError(why))
        told = last_failure(Path(trial.error_file).read_text(encoding="utf-8"))

        assert re.match(r"try 2 \(occurred at .*\)\nthe second$", told), told

    def test_it_tells_what_raynas_asks_of_it(self, trial: Trial) -> None:
        asked = ("status", "config", "trial_id", "last_result", "error_file", "get_error")

        assert [name for name in asked if not hasattr(trial, name)] == []
        assert trial.status != Trial.RUNNING


def test_a_task_s_error_names_its_process_and_its_cause() -> None:
    cause = ValueError("broken on purpose")
    trace = "Traceback (most recent call last):\nValueError: broken on purpose"
    error = ray.exceptions.RayTaskError("train", trace, cause, "ray::train", 99, "10.0.0.7")

    assert process_of(str(error)) == ("99", "10.0.0.7"), changed("its text", "ray", TRIED_WITH)
    assert process_of("ValueError: broken on purpose") is None
    assert error.cause is cause
