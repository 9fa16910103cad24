"""The comparison through the command line: shared supernets, failures, a crash, refusals."""

import json
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raynas.benchmark.paper_tables import learned
from raynas.cluster import run_setup
from raynas.cluster.planning import connection
from raynas.cluster.planning.connection import Resources
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from tests.launch.scripts import (
    SPEEDS,
    Ended,
    InProcess,
    Launcher,
    files_of,
    load_script,
    results_of,
    rows_of,
    running,
    wait_until,
)

compare = load_script("compare")
CELLS = ["fair_taylor", "fair_saliency", "broken", "random"]
LIGHT = tuple(
    shlex.split(
        "--images.share 0.3 --pretrain.epochs 1 --pretrain.batch 32 --pretrain.workers 1 "
        "--pretrain.checkpoint-seconds 0.02 --search.generations 1 --search.population 4 "
        "--search.parents 2 --search.mutations 1 --search.crossovers 1 --search.concurrent 1 "
        "--retrain.top-k 1 --retrain.epochs 1 --retrain.batch 32 --trainings 0"
    )
)
BROKEN = """
[pretrain]
learning-rate = 1e30
clip = 0.0
optimiser = "sgd"
"""


@pytest.fixture(scope="session")
def matrix(
    launcher: Launcher, in_process: InProcess, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str], dict[Path, Any], Ended]:
    """Return a comparison that was killed in its second run and continued.

    Its folder, its flags, the files of its first run at the kill, and how it ended.
    """
    folder = tmp_path_factory.mktemp("comparisons")
    (folder / "broken.toml").write_text(BROKEN)
    methods = f"fair_taylor,fair_saliency,{folder / 'broken.toml'},random"
    flags = ["--methods", methods, "--seeds", "1", *LIGHT]
    run, second = folder / "all", RunStore(str(folder / "all" / "fair_saliency-seed0"))
    with running(launcher.start(run, *flags, script="compare")) as process:
        wait_until(lambda: second.rows("runs"), process, 360)
        os.kill(process.pid, signal.SIGKILL)
    before = files_of(run / "fair_taylor-seed0")
    return run, flags, before, in_process.run(run, *flags, script="compare")


