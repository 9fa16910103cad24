"""What a run will take: arithmetic on speeds, and the speeds that a real probe finds."""

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.forecast import forecast
from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.plan_text import forecast_line
from raynas.cluster.planning.probe import (
    ProbeError,
    _everywhere,
    certain_if_fails,
    probe,
    seconds_of,
)
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.planning.trial_resources import TrialSize
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import load_strategy
from raynas.errors import StageError, UserError
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.storage.usage import StageUsage, Usage
from raynas.terminal.progress_bars import Stages
from tests.builders import shipped_cells
from tests.cluster.planning.test_plan import (
    CLUSTER,
    SMALL,
    by_gates,
    plan,
    pretrain,
    search,
    untrained,
)
from tests.data.samples import build_dataset

SPEEDS = Speeds(
    start=0.0,
    isometry=0.0,
    step=1.0,
    epochs=(1.0, 5.0),
    tests=(0.0, 0.0),
    checkpoint_bytes=1000,
    network_bytes=4000,
    network_macs=1000,
)


def usage(settings: Settings, made: Plan | None = None, **speeds: Any) -> Usage:
    found = replace(SPEEDS, **speeds)
    made = made or plan(settings)
    return forecast(
        made,
        settings,
        found,
        load_strategy(settings.search.strategy).forecast(made, settings, found),
    )


