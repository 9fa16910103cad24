"""Short trainings of chosen networks as Tune trials, and what is recorded of them."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from torch import nn

from raynas.cluster.planning.connection import Resources, ship_by_value
from raynas.cluster.planning.plan import make_plan
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.run import Run
from raynas.cluster.tune import short_trainings
from raynas.cluster.tune.searchers import ListSearcher
from raynas.cluster.tune.short_trainings import CheckRecorder, brief, train_briefly
from raynas.errors import StageError
from raynas.nets.operations import MBConv
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.terminal.progress_bars import Stages
from raynas.training.retraining import Retraining
from raynas.training.scoring import ProxyScore
from tests.builders import build_space
from tests.data.samples import digits


class Breakage(nn.Module):
    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Any) -> Any:
        if x.device.type != "meta":
            raise ValueError("this operation is broken on purpose")
        return self.whole(x)


@dataclass(frozen=True)
class Broken:
    name: str = "broken"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Build what has costs, and raises as soon as it sees an image."""
        return Breakage(MBConv(3, 1).build(in_channels, out_channels, stride))


SPACE = build_space("RN", (MBConv(3, 1), MBConv(3, 2), Broken()))
TABLE: list[Array] = [np.array([0.2, 0.3, -np.inf]), np.array([1.0, 2.0, -5.0])]
CHOSEN = ["0-2", "0-0", "1-1"]  # operation 2 is broken
SCORES = {
    Architecture.parse(text): float(AdditiveScorer(TABLE)([Architecture.parse(text)])[0])
    for text in CHOSEN
}
SETTINGS = Settings(
    trainings=3,
    training_epochs=1,
    pretrain=PretrainSettings(layer_indicator="none", sampling="fair"),
    retrain=RetrainSettings(top_k=1, epochs=9, batch=32, max_failures=0),
)


def build_run(folder: Path, settings: Settings = SETTINGS, cpus: float = 3.0) -> Run:
    """Return a run on some digits, at the point where its search has ended."""
    dataset, resources = digits(120, 60), Resources(nodes=1, cpus=cpus, gpus=0.0)
    plan = make_plan(SPACE, dataset, settings, resources, None)
    store = RunStore.create(str(folder))
    store.append("runs", [{"run": "run"}], part="run")
    return Run(
        store,
        settings,
        dataset,
        SCHEMAS["images"].empty_table(),
        plan,
        resources,
        Stages(Console(file=io.StringIO())),
    )


def rows_of(run: Run) -> dict[str, dict[str, Any]]:
    """Return the table by architecture."""
    rows = {row["architecture"]: row for row in run.store.rows("checks")}
    assert len(rows) == len(run.store.rows("checks"))
    return rows


