"""A run within a budget, and of so many images seen: chosen once, recorded, and kept."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from raynas.cluster import pretraining, run_setup
from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.probe import ProbeError
from raynas.errors import StageError
from raynas.settings.settings import Settings
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.usage import Usage
from tests.launch.scripts import SPEEDS, LocalPathWorkers, load_script, rows_of

search = load_script("search")
compare = load_script("compare")

SLOW = replace(SPEEDS, step=10.0, epochs=(100.0, 300.0))
TINY = tuple(
    shlex.split(
        "--images.share 0.2 --pretrain.batch 32 --pretrain.epochs 2 --no-export "
        "--search.population 3 --search.generations 1 --search.parents 2 --search.mutations 1 "
        "--search.crossovers 1 --search.concurrent 2 --retrain.top-k 2 --retrain.epochs 3 "
        "--retrain.batch 32 --trainings 0"
    )
)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """Let the script find two CPUs without starting Ray, of the speeds that are set."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield Resources(nodes=1, cpus=2.0, gpus=0.0)

    found = mock.Mock(return_value=SPEEDS)
    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(run_setup, "probe", found)
    monkeypatch.setattr(run_setup, "refuse_unfit_nodes", lambda *_: None)  # there are none
    monkeypatch.setattr(run_setup, "time", mock.Mock(monotonic=lambda: 0.0))
    return found


