"""The whole story through the command line: runs, crashes, refusals."""

import json
import math
import os
import re
import shlex
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.dataset as ds
import pytest

from raynas.cluster import run_setup
from raynas.cluster.planning.connection import Resources
from raynas.cluster.planning.probe import ProbeError
from raynas.cluster.run_setup import run_folder
from raynas.costs.costs import CostTable
from raynas.errors import StageError
from raynas.export.module_source import import_file
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.recording.outcomes import SEARCH_STATE
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.lock import LOCK
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.storage.usage import Usage
from tests.analysis import browser
from tests.builders import shipped_space
from tests.data.samples import numbered_tree, picture, write_tree
from tests.launch.scripts import (
    LEARNING,
    SPEEDS,
    STEPS,
    TINY,
    Ended,
    InProcess,
    Launcher,
    ended,
    files_of,
    half_written,
    load_script,
    results_of,
    rows_of,
    running,
    wait_until,
)

search = load_script("search")


def digits_costs() -> CostTable:
    """Return what the networks of the default job cost."""
    return cost_table(shipped_space("small_mobile").with_identity(Identity()), 8, 1, 10)


@pytest.mark.cluster
class TestWholeRun:
    def test_it_ends_well_and_prints_the_outcomes(self, whole: tuple[Path, Ended]) -> None:
        run, end = whole

        assert end.code == 0, end.errors
        for row in rows_of(run, "outcomes"):
            assert row["architecture"] in end.output
            assert f"{row['test_accuracy']:.4f}" in end.output
        assert f"run folder: {run}" in end.output
        for stage in ("pretrain ", "search ", "retrain "):
            assert f"\n{stage}" in end.output
        assert "Traceback" not in end.output + end.errors

    def test_each_network_can_be_taken_home(self, whole: tuple[Path, Ended]) -> None:
        run, end = whole
        for row in rows_of(run, "outcomes"):
            folder = run / "exports" / row["architecture"]
            config = json.loads((folder / "config.json").read_text())
            network = import_file(folder / "model.py").load()

            assert config["accuracy"]["test"]["accuracy"] == row["test_accuracy"]
            assert sum(p.numel() for p in network.parameters()) == row["params"]
            assert config["checks"]["images"] == "16 validation images"
        assert f"export: 2 to take home in {run}/exports" in end.output

    def test_its_report_is_a_page_that_a_browser_shows_without_complaint(
        self, whole: tuple[Path, Ended]
    ) -> None:
        run, end = whole
        page, best = run / "report.html", rows_of(run, "outcomes")[0]

        assert f"\nreport: {page}\n" in end.output
        with browser.started() as chrome:
            chrome.get(page.as_uri())
            answer = chrome.find_element("class name", "answer").text
            assert best["architecture"] in answer
            assert f"{100 * best['test_accuracy']:.2f}" in answer
            assert "launch/export.py" not in answer  # it is exported already
            assert browser.console(chrome) == []
            assert browser.requests(chrome) == [page.as_uri()]

    def test_every_table_of_the_contract_has_rows_that_anyone_can_read(
        self, whole: tuple[Path, Ended]
    ) -> None:
        run, _ = whole
        for name, schema in SCHEMAS.items():
            # of differentiable searches, --rivals, a teacher and broken images alone
            others = {
                "gates",
                "search_epochs",
                "teacher_epochs",
                "rivals",
                "rival_epochs",
            }
            if name in others | {"lost_images"}:
                continue
            table = ds.dataset(run / "tables" / name, format="parquet").to_table()
            assert table.num_rows > 0, name
            assert set(schema.names) <= set(table.column_names)

    def test_the_run_s_row_tells_what_was_run_and_that_it_is_finished(
        self, whole: tuple[Path, Ended]
    ) -> None:
        run, _ = whole
        (row,) = RunStore(str(run)).rows("runs")
        settings = json.loads(row["settings"])

        assert (row["run"], row["space"], row["seed"]) == ("whole", "small_mobile", 0)
        assert settings["search"]["population"] == 6
        assert row["started"] < row["finished"]
        assert (row["nodes"], row["gpus"]) == (1, 0.0)
        assert row["cpus"] >= 1
        assert json.loads(row["plan"])["train"] == 1222

    def test_steps_are_complete_and_every_candidate_was_updated_equally_often(
        self, whole: tuple[Path, Ended]
    ) -> None:
        run, _ = whole
        steps = rows_of(run, "steps")
        counts: dict[int, set[int]] = defaultdict(set)
        for row in rows_of(run, "ledger"):
            counts[row["layer"]].add(row["updates"])

        assert [row["step"] for row in steps] == list(range(STEPS))
        assert all(math.isfinite(row["loss"]) for row in steps)
        assert len(counts) == 6
        assert all(len(updates) == 1 for updates in counts.values())

    def test_indicators_of_all_kinds_are_finite_and_the_last_are_of_the_last_step(
        self, whole: tuple[Path, Ended]
    ) -> None:
        rows = rows_of(whole[0], "indicators")

        assert {row["kind"] for row in rows} == {
            "block",
            "layer",
            "taylor",
            "saliency",
            "relu_inputs",
            "score",
            "calibrated",
        }
        assert all(math.isfinite(row["value"]) for row in rows)
        assert max(row["step"] for row in rows) == STEPS - 1

    def test_architectures_are_scored_once_each_with_their_exact_costs(
        self, whole: tuple[Path, Ended]
    ) -> None:
        rows, costs = rows_of(whole[0], "architectures"), digits_costs()

        assert len({row["architecture"] for row in rows}) == len(rows) == 12
        assert Counter(row["generation"] for row in rows) == {0: 6, 1: 6}
        assert {row["origin"] for row in rows} <= {"random", "mutation", "crossover"}
        for row in rows:
            cost = costs.of(Architecture.parse(row["architecture"]))
            assert (row["macs"], row["params"]) == (cost.macs, cost.params)

    def test_the_best_scored_architectures_were_retrained_and_ranked_by_accuracy(
        self, whole: tuple[Path, Ended]
    ) -> None:
        run, _ = whole
        outcomes = rows_of(run, "outcomes")
        scored = sorted(
            rows_of(run, "architectures"), key=lambda row: (-row["score"], row["order"])
        )
        accuracies = [row["val_accuracy"] for row in outcomes]

        assert {row["architecture"] for row in outcomes} == {
            row["architecture"] for row in scored[:2]
        }
        assert [row["rank"] for row in outcomes] == [1, 2]
        assert accuracies == sorted(accuracies, reverse=True)
        for row in outcomes:
            assert (row["status"], row["epochs"], row["error"]) == ("finished", 2, None)
            assert 0 <= row["test_accuracy"] <= 1
            assert (run / row["checkpoint"]).is_file()
        assert Counter(row["architecture"] for row in rows_of(run, "trials")) == {
            row["architecture"]: 2 for row in outcomes
        }

    def test_nothing_in_the_run_folder_is_a_pickle(self, whole: tuple[Path, Ended]) -> None:
        files = [path for path in whole[0].rglob("*") if path.is_file()]

        exported = {".py", ".md", ".onnx", ".html"}
        assert {path.suffix for path in files} - exported == {".parquet", ".safetensors", ".json"}

    def test_the_same_command_again_prints_the_result_and_starts_nothing(
        self, whole: tuple[Path, Ended], launcher: Launcher
    ) -> None:
        run, first = whole
        before, rays = files_of(run), launcher.sessions()
        again = launcher.run(run, *LEARNING)

        assert again.code == 0
        assert files_of(run) == before
        assert launcher.sessions() == rays
        table = again.output[again.output.index("Outcomes of") :]
        assert first.output.endswith(table)

    def test_other_settings_on_the_same_folder_are_refused_by_what_differs(
        self, whole: tuple[Path, Ended], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, _ = whole
        before = files_of(run)
        flags = [*TINY, "--search.population", "7", "--seed", "1"]

        assert search.main(["--run", str(run), *flags]) == 2
        sentence = capsys.readouterr().err
        assert "search.population: recorded 6, now 7" in sentence
        assert "seed: recorded 0, now 1" in sentence
        assert sentence.count("\n") == 1
        assert files_of(run) == before


@pytest.mark.slow
@pytest.mark.cluster
def test_a_run_under_another_limit_takes_over_what_is_the_same(
    whole: tuple[Path, Ended], in_process: InProcess, tmp_path: Path
) -> None:
    (first, _), run = whole, tmp_path / "second"
    end = in_process.run(run, *LEARNING, "--max-macs", "10M", "--from", str(first), "--no-export")

    assert end.code == 0, end.errors
    taken = "pretraining; 4 checks; 2 trainings, where the same networks are chosen"
    assert f"\nfrom      {first}: {taken}\n" in end.output
    assert "\npretrain  40/40" not in end.output
    again, before = (RunStore(str(each)) for each in (run, first))
    for table in ("steps", "ledger", "indicators", "trials"):
        names = [name for name in before.table(table).column_names if name != "trial"]
        rows = again.table(table, names).sort_by([(names[0], "ascending")]).to_pylist()
        assert rows == before.table(table, names).sort_by([(names[0], "ascending")]).to_pylist()
    names = [name for name in before.table("outcomes").column_names if name != "measured_ms"]
    found, wanted = (each.table("outcomes", names).to_pylist() for each in (again, before))
    assert found == wanted
    (row,) = again.rows("runs")
    assert row["warm_start"] == row["pretrained"] == before.uri


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_sigterm_saves_a_pretraining_at_once_and_the_same_command_goes_on_from_that_step(
    launcher: Launcher, in_process: InProcess, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    """No checkpoint is due for hours, so the one that appears is the signal's."""
    store, run = RunStore(str(tmp_path / "run")), tmp_path / "run"
    flags = [*LEARNING, "--pretrain.checkpoint-seconds", "9999"]

    with running(launcher.start(run, *flags)) as process:
        wait_until(lambda: len(store.parts("indicators")) >= 3, process)
        assert not store.has(CHECKPOINT)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: store.has(CHECKPOINT), seconds=3)
        seconds = time.monotonic() - started
        end = ended(process)
    saved = store.rows("steps")

    assert seconds < 3
    assert end.code == 143
    said = "stopped by SIGTERM; run the same command again to continue"
    assert end.errors.splitlines()[-1] == said
    assert "Traceback" not in end.output + end.errors
    assert 3 <= len(saved) < STEPS
    assert not store.has(LOCK)
    assert half_written(run) == []

    end = in_process.run(run, *flags)

    assert end.code == 0, end.errors
    assert store.rows("steps")[: len(saved)] == saved  # not done again: equal times
    assert results_of(run) == results_of(whole[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.cluster
def test_a_run_whose_driver_is_killed_twice_finds_what_an_uninterrupted_one_finds(
    launcher: Launcher, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    store, run = RunStore(str(tmp_path / "killed")), tmp_path / "killed"

    # a checkpoint a step, or the last one would soon be reached on an idle machine
    slow = ("--pretrain.checkpoint-seconds", "0")
    with running(launcher.start(run, *LEARNING, *slow)) as process:
        wait_until(lambda: len(store.rows("steps")) >= 8, process)
        os.kill(process.pid, signal.SIGKILL)
    steps = store.rows("steps")
    assert len(steps) < STEPS

    with running(launcher.start(run, *LEARNING)) as process:
        wait_until(lambda: store.rows("trials"), process)
        os.kill(process.pid, signal.SIGKILL)
    trials = store.rows("trials")
    assert len(trials) < 4
    # equal times: not done again, but for the last steps, whose checkpoint was not whole yet
    assert store.rows("steps")[: len(steps) // 2] == steps[: len(steps) // 2]

    end = launcher.run(run, *LEARNING)

    assert end.code == 0, end.errors
    assert results_of(run) == results_of(whole[0])
    times = {(row["architecture"], row["epoch"]): row["seconds"] for row in store.rows("trials")}
    for row in trials:
        assert times[row["architecture"], row["epoch"]] == row["seconds"]


@pytest.mark.cluster
@pytest.mark.chaos
def test_a_run_that_is_interrupted_by_hand_continues_with_the_same_command(
    launcher: Launcher, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    store, run = RunStore(str(tmp_path / "interrupted")), tmp_path / "interrupted"
    for condition in (lambda: store.rows("steps"), lambda: store.has(SEARCH_STATE)):
        with running(launcher.start(run, *LEARNING)) as process:
            wait_until(condition, process)
            process.send_signal(signal.SIGINT)
            end = ended(process)
        assert end.code == 130
        assert end.errors == "interrupted; run the same command again to continue\n"
        assert store.rows("runs")[0]["finished"] is None

    assert launcher.run(run, *LEARNING).code == 0
    assert results_of(run) == results_of(whole[0])


OWN_SPACE = '''
"""A person's own space with an operation of their own."""

from dataclasses import dataclass

from torch import nn

from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.operations import MBConv
from raynas.spaces.chain import ChoiceBlock, SearchSpace
from raynas.storage.usage import Usage


@dataclass(frozen=True)
class Plain:
    kernel: int

    @property
    def name(self) -> str:
        return f"plain{self.kernel}"

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        padding = self.kernel // 2
        return nn.Sequential(
            nn.Conv2d(in_channels, out_channels, self.kernel, stride, padding, bias=False),
            nn.BatchNorm2d(out_channels),
        )


CANDIDATES = (Plain(1), Plain(3), MBConv(3, 2))
SPACE = SearchSpace(
    name="mine",
    stem=ConvStem(out_channels=8, stride=1),
    blocks=(ChoiceBlock(CANDIDATES, 8, 12, 2), ChoiceBlock(CANDIDATES, 12, 12, 1)),
    head=PooledHead(width=16),
    resolution=12,
)
'''


@pytest.mark.slow
@pytest.mark.cluster
def test_a_space_of_ones_own_on_ones_own_images_runs_to_its_end(
    in_process: InProcess, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(OWN_SPACE)
    colours = [(200, 30, 30), (30, 30, 200)]
    data = write_tree(
        tmp_path / "images",
        {
            f"class{label}": [picture(colour, "RGB", (9 + i % 5, 12)) for i in range(40)]
            for label, colour in enumerate(colours)
        },
    )
    (tmp_path / "images" / "class0" / "broken.png").write_text("no image")
    run, flags = (
        tmp_path / "run",
        [
            "--space",
            str(tmp_path / "mine.py"),
            "--data",
            data,
            *shlex.split(
                "--method fair_isometry --pretrain.batch 16 --pretrain.epochs 1 "
                "--pretrain.workers 1 --retrain.top-k 1 --retrain.epochs 1 "
                "--max-params 2k --images.augment crop_flip"
            ),
        ],
    )
    end = in_process.run(run, *flags)

    assert end.code == 0, end.errors
    assert "1 images that cannot be read: class0/broken.png" in end.output
    (outcome,) = rows_of(run, "outcomes")
    (row,) = RunStore(str(run)).rows("runs")
    assert "\nforecast  pretrain " in end.output
    assert re.search(
        r"^took: pretrain .+, search .+, retrain .+ in brackets$", end.output, re.MULTILINE
    )
    expected, spent = (Usage.from_json(row[name]) for name in ("forecast", "spent"))
    assert expected.stages.keys() == {"pretrain", "search", "retrain"}
    assert spent.stages.keys() == {*expected.stages, "export"}
    assert expected.disk_bytes
    assert spent.disk_bytes
    assert expected.disk_bytes / 10 < spent.disk_bytes < 10 * expected.disk_bytes
    assert outcome["status"] == "finished"
    assert outcome["params"] <= 2000
    assert row["method"] == "fair_isometry"
    assert {row["operation"] for row in rows_of(run, "ledger")} == {
        "plain1",
        "plain3",
        "k3e2",
        "identity",
    }
    assert all(row["params"] <= 2000 for row in rows_of(run, "architectures"))


@pytest.fixture
def pretended_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the script find two CPUs without starting Ray: enough for plans and refusals."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield Resources(nodes=1, cpus=2.0, gpus=0.0)

    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(run_setup, "probe", lambda *_: SPEEDS)
    monkeypatch.setattr(run_setup, "refuse_unfit_nodes", lambda *_: None)  # there are none


REFUSED = {
    "--space smal_mobile": "did you mean small_mobile?",
    "--space missing.py": "missing.py",
    "--method fair_tailor": "did you mean fair_taylor?",
    "--data {tmp}/missing": "no such folder",
    "--data {tmp}/one": "one class only (only)",
    "--data {tmp}/empty": "no images in it",
    "--max-macs 1k": "--max-macs 1k: the smallest architecture of the space needs",
    "--min-macs 9G": "--min-macs 9G: the largest architecture of the space has",
    "--min-params 2M --max-params 1M": "with --max-params 1,000,000: nothing lies between",
    "--max-params 3": "--max-params 3: the smallest architecture of the space needs",
    "--run {tmp}/file/run": "{tmp}/file/run",
    "--run /proc/nowhere/run": "run folder /proc/nowhere/run: cannot write there",
    "--retrain.gpus-per-trial 1": "the cluster has 0 GPUs",
    "--pretrain.workers 3": "the cluster holds 2 workers",
    "--pretrain.cpus-per-worker 3": "together they have 2 CPUs",
    "--seed -1": "--seed: got -1",
    "--pretrain.epochs 0": "--pretrain.epochs 0 with --search.score balanced_saliency: it is read",
    "--pretrain.epochs 0 --search.score accuracy": "use one of az_expressivity, az_progressivity",
    "--pretrain.epochs -1": "--pretrain.epochs: got -1",
    "--search exact --search.score accuracy": "--search exact with --search.score accuracy",
    "--search calibrated --search.score random": "or --search evolution",
    "--search exact --max-macs 1k": "--max-macs 1k: the smallest architecture of the space needs",
    "--check -1": "--trainings: got -1",
    "--trainings 2 --training-epochs 0": "--training-epochs: got 0",
    "--pretrain.batch 1": "--pretrain.batch: got 1",
    "--pretrain.sampling fair": "--pretrain.layer-indicator",
    "--pretrain.cpus-per-worker 0": "--pretrain.cpus-per-worker",
    "--pretrain.gpus-per-worker -1": "--pretrain.gpus-per-worker",
    "--pretrain.momentum 2": "--pretrain.momentum",
    "--pretrain.label-smoothing 2": "--pretrain.label-smoothing",
    "--pretrain.classifier-rate -1": "--pretrain.classifier-rate",
    "--search.mutations -1": "--search.mutations",
    "--search.mutation-probability 2": "--search.mutation-probability",
    "--retrain.cpus-per-trial 0": "--retrain.cpus-per-trial",
    "--retrain.concurrent 0": "--retrain.concurrent",
    "--retrain.learning-rate -1": "--retrain.learning-rate",
    "--retrain.momentum -1": "--retrain.momentum",
    "--retrain.weight-decay -1": "--retrain.weight-decay",
    "--retrain.label-smoothing 2": "--retrain.label-smoothing",
    "--retrain.dropout 2": "--retrain.dropout",
    "--retrain.asha-grace-epochs 0": "--retrain.asha-grace-epochs",
    "--retrain.asha-reduction 1": "--retrain.asha-reduction",
    "--architecture 0-9-0-0-0-0": "--architecture: small_mobile, layer 1: got candidate 9",
    "--architecture 000000 --max-macs 140k": "--architecture 000000: it has",
    "--rivals mobilnet_v2": "did you mean mobilenet_v2?",
    "--search given": "--search given: no architecture is named",
}


@pytest.mark.usefixtures("pretended_cluster")
class TestRefusals:
    @pytest.mark.parametrize("flags", REFUSED)
    def test_what_cannot_work_is_refused_in_one_sentence_before_anything_is_made(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
    ) -> None:
        write_tree(tmp_path / "one", {"only": [picture(9, "L")] * 3})
        data = numbered_tree(tmp_path / "three")
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("not a folder")
        before = sorted(tmp_path.rglob("*"))
        words = flags.format(tmp=tmp_path).split()
        code = search.main(["--run", str(tmp_path / "run"), "--data", data, *words])
        printed = capsys.readouterr()

        assert code == 2
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert REFUSED[flags].format(tmp=tmp_path) in printed.err
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        "flags",
        [
            "--populaton 3",
            "--search.population many",
            "--search.score best",
            "--max-macs 3X",
            "--search.strategy luck",
        ],
    )
    def test_flags_that_do_not_exist_or_do_not_fit_are_refused_by_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
    ) -> None:
        with pytest.raises(SystemExit) as left:
            search.main(["--run", str(tmp_path / "run"), *flags.split()])
        printed = capsys.readouterr()

        assert left.value.code == 2
        assert flags.split(maxsplit=1)[0] in printed.err
        assert "Traceback" not in printed.err
        assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("pretended_cluster")
def test_a_dry_run_prints_plan_and_forecast_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--run", str(tmp_path / "run"), "--dry-run", "--retrain.epochs", "2"]
    code = search.main(flags)
    output = capsys.readouterr().out

    assert code == 0
    assert "data      digits: 1222 training, 216 validation, 359 test images" in output
    assert "space     small_mobile: 6 layers, 10,000 networks" in output
    assert "\nforecast  pretrain " in output
    assert list(tmp_path.iterdir()) == []
    assert search.main([*flags, "--skip-forecast"]) == 0
    assert capsys.readouterr().out == output.partition("probe ")[0]


@pytest.mark.usefixtures("pretended_cluster")
def test_a_probe_that_fails_costs_the_forecast_or_the_run_if_it_would_fail_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = mock.Mock(side_effect=ProbeError("it needs more memory"))
    monkeypatch.setattr(run_setup, "probe", failing)
    assert search.main(["--run", str(tmp_path / "run"), "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "warning: no forecast, its probe failed: it needs more memory\n" in output

    failing.side_effect = StageError("pretraining, step 0: a worker failed")
    assert search.main(["--run", str(tmp_path / "run")]) == 1
    assert "error: pretraining, step 0: a worker failed\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class TestCommand:
    def test_help_tells_units_and_defaults(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as left:
            search.main(["--help"])
        text = " ".join(capsys.readouterr().out.split())

        assert left.value.code == 0
        for name, default in (
            ("--search.generations", Settings().search.generations),
            ("--retrain.epochs", Settings().retrain.epochs),
            ("--seed", Settings().seed),
        ):
            described = text[text.index(name) :]
            assert f"(default: {default})" in described[: described.index("--", 2)]
        for unit in ("pixels", "multiply-adds", "seconds", "epochs", "CPU threads", "in [0, 1)"):
            assert unit in text
        assert "python launch/search.py" in text

    @pytest.mark.parametrize(
        ("method", "score"), [("fair_isometry", "identity_ratio"), ("fair_taylor", "taylor")]
    )
    def test_the_methods_set_what_they_are_named_for(self, method: str, score: str) -> None:
        for flags in (["--method", method], [f"--method={method}"]):
            settings = search.parse(flags).settings
            assert (settings.method, settings.search.score) == (method, score)
            assert settings.pretrain.sampling == "fair_identity"
            assert settings.pretrain.layer_indicator == "path"

    @pytest.mark.parametrize(
        "flags", [["--search", "exact"], ["--search=exact"], ["--search.strategy", "exact"]]
    )
    def test_search_is_short_for_its_strategy(self, flags: list[str]) -> None:
        assert search.parse(flags).settings.search.strategy == "exact"
        assert search.parse(["--search.population", "7", *flags]).settings.search.population == 7

    @pytest.mark.parametrize("flags", [["--search"], ["--search", "luck"], ["--search=luck"]])
    def test_a_search_without_a_strategy_that_exists_is_refused_by_those_that_do(
        self, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as left:
            search.main(["--run", str(tmp_path / "run"), *flags])
        printed = capsys.readouterr()

        assert left.value.code == 2
        assert "--search.strategy" in printed.err
        assert flags == ["--search"] or "exact" in printed.err
        assert "Traceback" not in printed.err

    def test_flags_win_over_the_method_and_the_method_over_the_defaults(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "mine.toml"
        path.write_text("[search]\npopulation = 9\ngenerations = 8\n")
        settings = search.parse(["--method", str(path), "--search.population", "4"]).settings

        assert settings.search.population == 4
        assert settings.search.generations == 8
        assert settings.search.parents == Settings().search.parents

    def test_flags_win_over_the_recipe_and_the_recipe_over_the_method(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text("[retrain]\nmixup = 0.7\ndropout = 0.4\n[search]\npopulation = 9\n")
        flags = ["--method", str(path), "--recipe", "modern", "--retrain.cutmix", "0.5"]
        settings = search.parse(flags).settings
        without = search.parse([*flags, "--recipe", "None"]).settings

        assert (settings.retrain.mixup, settings.retrain.cutmix) == (0.2, 0.5)
        assert (settings.retrain.augment, settings.recipe) == ("trivial", "modern")
        assert settings.search.population == 9
        assert (without.retrain.mixup, without.retrain.dropout, without.recipe) == (0.7, 0.4, None)

    def test_quantities_are_given_in_thousands_millions_or_billions(self) -> None:
        settings = search.parse(["--max-macs", "330M", "--max-params", "3.5k"]).settings

        assert (settings.max_macs, settings.max_params) == (330_000_000, 3500)

    def test_without_a_folder_equal_settings_share_one_and_others_do_not(self) -> None:
        folders = [
            Path(run_folder(search.parse(flags).settings).address).relative_to(Path.cwd())
            for flags in ([], [], ["--seed", "1"], ["--data", "a/b", "--space", "x/mine.py"])
        ]

        assert folders[0] == folders[1]
        assert len(set(folders)) == 3
        assert str(folders[0]).startswith("runs/digits-small_mobile-")
        assert str(folders[3]).startswith("runs/b-mine-")

    def test_without_a_folder_the_keys_of_a_bucket_are_not_in_its_name(self) -> None:
        folder = run_folder(search.parse(["--data", "s3://KEY:SECRET@bucket"]).settings)

        assert folder.name.startswith("bucket-small_mobile-")

    def test_an_interruption_is_said_in_a_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(search, "run_command", interrupted)

        assert search.main([]) == 130
        assert capsys.readouterr().err.count("\n") == 1