class TestArithmetic:
    def test_a_pretraining_takes_its_steps_the_isometry_and_the_start(self) -> None:
        steps = plan(SMALL).num_steps

        assert usage(SMALL).stages["pretrain"].seconds == steps
        slow = usage(SMALL, start=3.0, isometry=20.0, step=2.0)
        assert slow.stages["pretrain"].seconds == 2 * steps + 23

    def test_a_search_that_fits_candidates_to_a_start_takes_longer_the_slower_trainings_are(
        self,
    ) -> None:
        settings = replace(search(score="feature_error"), start="weights.pth")
        sums, fits, slow = (
            usage(asked, epochs=(epoch, epoch)).stages["search"].seconds
            for asked, epoch in ((SMALL, 10.0), (settings, 10.0), (settings, 20.0))
        )

        assert slow - sums == pytest.approx(2 * (fits - sums))
        assert fits > sums == 1.0

    def test_a_pretraining_of_no_steps_is_not_in_the_forecast(self) -> None:
        assert "pretrain" not in usage(untrained("random"), search=1.0).stages

    def test_retraining_takes_epochs_in_waves_between_a_median_and_the_largest_network(
        self,
    ) -> None:
        settings = replace(SMALL, retrain=replace(SMALL.retrain, epochs=10, top_k=3))
        made = usage(settings, start=2.0).stages["retrain"]  # two at a time: two waves

        assert made.range_seconds[0] < 2 * 10 + 2 < made.seconds < 2 * 50 + 2 + 3
        assert made.range_seconds[1] > 2 * 50 + 2

    def test_the_test_at_the_end_is_counted_once_a_trial(self) -> None:
        settings = replace(SMALL, retrain=replace(SMALL.retrain, top_k=2))
        without, slow = (usage(settings, tests=tests) for tests in ((0.0, 0.0), (8.0, 8.0)))

        assert slow.stages["retrain"].seconds - without.stages["retrain"].seconds == pytest.approx(
            8
        )

    def test_a_training_on_all_images_takes_longer_by_its_images(self) -> None:
        few = replace(SMALL.retrain, top_k=2, epochs=10, on="all")  # 48 images, 24 to validate
        finals = replace(SMALL, retrain=few)
        once = replace(SMALL, retrain=replace(few, top_k=1))
        none = replace(SMALL, retrain=replace(few, on="train"))
        found, single, without = map(usage, (finals, once, none))

        assert "final" not in {**single.stages, **without.stages}
        assert found.stages["retrain"] == without.stages["retrain"]
        tune = usage(none, epochs=(0.0, 0.0)).stages["retrain"].seconds
        longer = 1.5 * (without.stages["retrain"].seconds - tune) + tune
        assert found.stages["final"].seconds == pytest.approx(longer)
        assert single.stages["retrain"].seconds == pytest.approx(longer)
        assert found.disk_bytes - without.disk_bytes > 4 * SPEEDS.network_bytes

    def test_processes_start_once_or_with_every_wave_of_several_workers(self) -> None:
        settings = replace(SMALL, retrain=replace(SMALL.retrain, top_k=4))
        alone = plan(settings)
        group = replace(alone, trial_size=TrialSize(workers=2))
        seconds = {
            name: usage(settings, made, start=start).stages["retrain"].seconds
            for name, made, start in (
                ("none", alone, 0.0),
                ("alone", alone, 7.0),
                ("group", group, 7.0),
            )
        }

        assert seconds["alone"] - seconds["none"] == pytest.approx(7)
        assert seconds["group"] - seconds["none"] == pytest.approx(2 * 7)

    def test_scores_by_trials_take_waves_and_no_more_than_there_are_architectures(self) -> None:
        few = search(score="accuracy", generations=3, population=4)
        all_of_them = search(score="naswot", generations=30, population=50)

        assert usage(few, search=10.0).stages["search"].seconds == pytest.approx(60, abs=5)
        space = usage(all_of_them, search=10.0).stages["search"].seconds
        assert space == pytest.approx(24 * 10, abs=6)  # 48 architectures, two at a time

    def test_differentiable_searches_take_epochs_in_waves_of_seeds(self) -> None:
        settings = by_gates(seeds=3, epochs=5, batch=8)
        made = plan(settings, space=shipped_cells())
        found = usage(settings, made, search=10.0, search_bytes=100)

        assert found.stages["search"].seconds == pytest.approx(2 * 5 * 10, abs=4)
        assert found.stages["search"].written_bytes == 3 * 5 * 100
        more = usage(settings, made, search=10.0, search_bytes=1100)
        assert more.disk_bytes - found.disk_bytes == 3 * 1000

    def test_learning_takes_its_short_trainings_and_is_absent_where_there_is_none(self) -> None:
        settings = replace(SMALL, trainings=4, training_epochs=7)

        tune = usage(settings, epochs=(0.0, 0.0)).stages["learn"].seconds

        # two at a time: three that tell most, then the one that is believed best
        assert usage(settings).stages["learn"].seconds == 3 * 7 + tune
        assert usage(settings, start=5.0).stages["learn"].seconds == 3 * 7 + tune + 2 * 5
        assert "learn" not in usage(replace(SMALL, trainings=0)).stages

    def test_rivals_take_epochs_as_long_as_their_macs_tell(self) -> None:
        few = replace(SMALL, retrain=replace(SMALL.retrain, epochs=10, top_k=1), rivals="random")
        made = plan(few)
        (rival,) = made.rivals.planned
        alike, slower = (
            usage(few, made, network_macs=macs).stages["rivals"]
            for macs in (rival.cost.macs, rival.cost.macs / 4)
        )
        tune = usage(few, made, epochs=(0.0, 0.0)).stages["rivals"].seconds

        assert alike == usage(few, made).stages["retrain"]
        assert slower.seconds - tune == pytest.approx(4 * (alike.seconds - tune))

    def test_gpu_hours_are_those_of_all_workers_of_a_stage(self) -> None:
        made = plan(SMALL, CLUSTER)
        found = usage(SMALL, made, step=3600.0)

        assert made.workers == 4
        hours = made.num_steps
        assert found.stages["pretrain"].gpu_hours == pytest.approx(4 * hours, rel=0.01)
        assert usage(SMALL).stages["pretrain"].gpu_hours == 0

    @pytest.mark.parametrize("name", ["pretrain", "retrain"])
    def test_checkpoints_are_counted_as_written(self, name: str) -> None:
        assert usage(SMALL).stages[name].written_bytes > 0

    def test_more_checkpoints_write_more_but_keep_no_more(self) -> None:
        often, seldom = (usage(pretrain(checkpoint_seconds=s), step=10.0) for s in (1, 10**6))

        assert often.stages["pretrain"].written_bytes > seldom.stages["pretrain"].written_bytes
        assert often.disk_bytes == seldom.disk_bytes

    @pytest.mark.parametrize(("seconds", "checkpoints"), [(0.0, 10), (1.0, 10), (5.0, 2), (60, 1)])
    def test_checkpoints_of_trials_are_as_many_as_their_time_allows(
        self, seconds: float, checkpoints: int
    ) -> None:
        """Ten epochs of a second each; a checkpoint has three copies of the weights."""
        retrain = replace(SMALL.retrain, epochs=10, top_k=1, checkpoint_seconds=seconds)
        found = usage(replace(SMALL, retrain=retrain)).stages["retrain"].written_bytes

        assert found == (3 * checkpoints + 1) * SPEEDS.network_bytes

    def test_every_stage_lies_within_its_range(self) -> None:
        settings = replace(search(score="accuracy"), trainings=4)
        made = usage(settings, search=0.5)

        assert list(made.stages) == ["pretrain", "learn", "search", "retrain"]
        for stage in made.stages.values():
            low, high = stage.range_seconds
            assert 0 < low < stage.seconds < high < math.inf


