"""Tiny differentiable searches from the command line to the report, on the tests' own Ray."""

import io
import os
import shlex
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raynas.cluster import run_setup
from raynas.cluster.planning.connection import Resources
from raynas.cluster.strategies import differentiable
from raynas.cluster.tune.differentiable_trials import GateRecorder, gate_checkpoint
from raynas.differentiable.epochs import gate_rows
from raynas.differentiable.search import GateSearch
from raynas.spaces.cells import CellSpace
from raynas.storage.run_store import RunStore
from tests.builders import shipped_cells
from tests.launch.scripts import SPEEDS, load_script, results_of, rows_of

pytestmark = pytest.mark.cluster

search = load_script("search")
EPOCHS, SEEDS = 2, (0, 1)
TINY = tuple(
    shlex.split(
        "--method prdarts --images.share 0.1 --no-export --retrain.epochs 1 --retrain.batch 32 "
        "--retrain.concurrent 1 "
        "--differentiable.cells 3 --differentiable.channels 4 --differentiable.batch 32 "
        f"--differentiable.epochs {EPOCHS} --differentiable.seeds {len(SEEDS)}"
    )
)
SPACE = shipped_cells()
GATES = 2 * len(SPACE.edges) * len(SPACE.operations)  # of an epoch


@dataclass(frozen=True)
class Ended:
    """A run that has ended, and what it printed."""

    folder: Path
    code: int
    output: str

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table without times."""
        return rows_of(self.folder, table)

    @property
    def ends(self) -> dict[int, str]:
        """How the searches ended, by their seeds."""
        return {row["seed"]: row["status"] for row in self.rows("search_epochs") if row["status"]}


def run(cluster: Resources, folder: Path, *flags: str) -> Ended:
    """Do a tiny run on the Ray that is there, and leave that running."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(run_setup, "connected", connected)
        patch.setattr(run_setup, "probe", lambda *_: SPEEDS)  # which takes its time
        code = search.main(["--run", str(folder), *TINY, *flags])
    return Ended(folder, code, printed.getvalue())


