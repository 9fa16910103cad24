"""Retraining through Tune: tables, retries, resumed trials, and weak ones that are stopped."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from ray import tune
from ray.tune.logger import LoggerCallback

from raynas.cluster.planning.connection import Resources, ship_by_value
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.tune.epoch_trials import TrialInputs
from raynas.cluster.tune.ray_train import Report, trainable
from raynas.cluster.tune.retrain_trials import retrain_trial, run_trials
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.cluster.tune.trackers import Tracking, tracking
from raynas.cluster.tune.trial_recorder import TrialRecorder
from raynas.costs.costs import Limits
from raynas.data.dataset import Dataset
from raynas.nets.cost import cost_table
from raynas.nets.subnet import subnet
from raynas.recording.outcomes import Outcomes, TrialEnd
from raynas.reporting.answers import recorded_answers
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.spaces.loading import load_space, space_module_name
from raynas.storage.run_store import RunStore
from raynas.training.checkpoints import checkpoint_path, model_path, read_metadata
from raynas.training.evaluation import evaluate
from raynas.training.retraining import Retraining
from tests.data.samples import build_dataset

pytestmark = pytest.mark.cluster

ALONE = TrialSize()
GOOD, SILENT, BROKEN = "0", "1", "2"

SPACE_FILE = '''
"""A person's own space: an operation that works, one that says nothing, one that raises."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.operations import MBConv
from raynas.spaces.chain import ChoiceBlock, SearchSpace


