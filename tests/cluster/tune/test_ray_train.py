"""Trials of several workers: their tables and files, a worker that is killed, and ASHA."""

import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from ray.util import placement_group_table

from raynas.cluster.planning.connection import Resources, ship_by_value
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.cluster.tune.ray_train import Report, trainable
from raynas.cluster.tune.retrain_trials import retrain_trial
from raynas.nets.subnet import subnet
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.training.data_parallel_group import DataParallelGroup
from raynas.training.evaluation import evaluate
from tests.cluster.tune.test_retrain_trials import GOOD, SILENT, Experiment, begin, run
from tests.launch.scripts import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

TWO = TrialSize(workers=2)


def noted_trial(
    config: dict[str, Any],
    notes: Path,
    victim: int | None,
    group: DataParallelGroup,
    report: Report,
    **needs: Any,
) -> None:
    """Retrain and note each report; the victim is killed after the first one, once."""

    def noted(found: dict[str, Any]) -> None:
        (notes / f"{config['architecture']}-{group.rank}-{found['epoch']}-{os.getpid()}").touch()
        report(found)
        if group.rank == victim and not (notes / "killed").exists():
            (notes / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    retrain_trial(config, **needs, group=group, report=noted)


def run_together(experiment: Experiment, concurrent: int, victim: int | None = None) -> Path:
    """Run the experiment's trials on two workers each; return the folder of their notes."""
    notes = experiment.folder / "notes"
    notes.mkdir()
    ship_by_value(__name__)
    work = trainable(
        noted_trial,
        TWO,
        inputs=TrialInputs(
            experiment.space,
            experiment.dataset,
            experiment.settings,
            experiment.store,
            0.0,
        ),
        notes=notes,
        victim=victim,
    )
    run(experiment, concurrent, work, TWO)
    return notes


def reports(notes: Path, architecture: str) -> list[tuple[int, int]]:
    """Return worker and epoch of all reports."""
    names = [path.name.split("-") for path in notes.glob(f"{architecture}-*")]
    return sorted((int(rank), int(epoch)) for _, rank, epoch, _ in names)


def processes(notes: Path, architecture: str) -> set[str]:
    """Return the processes of a trial's workers."""
    return {path.name.split("-")[-1] for path in notes.glob(f"{architecture}-*")}


def is_there(process: str) -> bool:
    """Return whether a process of that number runs."""
    return Path(f"/proc/{process}").exists()


def states_of_groups(before: Collection[str]) -> set[str]:
    """Return in which states placement groups are but those that were there before."""
    groups = placement_group_table()
    return {group["state"] for name, group in groups.items() if name not in before}


@pytest.fixture(scope="module")
def bereft(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Return an experiment of one trial, of which a worker was killed after the first epoch."""
    assert cluster.cpus >= 2
    retrain = RetrainSettings(top_k=1, epochs=3, batch=24, max_failures=1, checkpoint_seconds=0.0)
    experiment = begin(tmp_path_factory.mktemp("bereft"), retrain)
    run_together(experiment, 1, victim=1)
    return experiment


@pytest.mark.slow
class TestKilledWorker:
    def test_the_trial_goes_on_from_the_last_epoch_on_new_workers(self, bereft: Experiment) -> None:
        notes = bereft.folder / "notes"

        assert (notes / "killed").exists()
        assert reports(notes, GOOD) == [(rank, epoch) for rank in (0, 1) for epoch in (1, 2, 3)]
        assert len(processes(notes, GOOD)) == 4

    def test_every_epoch_has_a_row_and_the_loss_falls(self, bereft: Experiment) -> None:
        rows = bereft.trials(GOOD)

        assert [row["epoch"] for row in rows] == [1, 2, 3]
        assert rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]
        assert bereft.bar.shown[-1] == 3

    def test_the_weights_give_the_recorded_test_accuracy(self, bereft: Experiment) -> None:
        outcome = bereft.outcome(GOOD)
        network = subnet(bereft.space, Architecture.parse(GOOD), 3, 3)
        network.load_state_dict(
            safetensors.torch.load(bereft.store.read_bytes(outcome["checkpoint"]))
        )
        found = evaluate(network, bereft.dataset.test, bereft.dataset, torch.device("cpu"))

        assert (outcome["status"], outcome["epochs"], outcome["error"]) == ("finished", 3, None)
        assert found.accuracy == outcome["test_accuracy"]

    def test_nothing_of_ray_s_is_left_in_the_run_folder(self, bereft: Experiment) -> None:
        files = [file for file in (bereft.folder / "run").rglob("*") if file.is_file()]

        assert {file.suffix for file in files} == {".parquet", ".safetensors"}


@pytest.mark.slow
def test_what_workers_of_a_stopped_trial_held_is_free_again(
    cluster: Resources, tmp_path: Path
) -> None:
    """The tests' Ray has no dashboard to ask; ASHA stops a trial after its last epoch, too."""
    del cluster
    retrain = RetrainSettings(top_k=1, epochs=2, batch=24, scheduler="asha", max_failures=0)
    folder = tmp_path / "stopped"
    folder.mkdir()
    experiment, before = begin(folder, retrain), set(placement_group_table())
    run_together(experiment, concurrent=1)

    assert experiment.outcome(GOOD)["status"] == "finished"
    wait_until(lambda: states_of_groups(before) == {"REMOVED"}, seconds=60)


@pytest.mark.chaos
def test_asha_stops_the_weaker_trial_s_workers_and_says_so(
    cluster: Resources, tmp_path: Path
) -> None:
    del cluster
    retrain = RetrainSettings(
        top_k=2,
        epochs=30,
        batch=24,
        ema_decay=0.0,
        scheduler="asha",
        asha_grace_epochs=1,
        asha_reduction=2,
    )
    folder = tmp_path / "asha"
    folder.mkdir()
    experiment = begin(folder, retrain)
    notes = run_together(experiment, concurrent=1)
    good, weak = experiment.outcome(GOOD), experiment.outcome(SILENT)

    assert (good["status"], good["epochs"], good["rank"]) == ("finished", 30, 1)
    assert (weak["status"], weak["rank"]) == ("stopped", 2)
    assert weak["epochs"] < 30
    assert weak["test_accuracy"] is weak["checkpoint"] is None
    assert max(epoch for _, epoch in reports(notes, SILENT)) < 30
    wait_until(lambda: not any(map(is_there, processes(notes, SILENT))))
