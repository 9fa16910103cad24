"""Tiny runs of each strategy from the command line to the report, on the tests' own Ray."""

import math
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from raynas.cluster import opening, pretraining
from raynas.cluster import searcher as searching
from raynas.cluster.connection import Resources
from raynas.cluster.searcher import EvolutionSearcher
from raynas.cluster.shards import Crew
from raynas.cluster.worker import Compute, Recipe
from raynas.store import RunStore
from raynas.training import outcomes
from raynas.training.gradients import Gradient, Piece, Vector
from raynas.training.images import Dataset
from tests.launch.scripts import SPEEDS, load_script, rows_of

pytestmark = pytest.mark.cluster

search = load_script("search")

TINY = (
    "--images.share", "0.2", "--pretrain.batch", "32", "--no-export",
    "--search.population", "3", "--search.generations", "2", "--search.parents", "2",
    "--search.mutations", "1", "--search.crossovers", "1", "--search.concurrent", "2",
    "--retrain.top-k", "1", "--retrain.epochs", "1", "--retrain.batch", "32",
)  # fmt: skip

ONE = ("--search.generations", "1")
SHORT = ("--pretrain.epochs", "0.2")


class Here:
    """Pretrains in this process: starting workers takes longer than their few steps."""

    waiting_share = 0.0

    def __init__(self, recipe: Recipe, dataset: Dataset, _: Crew) -> None:
        self._compute: Compute = recipe(dataset)
        self.healthy = [self]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> list[Gradient]:
        """Return a gradient per piece."""
        return self._compute(vector, step, pieces)


@pytest.fixture(autouse=True)
def _on_our_ray(cluster: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the script find the Ray that is there, and leave it running."""

    @contextmanager
    def connected(**_: bool) -> Iterator[Resources]:
        yield cluster

    monkeypatch.setattr(opening, "connected", connected)
    monkeypatch.setattr(pretraining, "PathWorkers", Here)
    monkeypatch.setattr(opening, "probe", lambda *_: SPEEDS)  # which takes its time


def interrupt() -> None:
    """Let Tune end its trials where they are, as on a machine that is taken away."""
    os.kill(os.getpid(), signal.SIGUSR1)


def row_of(run: Path) -> dict[str, Any]:
    """Return the run's row."""
    (row,) = RunStore(str(run)).rows("runs")
    return row


def test_the_exact_search_finds_the_optimum_and_its_check_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = ["--search", "exact", "--max-macs", "400k", "--check", "3", "--check-epochs", "1"]
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
    assert "exactly, by integer programming, score saliency, at most 400k MACs" in output
    assert "gap 0.0000" in output
    checks = rows_of(run, "checks")
    assert [each["status"] for each in checks] == ["finished"] * 3
    assert max(each["score"] for each in checks) <= row["optimal_score"] + 1e-9
    assert "check: 3 networks trained briefly; tau of the score " in output


def test_a_calibrated_search_that_was_interrupted_goes_on_and_proposes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = [
        "--run", str(run), *TINY, *SHORT, "--search", "calibrated", "--retrain.top-k", "3",
        "--retrain.epochs", "2", "--retrain.scheduler", "asha", "--retrain.asha-grace-epochs", "1",
        "--retrain.asha-reduction", "2", "--retrain.concurrent", "1",
    ]  # fmt: skip
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


def test_an_evolution_scored_by_trials_goes_on_after_an_interruption_and_scores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, method = tmp_path / "run", "on_trial_complete"
    flags = [
        "--run", str(run), "--method", "spos", *TINY, *SHORT, "--search.score-images", "40",
        "--search.recalibration-batches", "1",
    ]  # fmt: skip
    monkeypatch.setattr(searching, "_RECORD_SECONDS", 0.0)
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