@pytest.fixture(scope="module")
def whole(cluster: Resources, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return a run that nothing has disturbed."""
    return run(cluster, tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.slow
def test_every_seed_leaves_all_its_epochs_and_gates_and_its_genotype_is_retrained(
    whole: Ended,
) -> None:
    assert whole.code == 0
    epochs = whole.rows("search_epochs")
    assert [(row["seed"], row["epoch"]) for row in epochs] == [
        (seed, epoch) for seed in SEEDS for epoch in range(1, EPOCHS + 1)
    ]
    assert [row["status"] for row in epochs] == [None, "finished"] * len(SEEDS)
    places = Counter((row["seed"], row["epoch"]) for row in whole.rows("gates"))
    assert places == dict.fromkeys(((row["seed"], row["epoch"]) for row in epochs), GATES)
    last = {str(SPACE.parse(row["genotype"])): row for row in epochs if row["status"]}
    found = whole.rows("architectures")
    assert {row["architecture"]: row["score"] for row in found} == {
        text: row["val_accuracy"] for text, row in last.items()
    }
    assert {row["origin"] for row in found} == {"differentiable"}
    outcomes = whole.rows("outcomes")
    assert {row["architecture"] for row in outcomes} == set(last)
    assert all(row["status"] == "finished" for row in outcomes)
    assert "2 seeds for 2 epochs, 2 at a time, fifo" in whole.output
    assert "\npretrain  none\n" in whole.output


@pytest.mark.slow
def test_a_search_as_a_trial_is_that_of_its_seed_alone(whole: Ended) -> None:
    settings = search.parse(TINY).settings
    space, dataset = run_setup.load(settings)
    assert isinstance(space, CellSpace)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = GateSearch(space, dataset, settings.differentiable, 1)
        epochs = [alone.run_epoch() for _ in range(EPOCHS)]
    finally:
        torch.set_num_threads(threads)

    rows = [row for row in whole.rows("gates") if row["seed"] == 1]
    assert rows == [{"seed": 1, **row} for epoch in epochs for row in gate_rows(epoch, space)]


@pytest.mark.slow
def test_searches_that_were_interrupted_go_on_and_come_out_the_same(
    cluster: Resources, whole: Ended, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, append = tmp_path / "run", RunStore.append

    def observed(store: RunStore, table: str, *rest: Any, **more: Any) -> None:
        append(store, table, *rest, **more)
        if table == "gates":
            os.kill(os.getpid(), signal.SIGUSR1)  # Tune ends its trials where they are

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunStore, "append", observed)
        first = run(cluster, folder, "--search.concurrent", "1")

    assert first.code == 1
    assert "search: it ended early; run the same command again" in capsys.readouterr().err
    assert set(first.ends) < set(SEEDS)
    assert run(cluster, folder).code == 0
    assert results_of(folder) == results_of(whole.folder)


@pytest.mark.slow
def test_a_search_whose_process_is_killed_is_tried_again_from_its_last_epoch(
    cluster: Resources, whole: Ended, tmp_path: Path
) -> None:
    folder, killed, record = tmp_path / "run", [], GateRecorder.on_trial_result

    def killing(
        recorder: GateRecorder,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        record(recorder, iteration, trials, trial, result, **info)
        if not killed:
            killed.append(result["pid"])
            os.kill(result["pid"], signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GateRecorder, "on_trial_result", killing)
        assert run(cluster, folder).code == 0

    assert killed
    assert results_of(folder) == results_of(whole.folder)


@pytest.mark.slow
def test_workers_share_a_search_through_ray_train(cluster: Resources, tmp_path: Path) -> None:
    flags = ("--retrain.workers-per-trial", "2", "--differentiable.seeds", "1")
    ended = run(cluster, tmp_path / "run", *flags)

    assert ended.code == 0
    assert "each on 2 workers of 1 CPU" in ended.output
    assert ended.ends == {0: "finished"}
    assert len(ended.rows("gates")) == EPOCHS * GATES
    (outcome,) = ended.rows("outcomes")
    assert outcome["status"] == "finished"


@pytest.mark.slow
def test_asha_stops_a_search_that_is_behind_and_nothing_of_it_is_retrained(
    cluster: Resources, whole: Ended, tmp_path: Path
) -> None:
    rows = whole.rows("search_epochs")
    first, second = (row["val_accuracy"] for row in rows if row["epoch"] == 1)
    flags = (
        *shlex.split(
            "--differentiable.scheduler asha --retrain.asha-grace-epochs 1 "
            "--retrain.asha-reduction 2 --search.concurrent 1"
        ),
    )
    ended = run(cluster, tmp_path / "run", *flags)

    assert second < first  # at other numbers this test says nothing: choose another seed
    assert ended.ends == {0: "finished", 1: "stopped"}
    found = [row["architecture"] for row in ended.rows("architectures")]
    assert found == [str(SPACE.parse(rows[EPOCHS - 1]["genotype"]))]
    assert [row["architecture"] for row in ended.rows("outcomes")] == found


def break_checkpoint(patch: pytest.MonkeyPatch, store: RunStore) -> None:
    """Let the search with seed 0 find a checkpoint of something else when it begins."""
    real = differentiable.run_trials

    def run_trials(*given: Any) -> None:
        store.write_bytes(gate_checkpoint(0), safetensors.torch.save({}, {"of": "another"}))
        real(*given)

    patch.setattr(differentiable, "run_trials", run_trials)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["gates", "search_epochs"])
def test_what_was_lost_of_searches_is_made_again(
    cluster: Resources, whole: Ended, tmp_path: Path, table: str
) -> None:
    """From their checkpoints; a search that has lost its own as well is done once more."""
    folder, other = tmp_path / "run", RunStore(str(whole.folder))
    shutil.copytree(whole.folder, folder)
    shutil.rmtree(folder / "tables" / table)
    shutil.rmtree(folder / "tables" / "architectures")
    if table == "gates":
        (folder / gate_checkpoint(1)).write_bytes(b"cut off")
    assert run(cluster, folder).code == 0

    assert results_of(folder) == results_of(whole.folder)
    seconds = [
        of.table("search_epochs", ["seconds"])[:EPOCHS] for of in (RunStore(str(folder)), other)
    ]
    assert seconds[0] == seconds[1]  # nothing was searched again


def ended_at(folder: Path) -> RunStore:
    """Return the run that has ended in a folder."""
    return RunStore(str(folder))


@pytest.mark.slow
def test_a_seed_that_fails_is_told_and_leaves_the_others_which_keep_the_limits(
    cluster: Resources, whole: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    free = max(row["params"] for row in whole.rows("architectures"))
    break_checkpoint(monkeypatch, RunStore(str(folder)))
    ended = run(cluster, folder, "--max-params", str(free // 2), "--retrain.max-failures", "0")

    assert ended.code == 0
    assert ended.ends == {0: "failed", 1: "finished"}
    assert "differentiable search with seed 0 failed after 0 of 2 epochs" in ended.output
    (error,) = [row["error"] for row in ended.rows("search_epochs") if row["error"]]
    assert "what to do: " in error
    (found,), (outcome,) = ended.rows("architectures"), ended.rows("outcomes")
    assert found["params"] <= free // 2
    assert outcome["architecture"] == found["architecture"]


@pytest.mark.slow
def test_if_all_seeds_fail_the_run_says_why_and_tries_them_again(
    cluster: Resources,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RunStore.create(str(tmp_path / "run"))
    flags = ["--retrain.max-failures", "0", "--differentiable.seeds", "1"]
    break_checkpoint(monkeypatch, store)
    failed = run(cluster, tmp_path / "run", *flags)

    assert failed.code == 1
    errors = capsys.readouterr().err
    assert "search: all seeds failed; the first one by:" in errors
    assert "differentiable search with seed 0 failed" in errors
    monkeypatch.undo()
    store.delete(gate_checkpoint(0))
    again = run(cluster, tmp_path / "run", *flags)
    assert again.code == 0
    assert again.ends == {0: "finished"}
    assert [row["error"] for row in again.rows("search_epochs")] == [None] * EPOCHS


@pytest.mark.slow
def test_searches_of_an_earlier_run_are_taken_over(
    cluster: Resources, whole: Ended, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    flags = ("--from", str(whole.folder), "--differentiable.seeds", "1", "--retrain.epochs", "2")
    ended = run(cluster, folder, *flags)

    assert ended.code == 0
    assert ": 2 searches" in ended.output
    assert "anew      trainings (retrain.epochs" in ended.output
    times = RunStore(str(folder)).table("search_epochs", ["seconds"]).to_pylist()
    earlier = RunStore(str(whole.folder)).table("search_epochs", ["seconds"]).to_pylist()
    assert times == earlier[:EPOCHS]  # nothing was searched again