class TestPlan:
    def test_a_dry_run_says_what_is_chosen_and_forecasts_that(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], speeds: mock.Mock
    ) -> None:
        flags = ["--run", str(tmp_path / "run"), "--dry-run", "--trainings", "16"]
        outputs = []
        for budget in ("10h", "4min", "160s"):
            assert search.main([*flags, "--budget", budget]) == 0
            outputs.append(
                dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
            )
        ample, short, shorter = outputs

        assert ample["budget"].startswith("10h: all as asked for; up to ")
        assert short["budget"].startswith("4min: 8 trainings (of 16), 14 epochs (of 15); up to ")
        assert short["retrain"].startswith("3 networks for 14 epochs")
        assert short["learn"].startswith("the score from 8 networks")
        assert "16 epochs of pretraining (of 20)" in shorter["budget"]
        assert shorter["retrain"].startswith("3 networks for 5 epochs")
        assert float(short["budget"].split("up to ")[1].split()[0]) <= 4
        assert short["forecast"] != ample["forecast"]
        assert speeds.call_count == 3
        assert list(tmp_path.iterdir()) == []

        few = ["--retrain.least-steps", "400", "--budget"]
        for budget, said in (("10h", "20 epochs (400 steps at least), "), ("4min", "14 epochs, ")):
            assert search.main([*flags, *few, budget]) == 0
            output = capsys.readouterr().out
            assert f"3 networks for {said}" in output
        assert "\nbudget    4min: 8 trainings (of 16), 14 epochs (of 20); up to " in output

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ("--budget 20s", "--budget 20s: by its forecast the run takes up to "),
            ("--budget 8gpuh", "--budget 8gpuh: the cluster has no GPUs; give a time"),
            ("--budget 2h --skip-forecast", "--budget 2h with --skip-forecast: what fits is"),
            ("--budget soon", "--budget soon: wanted a time or GPU-hours, such as 90min"),
            ("--retrain.seen 9k --retrain.epochs 3", "flags: got epochs and seen of retrain"),
            ("--retrain.seen 1k --retrain.warmup-epochs 2", "--retrain.seen 1,000: of 1,222"),
        ],
    )
    def test_what_cannot_be_chosen_is_refused_in_one_sentence(
        self,
        flags: str,
        words: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        speeds: mock.Mock,
    ) -> None:
        assert search.main(["--run", str(tmp_path / "run"), *flags.split()]) == 2
        errors = capsys.readouterr().err

        assert errors.startswith(f"error: {words}")
        assert errors.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
        assert speeds.call_count == ("20s" in flags or "gpuh" in flags)

    def test_without_its_probe_nothing_is_chosen(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], speeds: mock.Mock
    ) -> None:
        speeds.side_effect = ProbeError("it needs more memory")

        assert search.main(["--run", str(tmp_path / "run"), "--budget", "2h"]) == 1
        assert "--budget 2h: without a forecast nothing can be chosen" in capsys.readouterr().err

    @pytest.mark.usefixtures("speeds")
    def test_epochs_follow_from_the_images_that_are_shown(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flags = ["--run", str(tmp_path / "run"), "--dry-run", "--skip-forecast"]

        assert search.main([*flags, "--retrain.seen", "10k"]) == 0
        assert "3 networks for 9 epochs (10,998 images shown), " in capsys.readouterr().out
        recipe = tmp_path / "mine.toml"
        recipe.write_text('[retrain]\nseen = "10k"\n', encoding="utf-8")
        named = [*flags, "--recipe", str(recipe)]
        assert search.main(named) == 0
        assert "for 9 epochs (10,998 images shown), " in capsys.readouterr().out
        assert search.main([*named, "--retrain.epochs", "4"]) == 0
        assert "for 4 epochs, " in capsys.readouterr().out

    def test_a_comparison_trains_for_what_is_asked_for(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert compare.main(["--methods", "random", "--budget", "2h"]) == 2
        assert "--budget: the runs of a comparison train for the epochs" in capsys.readouterr().err


def run_of(folder: Path) -> tuple[dict[str, Any], Settings]:
    """Return the run's row, and its settings."""
    (row,) = RunStore(str(folder)).rows("runs")
    return row, Settings.from_json(row["settings"])


@pytest.mark.slow
@pytest.mark.cluster
def test_what_a_budget_chose_is_recorded_and_kept_wherever_the_run_goes_on(
    cluster: Resources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    probe = mock.Mock(return_value=SPEEDS)
    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(run_setup, "probe", probe)
    monkeypatch.setattr(run_setup, "time", mock.Mock(monotonic=lambda: 0.0))
    monkeypatch.setattr(pretraining, "PathWorkers", LocalPathWorkers)
    run = tmp_path / "run"
    command = ["--run", str(run), *TINY, "--budget", "52s"]
    with monkeypatch.context() as patch:
        patch.setattr(search, "retrain", mock.Mock(side_effect=StageError("the power is gone")))
        assert search.main(command) == 1
    row, settings = run_of(run)
    chosen = capsys.readouterr().out.partition("\nbudget    52s: ")[2].splitlines()[0]

    assert settings.budget == "52s"
    assert settings.retrain.epochs == 1
    assert chosen.startswith("1 epoch (of 3); up to ")
    assert PlanFacts.from_json(row["plan"]).asked == {"retrain.epochs": 3}
    assert Usage.from_json(row["forecast"]).stages["retrain"].seconds > 0

    probe.return_value = SLOW  # on another machine, on which nothing would fit
    assert search.main([*command, "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert f"{chosen.partition(';')[0]}; as the run began" in dry
    calls = probe.call_count
    assert search.main(command) == 0
    ended, again = run_of(run)
    assert again == settings
    assert ended["finished"] is not None
    assert probe.call_count == calls
    assert [each["epochs"] for each in rows_of(run, "outcomes")] == [settings.retrain.epochs] * 2
    capsys.readouterr()

    assert search.main(command) == 0  # a finished run prints its result
    assert "Outcomes of run" in capsys.readouterr().out
    other = ["--run", str(run), *TINY]
    assert search.main(other) == 2
    assert "budget: recorded '52s', now None" in capsys.readouterr().err
    assert search.main([*command, "--retrain.epochs", "4"]) == 2
    assert "retrain.epochs: recorded 3, now 4" in capsys.readouterr().err

    probe.return_value = SPEEDS
    fresh = ["--run", str(tmp_path / "next"), *TINY, "--budget", "52s", "--dry-run"]
    for flag in ("--from", "--pretrained"):
        assert search.main([*fresh, flag, str(run)]) == 0
        output = capsys.readouterr().out
        assert "forecast  search " in output  # the supernet is there
        assert ("anew      pretraining" in output) is False
