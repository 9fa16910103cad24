"""Tiny runs of each strategy from the command line to the report, on the tests' own Ray."""

import math
import os
import re
import shlex
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from raynas.cluster import pretraining, run_setup
from raynas.cluster.planning.connection import Resources
from raynas.cluster.tune import searchers
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.costs.latency_table import write
from raynas.export.run_exports import exports_of
from raynas.nets.cost import cost_table
from raynas.recording import outcomes
from raynas.storage.run_store import RunStore
from raynas.training.trained_networks import load_network
from tests.builders import shipped_cells, shipped_space
from tests.data.samples import digits
from tests.exported import build_run
from tests.launch.scripts import SPEEDS, LocalPathWorkers, load_script, rows_of

pytestmark = pytest.mark.cluster

search = load_script("search")

TINY = tuple(
    shlex.split(
        "--images.share 0.2 --pretrain.batch 32 --no-export --search.population 3 "
        "--search.generations 2 --search.parents 2 --search.mutations 1 --search.crossovers 1 "
        "--search.concurrent 2 --retrain.top-k 1 --retrain.epochs 1 --retrain.batch 32 "
        "--trainings 0"
    )
)

ONE = ("--search.generations", "1")
SHORT = ("--pretrain.epochs", "0.2")


@pytest.fixture(autouse=True)
def _on_our_ray(cluster: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the script find the Ray that is there, and leave it running."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    monkeypatch.setattr(run_setup, "connected", connected)
    monkeypatch.setattr(pretraining, "PathWorkers", LocalPathWorkers)
    monkeypatch.setattr(run_setup, "probe", lambda *_: SPEEDS)  # which takes its time


def interrupt() -> None:
    """Let Tune end its trials where they are, as on a machine that is taken away."""
    os.kill(os.getpid(), signal.SIGUSR1)


def row_of(run: Path) -> dict[str, Any]:
    """Return the run's row."""
    (row,) = RunStore(str(run)).rows("runs")
    return row


@pytest.mark.slow
def test_the_exact_search_finds_the_optimum_and_its_check_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = ["--search", "exact", "--max-macs", "400k", "--check", "4", "--check-epochs", "1"]
    flags += ["--latency-table", latencies(tmp_path / "t.parquet")]
    code = search.main(["--run", str(run), *TINY, *SHORT, *flags])
    output = capsys.readouterr().out

    assert code == 0
    (found,), (outcome,) = rows_of(run, "architectures"), rows_of(run, "outcomes")
    assert (found["origin"], found["order"], found["generation"]) == ("exact", 0, 0)
    assert found["macs"] <= 400_000
    assert outcome["architecture"] == found["architecture"]
    assert outcome["score"] == found["score"]
    row = row_of(run)
    assert row["best_score"] == pytest.approx(row["optimal_score"], rel=1e-12)
    assert row["finished"] is not None
    assert "exactly, by integer programming, score balanced_saliency, at most 400k MACs" in output
    assert "gap 0.0000" in output
    checks = rows_of(run, "checks")
    assert [each["status"] for each in checks] == ["finished"] * 4
    assert [each["latency_ms"] for each in checks] == [each["macs"] / 1e6 for each in checks]
    assert "learning: 4 networks trained briefly; " in output


@pytest.mark.slow
def test_a_calibrated_search_that_was_interrupted_goes_on_and_proposes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = [
        "--run",
        str(run),
        *TINY,
        *SHORT,
        *shlex.split(
            "--search calibrated --retrain.top-k 3 --retrain.epochs 2 "
            "--retrain.scheduler asha --retrain.asha-grace-epochs 1 "
            "--retrain.asha-reduction 2 --retrain.concurrent 1"
        ),
    ]
    append = RunStore.append

    def observed(store: RunStore, table: str, *rest: Any, **more: Any) -> None:
        append(store, table, *rest, **more)
        if table == "calibration" and store.parts(table)[1:]:
            interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "append", observed)
        assert search.main(flags) == 1
    assert "retraining ended early; run the same command again" in capsys.readouterr().err
    before = [row["architecture"] for row in rows_of(run, "architectures")]
    learned = rows_of(run, "calibration")
    assert before
    assert row_of(run)["finished"] is None
    assert search.main(flags) == 0

    rows = rows_of(run, "architectures")
    texts = [row["architecture"] for row in rows]
    assert texts[: len(before)] == before
    assert len(set(texts)) == len(texts) == 3
    assert {row["origin"] for row in rows} == {"calibrated"}
    assert {row["architecture"] for row in rows_of(run, "outcomes")} == set(texts)
    calibration = rows_of(run, "calibration")
    assert calibration[: len(learned)] == learned
    told = {row["trial_number"]: (row["architecture"], row["weight"]) for row in calibration}
    assert list(told) == list(range(1, len(told) + 1))
    assert len(set(told.values())) == len(told)
    assert {weight for _, weight in told.values()} <= {0.5, 1.0}
    accuracies = {
        (row["architecture"], row["epoch"] / 2): row["val_accuracy"]
        for row in rows_of(run, "trials")
    }
    assert {(row["architecture"], row["weight"]): row["accuracy"] for row in calibration} == (
        accuracies
    )
    assert "gap" not in capsys.readouterr().out  # it does not maximise the score alone