@pytest.fixture(scope="module")
def checked_run(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run whose check has ended."""
    ship_by_value(__name__)  # its operations
    run = build_run(tmp_path_factory.mktemp("checked") / "run", cpus=cluster.cpus)
    train_briefly(run, SCORES, len(SCORES))
    return run


@pytest.mark.cluster
class TestCheck:
    def test_every_chosen_network_is_trained_and_has_its_score(self, checked_run: Run) -> None:
        rows = rows_of(checked_run)

        assert sorted(rows, key=lambda text: rows[text]["score"]) == CHOSEN
        for text, row in rows.items():
            assert row["score"] == AdditiveScorer(TABLE)([Architecture.parse(text)])[0]

    def test_rows_of_what_was_trained_are_complete(self, checked_run: Run) -> None:
        for text, row in rows_of(checked_run).items():
            cost = checked_run.plan.costs.of(Architecture.parse(text))
            assert (row["macs"], row["params"], row["depth"]) == (cost.macs, cost.params, 2)
            if "2" in text:
                continue
            assert (row["status"], row["error"]) == ("finished", None)
            assert row["seconds"] > 0
            assert 0 <= row["val_accuracy"] <= 1

    def test_a_row_s_numbers_are_those_of_this_process(self, checked_run: Run) -> None:
        dataset, row = checked_run.dataset, rows_of(checked_run)["1-1"]
        short = replace(SETTINGS.retrain, epochs=1)
        training = Retraining(SPACE, Architecture((1, 1)), dataset, short, 0)
        proxy = ProxyScore(SPACE, dataset, SETTINGS, "cpu", "naswot")

        assert row["val_accuracy"] == training.run_epoch().val_accuracy
        assert row["naswot"] == pytest.approx(proxy(Architecture((1, 1))), rel=1e-6)

    def test_a_training_that_failed_is_recorded_with_its_error(self, checked_run: Run) -> None:
        row = rows_of(checked_run)["0-2"]

        assert row["status"] == "failed"
        assert row["error"].endswith("ValueError: this operation is broken on purpose")
        assert row["val_accuracy"] is row["naswot"] is row["seconds"] is None

    def test_a_second_check_trains_nothing_but_what_failed(
        self, checked_run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []

        def pretended(_: Any, searcher: ListSearcher, *__: Any) -> None:
            while (config := searcher.suggest(f"trial{len(asked)}")) != ListSearcher.FINISHED:
                asked.append(config)
                searcher.on_trial_complete(f"trial{len(asked) - 1}")

        monkeypatch.setattr(short_trainings, "run_trials", pretended)
        train_briefly(checked_run, SCORES, len(SCORES))

        assert asked == [{"architecture": "0-2"}]

    def test_nothing_of_a_check_is_taken_for_an_outcome(self, checked_run: Run) -> None:
        assert checked_run.store.rows("outcomes") == []
        assert checked_run.store.rows("trials") == []


class TestWithoutTrials:
    def test_a_check_that_has_ended_starts_no_trial(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = build_run(tmp_path / "run")
        rows = [{"architecture": text, "status": "finished"} for text in CHOSEN]
        run.store.append("checks", rows, part="all")
        monkeypatch.setattr(short_trainings, "run_trials", None)

        train_briefly(run, SCORES, len(SCORES))
        assert len(run.store.rows("checks")) == 3

    def test_a_check_that_ends_early_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(short_trainings, "run_trials", lambda *_: None)
        monkeypatch.setattr(short_trainings.tune, "with_parameters", lambda *_, **__: None)

        with pytest.raises(StageError, match="learn: it ended early; run the same command again"):
            train_briefly(build_run(tmp_path / "run"), SCORES, len(SCORES))

    def test_what_is_left_is_told_before_any_ends_so_that_the_first_ends_tell_a_pace(
        self, tmp_path: Path
    ) -> None:
        run, told = build_run(tmp_path / "run", cpus=2.0), list[tuple[Any, ...]]()
        run.store.append("checks", [{"architecture": "0-2", "status": "finished"}], part="0-2")
        recorder = CheckRecorder(run, SETTINGS.retrain, SCORES, 4, lambda *of: told.append(of))
        recorder.setup()

        assert told == [(1, "", 2.0)]  # the longest of two queues of three

    def test_trainings_are_short_of_one_length_and_as_many_at_a_time_as_fit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        monkeypatch.setattr(short_trainings, "run_trials", lambda *given: asked.extend(given))
        monkeypatch.setattr(short_trainings.tune, "with_parameters", lambda *_, **given: given)
        settings = replace(SETTINGS, retrain=replace(SETTINGS.retrain, scheduler="asha"))
        with pytest.raises(StageError):
            train_briefly(build_run(tmp_path / "run", settings), SCORES, len(SCORES))
        given, _, _, short, size, concurrent = asked

        assert given["inputs"].settings.retrain == short
        assert (short.epochs, short.scheduler, size, concurrent) == (1, "fifo", TrialSize(), 3)


@pytest.mark.parametrize(
    ("warmup", "epochs", "wanted"), [(5.0, 3, 1.5), (0.5, 3, 0.5), (0.0, 1, 0)]
)
def test_a_warm_up_takes_half_of_a_brief_training_at_most(
    warmup: float, epochs: int, wanted: float
) -> None:
    retrain = RetrainSettings(warmup_epochs=warmup, scheduler="asha")
    settings = Settings(trainings=2, training_epochs=epochs, retrain=retrain)
    short = brief(settings)

    assert (short.epochs, short.warmup_epochs, short.scheduler) == (epochs, wanted, "fifo")
    assert replace(settings, retrain=short).retrain == short  # nothing refuses it
