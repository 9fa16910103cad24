"""Trackers of other projects: which fit, and what reaches them."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from raynas.cluster.planning.connection import Resources
from raynas.cluster.tune import background_calls
from raynas.cluster.tune import trackers as tracking_module
from raynas.cluster.tune.trackers import Tracking, refuse_untrackable, tracking
from raynas.errors import UserError
from raynas.storage.run_store import RunStore

EPOCHS = [
    {"epoch": epoch, "val_accuracy": 0.5 + epoch / 10, "train_loss": 1.0 / epoch, "note": None}
    for epoch in (1, 2)
]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a healthy tracker as long as a busy machine takes."""
    for name in ("_STUCK_AFTER", "END_SECONDS"):
        monkeypatch.setattr(background_calls, name, 200.0)


def follow(callback: Any) -> None:
    """Hand a trial of two epochs to a callback, as Tune does."""
    trial = SimpleNamespace(trial_id="a1b2", config={"architecture": "3-0-5"})
    callback.setup(stop=None, num_samples=-1, total_num_samples=1)
    callback.on_trial_start(0, [trial], trial)
    for epoch in (1, 2):
        result = {"history": EPOCHS[:epoch], "training_iteration": 9}
        callback.on_trial_result(epoch, [trial], trial, result)
    callback.on_trial_complete(2, [trial], trial)
    callback.on_experiment_end([trial])


@contextmanager
def hanging() -> Iterator[int]:
    """Run a server that takes connections and never answers; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def refusing() -> Iterator[int]:
    """Yield a port where nothing listens."""
    with socket.socket() as unused:  # bound, so that nobody else takes it
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@contextmanager
def broken() -> Iterator[int]:
    """Run a server that answers everything by 500."""

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Fail."""
            self.send_error(500)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("serving", [hanging, refusing, broken])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_that_does_not_answer_holds_up_nothing_and_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Callable[[], Any]
) -> None:
    pytest.importorskip("mlflow", reason="the package mlflow is an extra")
    monkeypatch.setattr(background_calls, "_STUCK_AFTER", 0.5)
    said: list[str] = []
    with serving() as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        (callback,) = tracking("mlflow", RunStore(str(tmp_path / "first")), said.append)
        follow(callback)  # MLflow itself would try for minutes, at every call

    assert len(said) == 1
    assert said[0].startswith("warning: tracking ends, the tables go on: mlflow: no answer for ")


def test_what_waits_when_a_service_is_given_up_is_never_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background_calls, "END_SECONDS", 0.2)
    wakes_up, called = threading.Event(), list[str]()

    def hang(_: Any) -> None:
        wakes_up.wait()

    service = background_calls.Background(lambda: called)
    service.ask(hang)
    service.ask(lambda calls: calls.append("late"))

    assert not service.close()
    wakes_up.set()
    service._thread.join()
    assert called == []


class Logger:
    """Does nothing, or what it is told at the first point of a curve."""

    def __init__(self, work: Callable[[], object] = list) -> None:
        self.calls: list[str] = []
        self._work = work

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Note that it is asked to do something."""
        return lambda *_, **__: self.calls.append(name)

    def log_trial_result(self, *_: Any) -> None:
        """Do it."""
        self._work()
        self.calls.append("log_trial_result")


def show(make: Callable[[], Any], said: list[str], folder: Path) -> None:
    """Let a logger follow a trial."""
    follow(Tracking("mine", make, "first", folder, said.append))


def test_a_logger_is_asked_everything_in_its_order(tmp_path: Path) -> None:
    logger, said = Logger(), []
    show(lambda: logger, said, tmp_path)

    assert said == []
    assert logger.calls == [
        "setup",
        "log_trial_start",
        "log_trial_result",
        "log_trial_result",
        "log_trial_end",
        "on_experiment_end",
    ]


def test_whatever_a_tracker_raises_it_is_named_once_and_not_asked_again(tmp_path: Path) -> None:
    for raising in (lambda: 1 / 0, sys.exit, (tmp_path / "none" / "full").touch):
        logger, said = Logger(raising), list[str]()
        show(lambda made=logger: made, said, tmp_path)

        assert len(said) == 1
        assert logger.calls == ["setup", "log_trial_start"]


def test_a_tracker_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    show(lambda: 1 / 0, said, tmp_path)

    assert said == ["warning: tracking ends, the tables go on: mine: division by zero"]


def test_one_that_is_silent_for_long_is_named_while_trials_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "_SILENT_SECONDS", 0.0)
    answers, said = threading.Event(), list[str]()
    logger = Logger(answers.wait)
    callback = Tracking("mine", lambda: logger, "first", tmp_path, said.append)
    monkeypatch.setattr(callback, "on_experiment_end", lambda _: None)
    follow(callback)
    while "log_trial_start" not in logger.calls:
        time.sleep(0.01)
    callback.on_trial_complete(3, [], SimpleNamespace(trial_id="b", config={"architecture": "0"}))

    assert said == ["warning: mine has not answered for 0 s, trials go on"]
    answers.set()


@pytest.mark.usefixtures("patient")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own database layer
def test_mlflow_gets_a_run_per_architecture_with_its_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the package mlflow is an extra")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    said: list[str] = []
    (callback,) = tracking("mlflow", RunStore(str(tmp_path / "first")), said.append)
    follow(callback)

    assert said == []
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("raynas")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.data.tags["run"]) == ("3-0-5", "first")
    assert (run.info.status, run.data.params["architecture"]) == ("FINISHED", "3-0-5")
    found = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert [(each.step, each.value) for each in found] == [(1, 0.6), (2, 0.7)]


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("patient")
def test_wandb_gets_a_run_per_architecture_also_without_a_network(
    cluster: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the package wandb is an extra")
    assert cluster.cpus
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    said: list[str] = []
    (callback,) = tracking("wandb", RunStore.create(str(tmp_path / "first")), said.append)
    follow(callback)

    assert said == []
    (file,) = tmp_path.rglob("*.wandb")
    assert b"val_accuracy" in file.read_bytes()


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_what_ends_a_process_of_wandb_is_raised_and_one_that_is_late_is_told() -> None:
    pytest.importorskip("wandb", reason="the package wandb is an extra")
    from raynas.cluster.tune.wandb_logger import TellingWandbLogger  # noqa: PLC0415 - an extra

    @ray.remote(num_cpus=0)
    def end(error: Exception | None, seconds: float = 0.0) -> None:
        time.sleep(seconds)
        if error:
            raise error

    logger = TellingWandbLogger("mine", "first", "online", 0.0)
    logger._work = [end.remote(None), end.remote(ValueError("no such key"))]
    ray.wait(logger._work, num_returns=2)
    with pytest.raises(ValueError, match="no such key"):
        logger.log_trial_result(1, None, {})

    logger._work = [end.remote(None, 600.0)]
    with pytest.raises(TimeoutError, match="1 trials were not sent within 0 s"):
        logger.on_experiment_end([])
    ray.cancel(logger._work[0], force=True)


def test_a_tracker_without_its_package_is_refused_by_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"--track wandb: the package wandb .* pip install wandb"):
        refuse_untrackable("wandb", RunStore(str(tmp_path)))


def test_tensorboard_needs_files() -> None:
    store = RunStore("s3://nobody/run?endpoint_override=localhost:1&scheme=http")
    with pytest.raises(UserError, match=r"--track tensorboard: it writes files, .* object store"):
        refuse_untrackable("tensorboard", store)


def test_nothing_is_refused_and_nothing_tracked_without_the_flag(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    refuse_untrackable(None, store)
    assert tracking(None, store, print) == []