def noting(
    told: list[str], then: Callable[[], None]
) -> Callable[[EvolutionSearcher, str, dict[str, Any] | None, bool], None]:
    """Return a searcher's method that notes whose score has come in."""
    method = EvolutionSearcher.on_trial_complete

    def on_trial_complete(
        searcher: EvolutionSearcher,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        if not searcher.evolution.finished:
            told.append(searcher._trials[trial_id])
        method(searcher, trial_id, result, error)
        then()

    return on_trial_complete


@pytest.mark.slow
def test_an_evolution_scored_by_trials_goes_on_after_an_interruption_and_scores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, method = tmp_path / "run", "on_trial_complete"
    flags = [
        "--run",
        str(run),
        "--method",
        "spos",
        *TINY,
        *SHORT,
        "--search.score-images",
        "40",
        "--search.recalibration-batches",
        "1",
    ]
    monkeypatch.setattr(searchers, "_RECORD_SECONDS", 0.0)
    monkeypatch.setattr(outcomes, "_STATE_SECONDS", 0.0)
    monkeypatch.setattr(outcomes, "_STATE_SHARE", math.inf)
    first: list[str] = []
    second: list[str] = []
    with monkeypatch.context() as patch:
        then = lambda: interrupt() if len(first) == 2 else None  # noqa: E731
        patch.setattr(EvolutionSearcher, method, noting(first, then))
        assert search.main(flags) == 1
    assert "search: it ended early; run the same command again" in capsys.readouterr().err
    recorded = [row["architecture"] for row in rows_of(run, "architectures")]
    with monkeypatch.context() as patch:
        patch.setattr(EvolutionSearcher, method, noting(second, lambda: None))
        assert search.main(flags) == 0

    assert sorted(recorded) == sorted(first)
    assert not set(first) & set(second)
    rows = rows_of(run, "architectures")
    assert Counter(first + second) == Counter(row["architecture"] for row in rows)
    assert len(rows) == 6
    assert all(0 <= row["score"] <= 1 for row in rows)
    (outcome,) = rows_of(run, "outcomes")
    assert outcome["score"] == max(row["score"] for row in rows)
    assert (row_of(run)["best_score"], row_of(run)["optimal_score"]) == (None, None)
    output = capsys.readouterr().out
    assert "score accuracy by trials, 2 at a time" in output
    assert "gap" not in output


@pytest.mark.slow
def test_random_search_pretrains_nothing_and_trains_the_best_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    code = search.main(["--run", str(run), "--method", "random", *TINY, *ONE])
    output = capsys.readouterr().out

    assert code == 0
    assert "\npretrain  none\n" in output
    assert "learned nothing" not in output
    assert rows_of(run, "steps") == []
    rows, (outcome,) = rows_of(run, "architectures"), rows_of(run, "outcomes")
    assert len(rows) == 3
    assert all(0 <= row["score"] < 1 and math.isfinite(row["score"]) for row in rows)
    assert outcome["score"] == max(row["score"] for row in rows)
    assert row_of(run)["method"] == "random"


@pytest.mark.slow
def test_cells_are_found_by_a_score_without_training_checked_retrained_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, space = tmp_path / "run", shipped_cells()
    flags = ["--space", space.name, "--method", "naswot", "--max-params", "40k", "--check", "2"]
    flags += ["--check-epochs", "1", "--retrain.drop-path", "0.1"]
    code = search.main(["--run", str(run), *TINY, *ONE, *flags])
    output = capsys.readouterr().out

    assert code == 0
    assert "darts_cells_small: 5 cells of 4 nodes" in output
    assert "\npretrain  none\n" in output
    rows, (outcome,) = rows_of(run, "architectures"), rows_of(run, "outcomes")
    assert len(rows) == 3
    assert all(row["params"] <= 40_000 and math.isfinite(row["score"]) for row in rows)
    assert outcome["score"] == max(row["score"] for row in rows)
    assert str(space.parse(outcome["genotype"])) == outcome["architecture"]
    assert [each["status"] for each in rows_of(run, "checks")] == ["finished"] * 2
    node = outcome["genotype"].split()[1]
    assert f"normal {node} + " in (run / "report.html").read_text()
    assert load_network(str(run))(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def latencies(path: Path, scale: float = 1.0) -> str:
    """Write an invented table of latencies for the digits: a microsecond for each 1,000 MACs."""
    space = shipped_space("small_mobile", identity=True)
    costs = cost_table(space, 8, 1, 10)
    rows: list[dict[str, Any]] = [
        {
            "layer": layer,
            "candidate": choice,
            "operation": candidate.name,
            "macs": costs.macs[layer][choice],
            "latency_ms": scale * costs.macs[layer][choice] / 1e6,
        }
        for layer, block in enumerate(space.blocks)
        for choice, candidate in enumerate(block.candidates)
    ]
    ends = {"macs": costs.fixed.macs, "latency_ms": scale * costs.fixed.macs / 1e6}
    facts = {
        "space": "small_mobile",
        "channels": 1,
        "resolution": 8,
        "num_classes": 10,
        "batch": 1,
        "threads": 1,
        "kind": "cpu",
        "device": "a chip",
        "measured": "2026-11-22T10:00:00",
        "median_error": 0.01,
        "max_error": 0.02,
        "held_out": 20,
    }
    place, _ = write(str(path), [*rows, ends], [], facts)
    return place


@pytest.mark.slow
def test_an_exact_front_of_latency_within_a_limit_is_trained_along_its_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained are points that nothing dominates; the run's own copy of the table continues it."""
    run, table = tmp_path / "run", latencies(tmp_path / "t.parquet")
    flags = [
        "--run",
        str(run),
        *TINY,
        *SHORT,
        "--search",
        "exact",
        "--objectives",
        "score,latency",
        "--latency-table",
        table,
        "--max-latency",
        "0.4ms",
        "--retrain.top-k",
        "3",
    ]
    assert search.main(flags) == 0
    output = capsys.readouterr().out

    rows, outcomes = rows_of(run, "architectures"), rows_of(run, "outcomes")
    assert len(rows) == len(outcomes) == 3
    for row in (*rows, *outcomes):
        assert row["latency_ms"] == pytest.approx(row["macs"] / 1e6)
    latency = [row["latency_ms"] for row in rows]
    assert latency == sorted(latency, reverse=True)
    assert latency[0] <= 0.4
    assert latency[-1] == pytest.approx(0.139968)  # the least that there is
    assert [row["score"] for row in rows] == sorted((r["score"] for r in rows), reverse=True)
    assert {type(row["on_front"]) for row in outcomes} == {bool}
    assert any(row["on_front"] for row in outcomes)
    assert "139.968us to 651.648us" in output
    assert "t.parquet: a chip, 1 thread, batch 1, measured 2026-11-22, off by 1.0 %" in output
    assert "the front of score and latency, at most 400us" in output
    assert " ms " in output.partition("Outcomes of")[2]
    warm = search.parse(["--from", str(run), "--max-latency", "0.3ms"]).settings
    assert warm.latency_table == f"{run}/latency.parquet"
    assert Path(warm.latency_table).read_bytes() == Path(table).read_bytes()
    named = search.parse(["--from", str(run), "--latency-table", "other"]).settings
    assert named.latency_table == "other"

    (row,) = RunStore(str(run)).rows("runs")
    RunStore(str(run)).append("runs", [row | {"finished": None}], part="run")
    latencies(tmp_path / "t.parquet", scale=1.1)
    assert search.main([*flags, "--dry-run", "--skip-forecast"]) == 0
    assert f"{run}/latency.parquet: a chip" in capsys.readouterr().out
    (run / "latency.parquet").write_bytes(b"")
    assert search.main(flags) == 2
    assert "its table of latencies had other content (digest " in capsys.readouterr().err


@pytest.mark.slow
def test_an_evolution_along_two_objectives_keeps_the_limit_of_latency_and_trains_a_front(
    tmp_path: Path,
) -> None:
    run, table = tmp_path / "run", latencies(tmp_path / "t.parquet")
    flags = ["--latency-table", table, "--max-latency", "300us", "--objectives", "score,macs"]
    code = search.main(["--run", str(run), *TINY, *SHORT, *flags, "--retrain.top-k", "2"])

    assert code == 0
    rows, outcomes = rows_of(run, "architectures"), rows_of(run, "outcomes")
    assert all(row["latency_ms"] <= 0.3 for row in rows)
    best = max(rows, key=lambda row: (row["score"], -row["macs"]))
    assert best["architecture"] in {row["architecture"] for row in outcomes}
    for trained in outcomes:
        assert not any(
            row["score"] >= trained["score"] and row["macs"] < trained["macs"] for row in rows
        )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--max-latency", "90us"], "--max-latency 90us: the smallest architecture .* needs 139"),
        (["--images.resolution", "12"], "this search is of .* images of 1 x 12 x 12"),
        (["--space", "nas_bench_macro"], "this search is of nas_bench_macro with 8 layers"),
    ],
)
def test_a_latency_that_cannot_be_and_a_table_of_something_else_are_refused_in_the_plan(
    tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = latencies(tmp_path / "t.parquet")
    run = tmp_path / "run"

    assert search.main(["--run", str(run), "--latency-table", table, *flags, "--dry-run"]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not run.exists()


@pytest.mark.slow
def test_named_architectures_are_trained_without_a_search_and_reported_without_a_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    named = ("--architecture", "000000", "--architecture", "1-2-3-0-1-4")
    code = search.main(["--run", str(run), *TINY, *named])
    outcomes_table = rows_of(run, "outcomes")

    assert code == 0
    assert {row["architecture"] for row in outcomes_table} == {"0-0-0-0-0-0", "1-2-3-0-1-4"}
    assert [row["score"] for row in outcomes_table] == [None, None]
    assert [row["origin"] for row in rows_of(run, "architectures")] == ["given", "given"]
    assert not rows_of(run, "steps")
    assert "search    none, 2 architectures are named" in capsys.readouterr().out
    assert ">nan<" not in (run / "report.html").read_text()


@pytest.mark.slow
def test_rivals_are_trained_beside_the_winners_and_a_second_time_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    named = ("--architecture", "222222", "--max-macs", "400k")
    flags = [*TINY, *named, "--rivals", "shufflenet_v2_x1_0, random,vgg11"]
    code = search.main(["--run", str(run), *flags])
    printed = capsys.readouterr().out
    rivals = {row["rival"]: row for row in rows_of(run, "rivals")}

    assert code == 0
    assert {name: row["status"] for name, row in rivals.items()} == {
        "shufflenet_v2_x1_0": "finished",
        "random": "finished",
        "vgg11": "left out",
    }
    assert rivals["shufflenet_v2_x1_0"]["network"] == "shufflenet_v2_x0_5"
    assert all(row["macs"] <= 400_000 for row in rivals.values() if row["macs"])
    assert rivals["random"]["epochs"] == 1
    assert {row["rival"] for row in rows_of(run, "rival_epochs")} == {
        "shufflenet_v2_x1_0",
        "random",
    }
    assert "warning: rival vgg11 is left out: vgg11 cannot take images" in printed
    assert "rivals: " in printed.partition("Rivals, trained likewise")[2]
    assert 'id="rivals"' in (run / "report.html").read_text()

    trained = (run / "models" / "rival-random.safetensors").stat().st_mtime_ns
    (run / "tables" / "rivals" / "rivals.parquet").unlink()  # as if it had stopped before its end
    assert search.main(["--run", str(run), *flags]) == 0
    assert {row["rival"] for row in rows_of(run, "rivals")} == set(rivals)
    assert (run / "models" / "rival-random.safetensors").stat().st_mtime_ns >= trained

    least = rivals["random"]["macs"] + 1  # so that another network is drawn
    other = tmp_path / "other"
    more = [*flags, "--min-macs", str(least), "--from", str(run)]
    assert search.main(["--run", str(other), *more]) == 0
    again = {row["rival"]: row for row in rows_of(other, "rivals") if row["status"] == "finished"}
    same = {name for name in again if again[name]["network"] == rivals[name]["network"]}
    seconds = [
        {row["rival"]: row["seconds"] for row in RunStore(str(folder)).rows("rival_epochs")}
        for folder in (run, other)
    ]
    assert same == {"shufflenet_v2_x1_0"}
    assert same == {name for name in again if seconds[0][name] == seconds[1][name]}  # taken over


@pytest.mark.slow
def test_networks_learn_from_an_export_of_which_the_run_keeps_a_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, images = shipped_space("small_mobile", identity=True), digits(train=64, held_out=20)
    store = build_run(str(tmp_path / "first"), space, ["1-1-1-1-1-1"], images)
    exports_of(store, space, images, with_onnx=False).make(store.rows("outcomes")[0])
    export, run = tmp_path / "first" / "exports" / "1-1-1-1-1-1", tmp_path / "run"
    flags = [*TINY, "--architecture", "000000", "--retrain.teacher", str(export)]
    taught = ["--run", str(run), *flags]
    assert search.main([*taught, "--dry-run"]) == 0
    assert not run.exists()
    assert search.main(taught) == 0
    printed = capsys.readouterr().out

    line = f"teacher   {export}: 1-1-1-1-1-1 of an export, images of 8 pixels; 0.5 of the loss at"
    assert line in printed
    kept = (run / "teacher.safetensors").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "first")  # the run's copy serves
    shutil.rmtree(run / "tables" / "outcomes")
    assert search.main(taught) == 0
    assert (run / "teacher.safetensors").stat().st_mtime_ns == kept
    assert rows_of(run, "outcomes")[0]["status"] == "finished"
    capsys.readouterr()
    assert search.main([*flags, "--run", str(tmp_path / "new")]) == 2
    assert "there is nothing of that name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_teacher_that_has_a_name_alone_is_trained_first_and_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    named = ("--architecture", "000000", "--retrain.teacher", "shufflenet_v2_x0_5")
    flags = ["--run", str(run), *TINY, *named]
    assert search.main(flags) == 0
    assert [row["epoch"] for row in rows_of(run, "teacher_epochs")] == [1]
    assert rows_of(run, "outcomes")[0]["status"] == "finished"
    trained = (run / "teacher.safetensors").stat().st_mtime_ns
    shutil.rmtree(run / "tables" / "outcomes")
    assert search.main(flags) == 0
    assert (run / "teacher.safetensors").stat().st_mtime_ns == trained