class Silence(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta":
            (Path(__file__).parent / "silent" / str(os.getpid())).touch()
        return 0 * super().forward(x)


class Breakage(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta":
            (Path(__file__).parent / "attempts" / str(os.getpid())).touch()
            raise ValueError("this operation is broken on purpose")
        return super().forward(x)


@dataclass(frozen=True)
class Wrapped:
    name: str
    kind: type[nn.Sequential]

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        return self.kind(MBConv(3, 1).build(in_channels, out_channels, stride))


CANDIDATES = (MBConv(3, 2), Wrapped("silence", Silence), Wrapped("breakage", Breakage))
SPACE = SearchSpace(
    name="own", stem=ConvStem(out_channels=8, stride=1),
    blocks=(ChoiceBlock(CANDIDATES, 8, 12, stride=2),), head=PooledHead(width=16), resolution=8,
)
'''


class Bar:
    """Remembers how far the stage is."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.left: list[float | None] = []
        self.said: list[str] = []

    def __call__(self, done: int, text: str = "", left: float | None = None) -> None:
        """Remember how many epochs are done, and how many the longest queue has left."""
        del text
        self.shown.append(done)
        self.left.append(left)


@dataclass(frozen=True)
class Experiment:
    """An experiment that has ended, and where it began."""

    folder: Path
    space: SearchSpace
    dataset: Dataset
    settings: Settings
    store: RunStore
    bar: Bar
    earlier: dict[str, Any]

    def trials(self, architecture: str) -> list[dict[str, Any]]:
        """Return the epochs of a trial."""
        return [row for row in self.store.rows("trials") if row["architecture"] == architecture]

    def outcome(self, architecture: str) -> dict[str, Any]:
        """Return the outcome of a trial."""
        rows = self.store.rows("outcomes")
        (row,) = [row for row in rows if row["architecture"] == architecture]
        return row


def begin(folder: Path, retrain: RetrainSettings) -> Experiment:
    """Prepare an experiment on easy images and a person's own space."""
    for name in ("attempts", "silent"):
        (folder / name).mkdir()
    path = folder / f"{folder.name}.py"
    path.write_text(SPACE_FILE)
    space = load_space(str(path), folder)
    ship_by_value(space_module_name(str(path)))
    settings = Settings(retrain=retrain)
    store = RunStore.create(str(folder / "run"))
    return Experiment(folder, space, build_dataset(count=240), settings, store, Bar(), {})


def retraining_of(experiment: Experiment, architecture: str) -> Retraining:
    """Return a trial's retraining without Tune."""
    settings, path = experiment.settings, Architecture.parse(architecture)
    return Retraining(experiment.space, path, experiment.dataset, settings.retrain, 0)


def run(
    experiment: Experiment,
    concurrent: int,
    work: Any = None,
    size: TrialSize = ALONE,
    callbacks: Sequence[tune.Callback] = (),
    earlier: RunStore | None = None,
) -> None:
    """Run the experiment; GOOD has the best score, BROKEN the worst."""
    space, retrain = experiment.space, experiment.settings.retrain
    dataset, store = experiment.dataset, experiment.store
    costs = cost_table(space, dataset.resolution, dataset.channels, dataset.num_classes)
    evolution = Evolution(LegalSampler(costs, Limits()), SearchSettings(population=20), 0)
    outcomes = Outcomes(store, costs)
    scorer = AdditiveScorer([np.array([3.0, 2.0, 1.0])])
    searcher = EvolutionSearcher(evolution, scorer, retrain.top_k, done=outcomes.settled())

    def on_end(end: TrialEnd) -> None:
        outcomes.add(end, searcher.score_of)

    alone = trainable(
        retrain_trial,
        ALONE,
        inputs=TrialInputs(space, dataset, experiment.settings, store, 0.0, earlier),
    )
    recorder = TrialRecorder(store, retrain, experiment.bar, on_end, concurrent)
    run_trials(work or alone, searcher, [recorder, *callbacks], retrain, size, concurrent)


@pytest.fixture(scope="module")
def fifo(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Return an experiment of three trials, of which one went on after an earlier crash."""
    assert cluster.cpus >= 3
    retrain = RetrainSettings(top_k=3, epochs=2, batch=24, max_failures=1, checkpoint_seconds=1e-3)
    experiment = begin(tmp_path_factory.mktemp("fifo"), retrain)
    earlier = retraining_of(experiment, GOOD)
    earlier.run_epoch()
    checkpoint = earlier.to_bytes()
    experiment.store.write_bytes(checkpoint_path(GOOD), checkpoint)
    experiment.earlier.update(vars(earlier.history[0]))
    run(experiment, concurrent=3)
    return experiment


class TestTables:
    def test_every_epoch_of_every_trial_that_trained_has_a_row(self, fifo: Experiment) -> None:
        for architecture in (GOOD, SILENT):
            rows = fifo.trials(architecture)
            assert [row["epoch"] for row in rows] == [1, 2]
            assert len({row["trial"] for row in rows}) == 1
        assert fifo.trials(BROKEN) == []
        assert (fifo.bar.shown[0], fifo.bar.left[0]) == (0, 2)  # told before any report
        assert fifo.bar.shown[-1] == 4

    def test_outcomes_are_ranked_by_validation_accuracy_with_the_failed_one_last(
        self, fifo: Experiment
    ) -> None:
        rows = fifo.store.rows("outcomes")

        assert [row["architecture"] for row in rows] == [GOOD, SILENT, BROKEN]
        assert [row["rank"] for row in rows] == [1, 2, 3]
        assert [row["status"] for row in rows] == ["finished", "finished", "failed"]
        assert rows[0]["val_accuracy"] > rows[1]["val_accuracy"]
        assert [row["score"] for row in rows] == [3.0, 2.0, 1.0]

    def test_an_outcome_tells_the_accuracies_of_the_last_epoch(self, fifo: Experiment) -> None:
        for architecture in (GOOD, SILENT):
            outcome, last = fifo.outcome(architecture), fifo.trials(architecture)[-1]
            for name in ("val_accuracy", "val_balanced_accuracy"):
                assert 0 < outcome[name] == last[name]
            assert outcome["epochs"] == 2
            assert outcome["error"] is None

    def test_weights_of_finished_trials_give_the_recorded_test_accuracy(
        self, fifo: Experiment
    ) -> None:
        for architecture in (GOOD, SILENT):
            outcome = fifo.outcome(architecture)
            network = subnet(fifo.space, Architecture.parse(architecture), 3, 3)
            content = fifo.store.read_bytes(outcome["checkpoint"])
            network.load_state_dict(safetensors.torch.load(content))
            found = evaluate(network, fifo.dataset.test, fifo.dataset, torch.device("cpu"))
            assert found.accuracy == outcome["test_accuracy"]
            assert found.balanced_accuracy == outcome["test_balanced_accuracy"]
            assert outcome["test_images"] == len(fifo.dataset.test)

    def test_answers_of_finished_trials_are_those_of_their_accuracies(
        self, fifo: Experiment
    ) -> None:
        assert fifo.store.parts("answers") == fifo.store.parts("mistakes") == [GOOD, SILENT]
        for architecture in (GOOD, SILENT):
            outcome = fifo.outcome(architecture)
            answers = recorded_answers(fifo.store, outcome)
            assert answers is not None
            assert answers.right.mean() == outcome["test_accuracy"]
            assert (answers.label == fifo.dataset.test.labels).all()
            assert (answers.scaled_confidence is None) == (outcome["temperature"] is None)

    def test_nothing_in_the_run_folder_is_a_pickle(self, fifo: Experiment) -> None:
        files = [file for file in (fifo.folder / "run").rglob("*") if file.is_file()]

        assert {file.suffix for file in files} == {".parquet", ".safetensors"}


class TestTrials:
    def test_a_trial_goes_on_from_its_checkpoint(self, fifo: Experiment) -> None:
        first = fifo.trials(GOOD)[0]

        assert {name: first[name] for name in fifo.earlier} == fifo.earlier  # also the seconds

    @pytest.mark.parametrize("architecture", [GOOD, SILENT])
    def test_a_trial_computes_the_same_bits_as_this_process(
        self, fifo: Experiment, architecture: str
    ) -> None:
        here = retraining_of(fifo, architecture)
        for _ in range(2):
            here.run_epoch()

        assert fifo.store.read_bytes(model_path(architecture)) == here.weights()
        assert fifo.outcome(architecture)["test_accuracy"] == here.evaluate("test").accuracy

    def test_a_trial_that_raises_is_tried_again_and_then_recorded_with_its_reason(
        self, fifo: Experiment
    ) -> None:
        attempts = list((fifo.folder / "attempts").iterdir())
        outcome = fifo.outcome(BROKEN)

        assert len(attempts) == 2  # processes: the first try and max_failures
        assert outcome["epochs"] == 0
        assert outcome["val_accuracy"] is outcome["test_accuracy"] is outcome["checkpoint"] is None
        lines = outcome["error"].splitlines()
        assert lines[-1].endswith("ValueError: this operation is broken on purpose")
        assert lines[0].startswith(f"architecture {BROKEN} failed after 0 of 2 epochs in trial ")
        assert re.search(r" on node .+ process \d+$", lines[0])
        assert f"batch {fifo.settings.retrain.batch}" in lines[2]
        assert any(f"{fifo.folder.name}.py" in line for line in lines)

    @pytest.mark.slow
    def test_a_second_experiment_tries_nothing_but_what_failed(self, fifo: Experiment) -> None:
        files = {
            file: file.read_bytes()
            for file in (fifo.folder / "run").rglob("*")
            if file.is_file() and "outcomes" not in file.parts
        }
        once = replace(fifo.settings, retrain=replace(fifo.settings.retrain, max_failures=0))
        run(replace(fifo, settings=once), concurrent=3)

        assert len(list((fifo.folder / "attempts").iterdir())) == 3
        assert Counter(row["status"] for row in fifo.store.rows("outcomes")) == {
            "finished": 2,
            "failed": 1,
        }
        for file, content in files.items():
            assert file.read_bytes() == content


@pytest.fixture(scope="module")
def warm(fifo: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Return the same experiment in another folder, begun from the first and seen by trackers."""
    folder = tmp_path_factory.mktemp("warm")
    warm = begin(folder, replace(fifo.settings.retrain, max_failures=0))
    wrong = Tracking("deaf", Deaf, "run", folder, warm.bar.said.append)
    shown = tracking("tensorboard", warm.store, warm.bar.said.append)
    run(warm, 3, callbacks=[wrong, *shown], earlier=fifo.store)
    return warm


class Deaf(LoggerCallback):
    """Tracks nothing."""

    def log_trial_result(self, *_: Any) -> None:
        """Fail."""
        raise ConnectionError("nobody there")


@pytest.mark.slow
class TestWarmStart:
    def test_what_an_earlier_run_trained_is_not_trained_again_and_comes_out_the_same(
        self, fifo: Experiment, warm: Experiment
    ) -> None:
        for architecture in (GOOD, SILENT):
            epochs, known = warm.trials(architecture), fifo.trials(architecture)
            assert [row["seconds"] for row in epochs] == [row["seconds"] for row in known]
            outcome, before = warm.outcome(architecture), fifo.outcome(architecture)
            assert outcome == before
            for path in (model_path, checkpoint_path):
                file = path(architecture)
                assert warm.store.read_bytes(file) == fifo.store.read_bytes(file)

    def test_only_the_end_of_what_was_trained_is_reported(self, warm: Experiment) -> None:
        assert warm.bar.shown == [0, 2, 4]
        assert warm.bar.left[-1] in {2, 0}  # epochs of the broken one, unless it has failed


@pytest.mark.slow
class TestTracking:
    def test_tensorboard_gets_every_curve_under_the_architecture(self, warm: Experiment) -> None:
        for architecture in (GOOD, SILENT):
            (file,) = (warm.folder / "run" / "tensorboard" / architecture).glob("events.*")
            content = file.read_bytes()
            for name in (b"val_accuracy", b"train_loss", b"learning_rate", b"test_accuracy"):
                assert b"ray/tune/" + name in content

    def test_a_tracker_that_fails_is_named_once_and_costs_nothing_else(
        self, warm: Experiment
    ) -> None:
        (said,) = warm.bar.said
        assert said == "warning: tracking ends, the tables go on: deaf: nobody there"


def test_a_failure_is_recorded_with_its_reason_before_tune_has_stored_it(tmp_path: Path) -> None:
    local = tmp_path / "error.txt"
    tries = (
        "Failure # 1 (occurred at noon)\nTraceback\nValueError: the first one",
        "Failure # 2 (occurred later)\nray::train() (pid=99, ip=10.0.0.7)",
        "ValueError: broken on purpose\n",
    )
    local.write_text("\n".join(tries))
    trial = SimpleNamespace(  # as Tune hands it over: the storage gets its copy later
        config={"architecture": GOOD},
        last_result=None,
        trial_id="a1b2_00000",
        error_file=str(local),
        get_error=lambda: None,
    )
    ends: list[TrialEnd] = []
    recorder = TrialRecorder(
        RunStore.create(str(tmp_path / "run")), RetrainSettings(epochs=2), Bar(), ends.append
    )
    recorder.on_trial_error(0, [trial], trial)

    assert [(end.architecture, end.status, end.epochs) for end in ends] == [(GOOD, "failed", 0)]
    lines = str(ends[0].error).splitlines()
    assert lines[0] == (
        f"architecture {GOOD} failed after 0 of 2 epochs in trial a1b2_00000 "
        "on node 10.0.0.7, process 99"
    )
    assert lines[1].startswith("what to do: run the same command again")
    assert lines[2].startswith("settings: top_k 3, epochs 2, ")
    assert ", batch 64, " in lines[2]
    assert lines[3] == "try 2 (occurred later)"
    assert lines[-1] == "ValueError: broken on purpose"
    assert "the first one" not in str(ends[0].error)


def test_epochs_that_another_driver_recorded_stay_until_they_are_done_again(tmp_path: Path) -> None:
    store, bar = RunStore.create(str(tmp_path / "run")), Bar()
    rows = [{"trial": "a", "architecture": GOOD, "epoch": n, "seconds": 1.0} for n in (1, 2, 3)]
    store.append("trials", rows, part=GOOD)
    recorder = TrialRecorder(store, RetrainSettings(epochs=4, top_k=1), bar, lambda _: None)
    trial = SimpleNamespace(config={"architecture": GOOD}, trial_id="b")
    found: list[list[tuple[str, int, float]]] = []
    for done in (2, 3, 4):  # from a checkpoint of the first epoch on
        history = [{"epoch": n, "seconds": 1.0 if n == 1 else 2.0} for n in range(1, done + 1)]
        result = {"epoch": done, "val_accuracy": 0.5, "history": history}
        recorder.on_trial_result(0, [trial], trial, result)
        found.append([(row["trial"], row["epoch"], row["seconds"]) for row in store.rows("trials")])

    first, again = ("b", 1, 1.0), [("b", n, 2.0) for n in (2, 3, 4)]
    assert found == [[first, again[0], ("a", 3, 1.0)], [first, *again[:2]], [first, *again]]
    assert (bar.shown, bar.left) == ([2, 3, 4], [2.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def asha(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Return an experiment of one trial after another, of which the second one was stopped."""
    del cluster
    retrain = RetrainSettings(
        top_k=3,
        epochs=4,
        batch=24,
        ema_decay=0.0,
        scheduler="asha",
        asha_grace_epochs=1,
        asha_reduction=2,
        max_failures=0,
    )
    experiment = begin(tmp_path_factory.mktemp("asha"), retrain)
    run(experiment, concurrent=1)  # the good one first: it sets what the others must reach
    return experiment


def killed_trial(
    config: dict[str, Any], notes: Path, inputs: TrialInputs, report: Report = tune.report
) -> None:
    """Retrain; kill this process when the driver has heard of three epochs, once."""

    def noted(found: dict[str, Any]) -> None:
        kept = read_metadata(inputs.store.read_bytes(checkpoint_path(config["architecture"])))
        (notes / f"{found['epoch']}-{len(json.loads(kept['history']))}-{os.getpid()}").touch()
        report(found)
        if found["epoch"] == 3 and not (notes / "killed").exists():
            (notes / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    retrain_trial(config, inputs, report=noted)


@dataclass(frozen=True)
class Killed:
    """An experiment of one trial, whose process was killed.

    Attributes:
        experiment: What came of it.
        notes: Of each report epoch, epochs in the checkpoint before it, and process.
        tables: The epochs in the table after each report.
    """

    experiment: Experiment
    notes: list[tuple[int, int, int]]
    tables: list[list[int]]


@pytest.fixture(scope="module")
def killed(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Return an experiment whose checkpoint was of the first of three epochs at a kill."""
    del cluster
    retrain = RetrainSettings(
        top_k=1,
        epochs=4,
        batch=24,
        max_failures=1,
        checkpoint_seconds=1e6,
        scheduler="asha",  # which may stop trials after their first epoch, and after the last
        asha_grace_epochs=1,
        asha_reduction=4,
    )
    experiment = begin(tmp_path_factory.mktemp("killed"), retrain)
    folder, tables = experiment.folder / "notes", list[list[int]]()
    folder.mkdir()
    ship_by_value(__name__)
    work = trainable(
        killed_trial,
        ALONE,
        notes=folder,
        inputs=TrialInputs(
            experiment.space, experiment.dataset, experiment.settings, experiment.store, 0.0
        ),
    )

    class Looking(tune.Callback):
        def on_trial_result(self, *_: Any, **__: Any) -> None:
            tables.append([row["epoch"] for row in experiment.trials(GOOD)])

    run(experiment, 1, work, callbacks=[Looking()])
    names = [path.name.split("-") for path in folder.iterdir() if path.name != "killed"]
    notes = sorted((int(epoch), int(kept), int(process)) for epoch, kept, process in names)
    return Killed(experiment, notes, tables)


class TestKilledTrial:
    def test_it_goes_on_from_the_last_epoch_after_which_it_may_have_been_stopped(
        self, killed: Killed
    ) -> None:
        first = min(killed.notes)[2]
        before, after = (
            sorted(note[:2] for note in killed.notes if (note[2] == first) is of_the_first)
            for of_the_first in (True, False)
        )

        assert before == [(1, 1), (2, 1), (3, 1)]
        assert after == [(2, 1), (3, 1), (4, 4)]

    def test_no_epoch_s_row_is_lost_while_it_is_done_again_and_none_is_doubled(
        self, killed: Killed
    ) -> None:
        assert killed.tables == [[1], [1, 2], [1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]

    def test_it_comes_to_the_same_bits_as_one_that_was_not_killed(self, killed: Killed) -> None:
        here = retraining_of(killed.experiment, GOOD)
        for _ in range(4):
            here.run_epoch()

        assert killed.experiment.store.read_bytes(model_path(GOOD)) == here.weights()
        rows = killed.experiment.trials(GOOD)
        for row, epoch in zip(rows, here.history, strict=True):
            assert row["train_loss"] == epoch.train_loss
            assert row["val_loss"] == epoch.val_loss


@pytest.mark.slow
def test_asha_stops_the_weaker_trial_early_and_says_so(asha: Experiment) -> None:
    good, weak = asha.outcome(GOOD), asha.outcome(SILENT)

    assert (good["status"], good["epochs"], good["rank"]) == ("finished", 4, 1)
    assert (weak["status"], weak["rank"]) == ("stopped", 2)
    assert weak["epochs"] in {1, 2}  # the rungs are at epochs 1 and 2
    assert weak["test_accuracy"] is weak["checkpoint"] is None
    assert weak["val_accuracy"] == asha.trials(SILENT)[-1]["val_accuracy"]
    assert len(asha.trials(SILENT)) == weak["epochs"]
    assert not asha.store.has(model_path(SILENT))
    kept = read_metadata(asha.store.read_bytes(checkpoint_path(SILENT)))["history"]
    assert len(json.loads(kept)) == weak["epochs"]  # nothing of it is lost


@pytest.mark.slow
def test_a_trial_in_the_process_of_a_stopped_one_is_begun_and_fails_for_its_own_reason(
    asha: Experiment,
) -> None:
    stopped, begun = (
        [file.name for file in (asha.folder / name).iterdir()] for name in ("silent", "attempts")
    )

    assert stopped == begun
    assert len(begun) == 1
    assert asha.outcome(BROKEN)["error"].endswith("this operation is broken on purpose")
