"""Trackers of other projects: which fit, and what reaches them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raynas.cluster.connection import Resources
from raynas.cluster.tracking import refuse_untrackable, tracking
from raynas.errors import UserError
from raynas.store import RunStore

EPOCHS = [
    {"epoch": epoch, "val_accuracy": 0.5 + epoch / 10, "train_loss": 1.0 / epoch, "note": None}
    for epoch in (1, 2)
]


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


@pytest.mark.cluster
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
