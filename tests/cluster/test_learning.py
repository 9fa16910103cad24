"""The stage in which the score learns: what is chosen and written, and what teaches nothing."""

import io
import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from raynas.cluster import learning
from raynas.cluster.learning import learn, spread
from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.plan import make_plan
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Scores
from raynas.nets.operations import Identity, MBConv
from raynas.search.experts import mixed, single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.terminal.progress_bars import Stages
from tests.builders import build_space
from tests.data.samples import digits

SPACE = build_space("RNNRN", (MBConv(3, 1), MBConv(3, 2), MBConv(5, 2))).with_identity(Identity())
EVERY = [Architecture(each) for each in itertools.product(*(range(b.size) for b in SPACE.blocks))]
SETTINGS = Settings(
    trainings=8,
    training_epochs=1,
    pretrain=PretrainSettings(layer_indicator="none", sampling="fair"),
)


def table(seed: int) -> list[Array]:
    """Return a random additive table of the space."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=block.size) for block in SPACE.blocks]


def scores(seed: int = 0) -> Scores:
    """Return scores that are a random table."""
    experts = single_expert(table(seed))
    return Scores(mixed(experts), experts)


def build_run(folder: Path, settings: Settings = SETTINGS) -> tuple[Run, io.StringIO]:
    """Return a run that has pretrained, and what it prints."""
    dataset, resources = digits(120, 60), Resources(nodes=1, cpus=3.0, gpus=0.0)
    store = RunStore.create(str(folder))
    store.append("runs", [{"run": "run"}], part="run")
    output = io.StringIO()
    run = Run(
        store,
        settings,
        dataset,
        SCHEMAS["images"].empty_table(),
        make_plan(SPACE, dataset, settings, resources, None),
        resources,
        Stages(Console(file=output, width=300)),
    )
    return run, output


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let trainings report what a truth says, and return how that is set and what was asked for."""
    found: dict[str, Any] = {"truth": table(7), "chosen": [], "planned": []}

    def pretended(run: Run, chosen: Mapping[Architecture, float], planned: int) -> None:
        found["planned"].append(planned)
        found["chosen"] = list(chosen)
        sums = AdditiveScorer(found["truth"])(chosen)
        for (architecture, score), total in zip(chosen.items(), sums, strict=True):
            accuracy = None if found["truth"] is None else 1 - 1 / (8 + float(total))
            row = {"architecture": str(architecture), "score": score, "val_accuracy": accuracy}
            run.store.append("checks", [row], part=str(architecture))

    monkeypatch.setattr(learning, "train_briefly", pretended)
    return found


class TestLearning:
    def test_what_trainings_say_corrects_the_table_and_is_written(
        self, tmp_path: Path, trained: dict[str, Any]
    ) -> None:
        settings = replace(SETTINGS, trainings=24)
        run, _ = build_run(tmp_path / "run", settings)
        before = scores()
        after = learn(run, before)
        truth = AdditiveScorer(trained["truth"])(EVERY)
        taus = [learning.kendall_tau(AdditiveScorer(s.sums)(EVERY), truth) for s in (before, after)]

        assert taus[0] < 0.5
        assert taus[1] > 0.6
        assert after.calibration is not None
        assert len(trained["chosen"]) == len(run.store.rows("predictions")) == 24
        written = {
            (row["layer"], row["candidate"]): row["value"]
            for row in run.store.rows("indicators")
            if row["kind"] == "calibrated"
        }
        assert written[1, 2] == after.sums[1][2]
        assert run.store.parts("calibration") == ["trainings"]
        assert trained["planned"] == [24, 24]  # both parts count towards one end

    def test_networks_are_the_same_ones_when_it_goes_on_and_keep_the_limits(
        self, tmp_path: Path, trained: dict[str, Any]
    ) -> None:
        run, _ = build_run(tmp_path / "run")
        limit = run.plan.costs.of(EVERY[len(EVERY) // 2]).macs
        run, _ = build_run(tmp_path / "limited", replace(SETTINGS, max_macs=limit))
        first = learn(run, scores())
        chosen = trained["chosen"]
        again, _ = build_run(tmp_path / "again", replace(SETTINGS, max_macs=limit))
        second = learn(again, scores())

        assert chosen == trained["chosen"]
        assert len(set(chosen)) == 8
        assert all(run.plan.costs.of(each).macs <= limit for each in chosen)
        assert [row.tobytes() for row in first.sums] == [row.tobytes() for row in second.sums]

    def test_without_trainings_nothing_is_trained(
        self, tmp_path: Path, trained: dict[str, Any]
    ) -> None:
        run, _ = build_run(tmp_path / "run", replace(SETTINGS, trainings=0))
        given = scores()

        assert learn(run, given) is given
        assert not trained["chosen"]

    def test_a_calibrated_search_observes_the_trainings_itself(
        self, tmp_path: Path, trained: dict[str, Any]
    ) -> None:
        search = SearchSettings(score="saliency", strategy="calibrated")
        run, _ = build_run(tmp_path / "run", replace(SETTINGS, search=search))
        given = scores()

        assert learn(run, given) is given
        assert len(trained["chosen"]) == 8


class TestNothingLearned:
    @pytest.mark.parametrize(
        ("accuracy", "told"),
        [
            (None, "no short training ended well; the score stays as it is"),
            (0.1, "8 short trainings tell no networks apart; the score stays as it is"),
        ],
    )
    def test_trainings_that_fail_or_are_all_equal_leave_the_score_as_it_was(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        accuracy: float | None,
        told: str,
    ) -> None:
        def pretended(run: Run, chosen: Mapping[Architecture, float], planned: int) -> None:
            del planned
            for each in chosen:
                row = {"architecture": str(each), "val_accuracy": accuracy}
                run.store.append("checks", [row], part=str(each))

        monkeypatch.setattr(learning, "train_briefly", pretended)
        run, output = build_run(tmp_path / "run")
        given = scores()

        assert learn(run, given) is given
        assert told in output.getvalue()
        assert run.store.rows("predictions") == []


class TestSearchedByTrials:
    def test_networks_are_those_that_the_search_has_scored_from_the_lowest_to_the_highest(
        self, tmp_path: Path, trained: dict[str, Any]
    ) -> None:
        run, _ = build_run(tmp_path / "run", replace(SETTINGS, trainings=2))
        rows = [{"architecture": str(EVERY[at]), "score": at / 2} for at in range(5)]
        run.store.append("architectures", rows, part="000000")
        given = Scores()

        assert learn(run, given) is given
        assert trained["chosen"] == [EVERY[0], EVERY[4]]

    @pytest.mark.parametrize(
        ("count", "wanted"),
        [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10))), (99, list(range(10)))],
    )
    def test_ranks_are_even_and_never_more_than_there_are(
        self, count: int, wanted: list[int]
    ) -> None:
        given = {Architecture((9 - i,)): float(i) ** 3 for i in (3, 9, 0, 5, 1, 8, 2, 7, 4, 6)}

        assert spread(given, count) == {Architecture((9 - i,)): float(i) ** 3 for i in wanted}

    def test_what_has_no_finite_score_is_left_out(self) -> None:
        given = dict.fromkeys((Architecture((i,)) for i in range(3)), -np.inf)

        assert spread(given | {Architecture((7,)): 1.0}, 3) == {Architecture((7,)): 1.0}
        assert spread(given, 3) == {}