Matrix = tuple[Path, list[str], dict[Path, Any], Ended]


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(1200)  # two starts of Ray, four runs
class TestMatrix:
    def test_a_supernet_is_trained_once_and_taken_over_by_the_methods_that_share_it(
        self, matrix: Matrix
    ) -> None:
        run, *_ = matrix
        first, second = (RunStore(str(run / f"{name}-seed0")) for name in CELLS[:2])

        for table in ("steps", "isometry", "ledger"):
            assert first.rows(table) == second.rows(table) != []  # with their times
        read = [
            [row for row in each.rows("indicators") if row["kind"] != "score"]
            for each in (first, second)
        ]
        assert read[0] == read[1] != []  # what each makes a score of is the same
        assert first.rows("runs")[0]["pretrained"] is None
        assert second.rows("runs")[0]["pretrained"] == first.uri

    def test_a_run_of_the_comparison_is_what_the_search_makes_by_itself(
        self, matrix: Matrix, in_process: InProcess, tmp_path: Path
    ) -> None:
        same, alone = matrix[0] / "fair_saliency-seed0", tmp_path / "alone"
        flags = ("--method", "fair_saliency", "--rivals", "none")  # another method trains them
        end = in_process.run(alone, *flags, "--skip-forecast", "--no-export", *LIGHT)
        assert end.code == 0

        settings = [RunStore(str(each)).rows("runs")[0]["settings"] for each in (same, alone)]
        assert settings[0] == settings[1]
        assert results_of(same) == results_of(alone)

    def test_what_was_finished_before_a_kill_is_not_done_again(self, matrix: Matrix) -> None:
        run, _, before, _ = matrix

        assert files_of(run / "fair_taylor-seed0") == before

    def test_a_run_that_fails_is_named_and_leaves_the_others(self, matrix: Matrix) -> None:
        run, _, _, end = matrix
        rows = {Path(row["method"]).stem: row for row in RunStore(str(run)).rows("comparison")}

        assert end.code == 1
        assert "broken, seed 0 failed: pretraining, step" in end.output
        assert end.errors == "error: 1 of 4 runs failed; the same command tries them again\n"
        assert set(rows) == set(CELLS)
        assert [rows[name]["status"] for name in CELLS] == [
            "finished",
            "finished",
            "failed",
            "finished",
        ]
        assert "the loss is" in rows["broken"]["error"]
        assert rows["random"]["trainable"] is None
        assert rows["random"]["pretrain_seconds"] == 0.0
        assert rows["random"]["search_seconds"] > 0
        for name in ("fair_taylor", "fair_saliency"):
            (best, *_) = rows_of(run / f"{name}-seed0", "outcomes")
            assert rows[name]["architecture"] == best["architecture"]
            assert rows[name]["best_test_accuracy"] == best["test_accuracy"]
            assert f"{best['test_accuracy']:.4f}" in end.output

    def test_a_finished_comparison_is_printed_again_and_starts_nothing(
        self, matrix: Matrix, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, flags, *_ = matrix
        monkeypatch.setattr(connection, "connected", None)
        flags = ["--methods", "fair_taylor,fair_saliency,random", *flags[2:]]
        runs = {path: files_of(run / f"{path}-seed0") for path in CELLS}
        printed = in_process.run(run, *flags, script="compare")
        rows = json.loads(in_process.run(run, *flags, "--json", script="compare").output)

        assert printed.code == 0, printed.errors
        assert [row["status"] for row in rows] == ["finished"] * 3
        assert f"{rows[0]['ms_per_step']:.1f}" in printed.output
        assert {path: files_of(run / f"{path}-seed0") for path in CELLS} == runs


@pytest.fixture
def pretended_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the script find two CPUs without starting Ray, and refuse to run anything."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield Resources(nodes=1, cpus=2.0, gpus=0.0)

    monkeypatch.setattr(compare, "connected", connected)
    monkeypatch.setattr(run_setup, "probe", lambda *_: SPEEDS)
    monkeypatch.setattr(run_setup, "refuse_unfit_nodes", lambda *_: None)  # there are none
    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(compare, "run_cells", None)


REFUSED = {
    "": "--methods: got none",
    "--methods ,": "--methods: got none",
    "--methods fair_tailor": "did you mean fair_taylor?",
    "--methods random,naswot,random": "got random twice",
    "--methods imagenet/spos,imagenet/spos": "got imagenet-spos twice",
    "--methods imagenet/sposs": "did you mean imagenet/spos?",
    "--methods random --seeds 0": "--seeds: got 0",
    "--methods random --concurrent 0": "--concurrent: got 0",
    "--methods fair_taylor --concurrent 2": "lower --pretrain.workers, or --concurrent",
    "--methods random --concurrent 2": "lower --search.concurrent, or --concurrent",
    "--methods fair_taylor --concurrent 2 --pretrain.workers 1": "lower --retrain.concurrent, or",
    "--methods random --seed 1": "--seed: a comparison has several; give --seeds",
    "--methods random --method spos": "--method: a comparison has several; give --methods",
    "--methods fair_taylor,spos --search exact": "method spos: --search exact",
    "--methods fair_taylor,random --pretrain.epochs 0": "method fair_taylor: --pretrain.epochs 0",
    "--methods random --max-macs 1k": "--max-macs 1k: the smallest architecture",
    "--methods random --data {tmp}/missing": "no such folder",
    "--methods random --truth {tmp}/missing.json": "truth file {tmp}/missing.json",
    "--methods random --truth {tmp}/other.json": "--truth {tmp}/other.json",
}


@pytest.mark.usefixtures("pretended_cluster")
@pytest.mark.parametrize("flags", REFUSED)
def test_what_cannot_work_is_refused_in_one_sentence_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    record = {"test_acc": [90.0], "flops": 1, "params": 1}
    (tmp_path / "other.json").write_text(json.dumps({"01": record, "10": record}))
    before = sorted(tmp_path.rglob("*"))
    words = flags.format(tmp=tmp_path).split()
    code = compare.main(["--run", str(tmp_path / "run"), *words])
    printed = capsys.readouterr()

    assert code == 2
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert REFUSED[flags].format(tmp=tmp_path) in printed.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("pretended_cluster")
def test_a_run_of_other_settings_in_the_folder_is_refused_by_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, methods = compare.parse(["--methods", "random", "--search.population", "7"])
    row = {"settings": methods["random"].to_json(), "seed": 0}
    RunStore.create(str(tmp_path / "random-seed0")).append("runs", [row], "run")

    assert compare.main(["--run", str(tmp_path), "--methods", "random"]) == 2
    assert "search.population: recorded 7, now 50" in capsys.readouterr().err


@pytest.mark.usefixtures("pretended_cluster")
def test_a_dry_run_prints_every_method_s_plan_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--methods", "fair_taylor,random", "--retrain.epochs", "1", "--dry-run"]
    code = compare.main(["--run", str(tmp_path / "run"), *flags])
    output = capsys.readouterr().out

    assert code == 0
    for method in ("fair_taylor", "random"):
        assert f"method    {method}, seed 0" in output
    assert output.count("\nforecast ") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("pretended_cluster")
def test_runs_that_begin_from_weights_are_planned_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans: list[Any] = []
    monkeypatch.setattr(compare, "refuse_crowding", lambda plan, *_: plans.append(plan))
    words = "--methods feature_error,random --start efficientnet_lite0 --rivals start,random"
    flags = [*words.split(), "--space", "efficientnet_lite0", "--resolution", "32"]
    command, methods = compare.parse(flags)
    for settings in methods.values():
        compare.refuse_impossible(command, settings, Resources(1, 2.0, 0.0), None)

    first, second = plans
    assert [each.name for each in first.rivals.planned] == ["start", "random"]
    assert second.rivals.planned == ()  # they are trained once
    for plan in plans:
        assert plan.facts.mean == pytest.approx([127 / 255])


def test_flags_win_over_the_methods_but_what_is_not_pretrained_stays_so() -> None:
    flags = ["--methods", "bnnas_spos,random", "--pretrain.epochs", "3", "--max-macs", "1M"]
    _, methods = compare.parse(flags)

    assert [each.pretrain.epochs for each in methods.values()] == [3.0, 0.0]
    assert [each.max_macs for each in methods.values()] == [1_000_000] * 2
    assert methods["bnnas_spos"].pretrain.trainable == "last_bn"


def test_a_recipe_holds_for_all_methods() -> None:
    _, methods = compare.parse(["--methods", "spos,random", "--recipe=modern"])

    assert [each.retrain.mixup for each in methods.values()] == [0.2, 0.2]
    assert [each.recipe for each in methods.values()] == ["modern"] * 2
    assert methods["spos"].search.score == "accuracy"


def test_without_a_folder_the_same_methods_in_any_order_share_one() -> None:
    folders = [
        compare.default_folder(compare.parse(["--methods", *flags])[1])
        for flags in (["spos,random"], ["random,spos", "--seeds", "5"], ["spos"])
    ]

    assert folders[0] == folders[1] != folders[2]
    assert folders[0].startswith("runs/compare-digits-small_mobile-")
    _, methods = compare.parse(["--methods", "spos", "--data", "s3://KEY:SECRET@bucket"])
    assert compare.default_folder(methods).startswith("runs/compare-bucket-small_mobile-")


def test_methods_of_a_folder_stand_beside_those_of_the_same_name(tmp_path: Path) -> None:
    _, methods = compare.parse(["--methods", "spos,imagenet/spos"])
    cells = compare.make_cells(methods, 1, str(tmp_path))

    assert [cell.name for cell in cells] == ["spos-seed0", "imagenet-spos-seed0"]
    assert [cell.settings.method for cell in cells] == ["spos", "imagenet/spos"]
    assert cells[1].store.uri == str(tmp_path / "imagenet-spos-seed0")
    assert compare.default_folder(methods).startswith("runs/compare-")


def test_the_table_says_what_learned_with_its_numbers_as_far_as_a_run_recorded_them() -> None:
    row = {"trainable": "all_bn", "trains_classifier": True, "trained_numbers": 1_993_032}

    assert learned(row) == "all batch norms + classifier, 1,993,032 numbers"
    assert learned({"trainable": "all_bn"}) == "all batch norms"
    assert learned({"trainable": "gates"}) == "weights and gates"
    assert learned({}) == "nothing"


def test_the_tables_of_a_run_and_of_a_comparison_are_apart() -> None:
    assert "comparison" not in SCHEMAS
