"""Several runs as one Arrow table."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis import aggregate
from raynas.errors import UserError
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from tests.analysis.invented import InventedRun

KEYS = ["folder", "run", "space", "method", "seed"]


@pytest.fixture
def two_runs(invent: Callable[..., InventedRun]) -> list[InventedRun]:
    return [invent("run-a", 3).finish(), invent("run-b", 4).finish()]


def test_the_file_holds_every_outcome_of_every_run_with_its_keys(
    two_runs: list[InventedRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "all.parquet"
    uris = [run.store.uri for run in two_runs]

    assert aggregate.main([*uris, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"8 rows of outcomes from 2 runs: {out}\n"
    joined = pq.read_table(out)
    assert joined.column_names == [*KEYS, *SCHEMAS["outcomes"].names]
    wanted = [
        {
            "folder": run.store.uri,
            "run": run.store.name,
            "space": "mobilenet_v2",
            "method": "fair_isometry",
            "seed": run.seed,
        }
        | row
        for run in two_runs
        for row in run.store.rows("outcomes")
    ]
    assert joined.to_pylist() == wanted


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_table_keeps_its_columns_and_their_types(
    name: str, two_runs: list[InventedRun]
) -> None:
    two_runs[0].store.append("images", [{"path": "a/1.png", "part": "train"}], "all")
    two_runs[0].store.append("lost_images", [{"image": "a/2.png", "error": "cut off"}], "all")
    two_runs[0].store.append("isometry", [{"layer": 0, "phi": 1.0}], "all")
    two_runs[0].store.append("calibration", [{"trial_number": 1, "mean": 1.0}], "all")
    two_runs[0].store.append("predictions", [{"architecture": "0", "accuracy": 0.5}], "all")
    two_runs[0].store.append("checks", [{"architecture": "0", "score": 1.0}], "all")
    two_runs[0].store.append("gates", [{"seed": 5, "alpha": 1.0}], "all")
    two_runs[0].store.append("search_epochs", [{"seed": 5, "epoch": 1}], "all")
    two_runs[0].store.append("teacher_epochs", [{"teacher": "resnet18", "epoch": 1}], "all")
    two_runs[0].store.append("rival_epochs", [{"rival": "random", "epoch": 1}], "all")
    two_runs[0].store.append("rivals", [{"rival": "random", "macs": 1}], "all")
    two_runs[0].store.append("answers", [{"network": "0", "confidence": 0.5}], "all")
    two_runs[0].store.append("mistakes", [{"network": "0", "picture": b"PNG"}], "all")

    joined = aggregate.join_runs([run.store for run in two_runs], name)
    for field in SCHEMAS[name]:
        assert joined.schema.field(field.name).type == field.type
    assert joined.num_rows == sum(run.store.table(name).num_rows for run in two_runs)


def test_the_seed_of_a_differentiable_search_is_its_own_and_not_the_run_s(
    two_runs: list[InventedRun],
) -> None:
    two_runs[1].store.append("gates", [{"seed": 5}, {"seed": 6}], "all")

    assert aggregate.join_runs([two_runs[1].store], "gates")["seed"].to_pylist() == [5, 6]


def test_the_names_that_the_command_line_knows_are_those_of_the_tables() -> None:
    assert set(get_args(aggregate.Name)) == set(SCHEMAS)


def test_another_table_can_be_asked_for_and_read_with_pandas(
    two_runs: list[InventedRun], tmp_path: Path
) -> None:
    out = tmp_path / "scored.parquet"
    uris = [run.store.uri for run in two_runs]

    assert aggregate.main([*uris, "--table", "architectures", "--out", str(out)]) == 0
    frame = pd.read_parquet(out)
    assert frame.groupby("seed")["order"].count().to_dict() == {3: 30, 4: 30}
    best = frame.groupby("run")["score"].max().to_dict()
    assert best == {run.store.name: max(row["score"] for row in run.scored) for run in two_runs}


def test_a_run_that_waits_adds_no_rows_and_does_not_stop_the_others(
    two_runs: list[InventedRun], young_run: InventedRun
) -> None:
    joined = aggregate.join_runs([young_run.store, two_runs[0].store], "outcomes")

    assert set(joined.column("run").to_pylist()) == {"run-a"}


def test_a_uri_can_be_read_and_written(two_runs: list[InventedRun], tmp_path: Path) -> None:
    out = f"file://{tmp_path}/new/all.parquet"

    assert aggregate.main([f"file://{two_runs[0].store.uri}", "--out", out]) == 0
    folders = pq.read_table(tmp_path / "new/all.parquet").column("folder").to_pylist()
    assert folders == [f"file://{two_runs[0].store.uri}"] * 4


def test_a_crash_while_writing_leaves_the_old_file_whole(
    two_runs: list[InventedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, uri = tmp_path / "all.parquet", two_runs[0].store.uri
    assert aggregate.main([uri, "--out", str(out)]) == 0
    before = out.read_bytes()

    def die(self: RunStore, path: str, content: bytes) -> None:
        raise OSError(f"no space for {len(content)} bytes of {path} in {self.name}")

    monkeypatch.setattr(RunStore, "write_bytes", die)
    assert aggregate.main([two_runs[1].store.uri, "--out", str(out)]) == 2
    assert out.read_bytes() == before


@pytest.mark.parametrize("out", ["all.csv", "folder/", "all"])
def test_a_file_that_would_not_be_parquet_is_refused(out: str, two_runs: list[InventedRun]) -> None:
    table = aggregate.join_runs([two_runs[0].store], "outcomes")

    with pytest.raises(UserError, match=r"wanted a file that ends in \.parquet"):
        aggregate.write_table(table, out)