class TestLine:
    def test_a_person_reads_times_in_units_of_their_size_with_the_range(self) -> None:
        stage = StageUsage(
            seconds=150.0, written_bytes=3 * 2**20, low_seconds=100.0, high_seconds=7200.0
        )
        line = forecast_line(Usage({"pretrain": stage}, 512.0))

        assert line == (
            "forecast  pretrain 2.5 min (100 s to 2.0 h), in all 100 s to 2.0 h, "
            "3.0 MiB written, 0.5 KiB on disk at the end"
        )
        assert "2.5 GPU-hours" in forecast_line(
            Usage({"pretrain": replace(stage, gpu_hours=2.5)}, 0.0)
        )


class TestProbe:
    def test_the_first_call_is_not_measured(self) -> None:
        seconds = iter([0.3, 0.0, 0.0, 0.0])

        def work() -> None:
            import time  # noqa: PLC0415 - only here

            time.sleep(next(seconds))

        assert seconds_of(work, most=3) < 0.1

    @pytest.mark.slow
    @pytest.mark.cluster
    def test_a_cluster_s_speeds_are_measured_where_the_run_will_work(
        self, cluster: Resources
    ) -> None:
        batch = replace(SMALL.retrain, batch=12)
        settings = replace(search(score="accuracy", recalibration_batches=1), retrain=batch)
        made = plan(settings, cluster)
        sample = load_strategy(settings.search.strategy).probe_task(made, settings)
        found = probe(made, build_dataset(), settings, sample)

        assert 0 < found.step < 10
        assert 0 < found.start < 120
        assert 0 < found.isometry < 60
        assert 0 < found.search < 10
        assert min(found.epochs) > 0
        assert 0 < min(found.tests) < max(found.epochs)
        assert found.network_bytes > 100
        assert found.checkpoint_bytes > 100
        assert usage(settings, made, **vars(found)).stages["retrain"].seconds > 0

    @pytest.mark.slow
    @pytest.mark.cluster
    def test_the_speed_of_a_differentiable_search_is_measured(self, cluster: Resources) -> None:
        settings = by_gates(cells=3, channels=4, batch=12, seeds=2)
        made = plan(settings, cluster, space=shipped_cells())
        sample = load_strategy(settings.search.strategy).probe_task(made, settings)
        found = probe(made, build_dataset(), settings, sample)

        assert 0 < found.search < 60
        assert found.search_bytes > 1000
        assert (found.step, found.isometry) == (0.0, 0.0)

    @pytest.mark.slow
    @pytest.mark.cluster
    def test_what_fails_in_a_probe_is_told_with_its_remedy(self, cluster: Resources) -> None:
        with pytest.raises(ProbeError, match=r"run the same command again(.|\n)*ip="):
            _everywhere(broken, ray.put((plan(), build_dataset(), SMALL)), 1, 1, 0.0)
        assert cluster

    @pytest.mark.slow
    @pytest.mark.cluster
    def test_what_would_fail_the_run_is_raised_as_the_run_would_raise_it(
        self, cluster: Resources
    ) -> None:
        with pytest.raises(UserError) as caught:
            _everywhere(refusing, ray.put((plan(), build_dataset(), SMALL)), 1, 1, 0.0)
        assert str(caught.value) == "no such file"
        assert cluster

    def test_a_network_that_fails_is_no_reason_unless_another_one_fails_as_well(self) -> None:
        with pytest.raises(ZeroDivisionError), certain_if_fails(lambda: 1):
            broken()
        with pytest.raises(StageError, match="ZeroDivisionError"), certain_if_fails(broken):
            broken()


def broken(*_: object) -> None:
    """Fail as a bug does."""
    raise ZeroDivisionError


def refusing(*_: object) -> None:
    """Fail by a person's mistake."""
    raise UserError("no such file")


class TestSpending:
    def test_what_a_stage_takes_adds_up_over_drivers_that_were_stopped(
        self, tmp_path: Path
    ) -> None:
        store = RunStore.create(str(tmp_path / "run"))
        store.append("runs", [{"run": "run"}], part="run")
        resources = Resources(nodes=1, cpus=1.0, gpus=2.0)
        run = Run(
            store,
            SMALL,
            build_dataset(),
            SCHEMAS["images"].empty_table(),
            plan(),
            resources,
            Stages(Console()),
        )
        with contextlib.suppress(KeyboardInterrupt), run.spending("pretrain", 2.0):
            store.write_bytes("checkpoint", b"12345")
            raise KeyboardInterrupt
        first = run.spent.stages["pretrain"]
        with run.spending("pretrain", 2.0):
            store.write_bytes("checkpoint", b"123")
        both = run.spent.stages["pretrain"]

        assert first.written_bytes == 5
        assert both.written_bytes == 8
        assert both.seconds > first.seconds > 0
        assert both.gpu_hours == pytest.approx(2 * both.seconds / 3600)
