"""What a run folder lacks or holds cut off: found, put aside, made again or told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from raynas.cluster.run import begin
from raynas.errors import UserError
from raynas.recording.damage import (
    SEARCH_STATE,
    damaged,
    lost_for_good,
    missing,
    read_run,
    write_run,
)
from raynas.recording.pretraining_log import CHECKPOINT
from raynas.recording.repair import put_damaged_aside, rebuild_trials
from raynas.recording.reuse import PRETRAINING, forget_pretraining
from raynas.settings.settings import Settings
from raynas.storage import compaction
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RUN_COPY, DamagedError, RunStore
from raynas.storage.schemas import SCHEMAS
from raynas.training.checkpoints import checkpoint_path, is_whole, model_path
from raynas.training.starts.inheriting import SUPERNET
from raynas.training.starts.start import START
from tests.training.starts.conftest import build_start

SETTINGS = Settings(trainings=1)
NET, LOST = "0-1", "1-0"
HISTORY = [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.75}]
WEIGHTS = safetensors.torch.save({"a": torch.ones(3), "b": torch.ones(2, 2)}, {"x": "y"})
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[:-9],
    "zeros at its end": lambda content: content[:-100] + bytes(100),
}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Return a finished run with a row or two in every table."""
    store = RunStore.create(str(tmp_path / "run"))
    for table in SCHEMAS:
        store.append(table, [{}], "one")
        store.append(table, [{}], "two")
    store.compact()
    outcome = {"architecture": NET, "status": "finished", "checkpoint": model_path(NET)}
    store.drop("outcomes", lambda _: True)
    store.append("outcomes", [outcome], "outcomes")
    store.drop("rivals", lambda _: True)
    store.append("rivals", [{"rival": "mobilenet_v2", "status": "failed"}], "rivals")
    store.drop("runs", lambda _: True)
    write_run(store, {"run": "run", "settings": SETTINGS.to_json()})
    store.write_bytes(model_path(NET), WEIGHTS)
    history = {"history": json.dumps(HISTORY)}
    store.write_bytes(checkpoint_path(NET), safetensors.torch.save({}, history))
    store.write_bytes(SEARCH_STATE, b"{}")
    return store


def file_of(store: RunStore, table: str) -> str:
    """Return the only file of a table."""
    (name,) = store.list_files(f"tables/{table}")
    return f"tables/{table}/{name}"


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("table", SCHEMAS)
def test_a_damaged_file_of_any_table_is_named_put_aside_and_its_fate_told(
    store: RunStore, table: str, how: str
) -> None:
    path = file_of(store, table)
    content = DAMAGES[how](store.read_bytes(path))
    store.write_bytes(path, content)
    with pytest.raises(UserError, match=f"{path} is damaged .*the command that began the run"):
        store.rows(table)
    said = list[str]()

    assert missing(store, SETTINGS) == [path]
    put_damaged_aside(store, said.append)
    assert store.rows(table) == []
    assert store.read_bytes(f"damaged/{path}") == content
    (sentence,) = said
    assert path in sentence
    assert any(
        word in sentence
        for word in ("made again", "trained", "measured", "are lost", "found again")
    )
    assert list(damaged(store)) == []


NEEDED = {
    "runs",
    "architectures",
    "outcomes",
    "isometry",
    "ledger",
    "indicators",
    "checks",
    "trials",
}


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_finished_run_without_a_table_that_can_be_made_again_is_not_taken_for_whole(
    store: RunStore, table: str
) -> None:
    assert missing(store, SETTINGS) == []
    store.drop(table, lambda _: True)

    assert missing(store, SETTINGS) == ([f"tables/{table}"] if table in NEEDED else [])
    row = read_run(store)
    assert row is not None
    assert row["run"] == "run"


def test_rivals_that_the_images_ask_for_are_missed_like_those_that_are_named(
    store: RunStore,
) -> None:
    store.drop("rivals", lambda _: True)
    write_run(store, store.rows("runs")[0] | {"plan": PlanFacts(auto_rivals=("start",)).to_json()})

    assert missing(store, SETTINGS) == ["tables/rivals"]


def test_who_reads_a_run_that_lost_its_row_alone_is_told_who_restores_it(store: RunStore) -> None:
    store.drop("runs", lambda _: True)
    assert missing(store, SETTINGS) == ["tables/runs"]
    with pytest.raises(UserError, match="tables/runs is lost; the command that began the run rest"):
        RunStore.open(store.uri)
    stages = SimpleNamespace(print=print)
    plan = SimpleNamespace(latencies=None, teacher=None, weights=())
    images, recorded = SCHEMAS["images"].empty_table(), read_run(store)
    run: Any = SimpleNamespace(
        store=store, stages=stages, plan=plan, recorded=recorded, images=images, start=None
    )
    begin(run)  # as the same command does
    assert missing(store, SETTINGS) == []
    assert RunStore.open(store.uri).rows("runs") == [run.recorded]
    store.drop("runs", lambda _: True)
    store.delete(RUN_COPY)
    with pytest.raises(UserError, match="no run there"):
        RunStore.open(store.uri)


def test_losses_of_steps_that_are_lost_are_told_of_a_run_that_had_some(store: RunStore) -> None:
    assert lost_for_good(store, SETTINGS) == []
    store.drop("steps", lambda _: True)
    (sentence,) = lost_for_good(store, SETTINGS)

    assert "tables/steps is lost" in sentence
    by_gates = replace(SETTINGS.search, strategy="differentiable")
    assert lost_for_good(store, replace(SETTINGS, trainings=0, search=by_gates)) == []


@pytest.mark.parametrize(
    ("strategy", "table"),
    [
        ("calibrated", "calibration"),
        ("differentiable", "gates"),
        ("differentiable", "search_epochs"),
    ],
)
def test_what_a_strategy_writes_is_needed_by_its_runs(
    store: RunStore, strategy: str, table: str
) -> None:
    settings = replace(SETTINGS, trainings=0, search=replace(SETTINGS.search, strategy=strategy))
    store.drop(table, lambda _: True)

    assert missing(store, settings) == [f"tables/{table}"]


def test_lost_models_and_damaged_checkpoints_are_found_and_lost_checkpoints_are_not_needed(
    store: RunStore,
) -> None:
    store.delete(model_path(NET))
    assert missing(store, SETTINGS) == [model_path(NET)]
    store.write_bytes(SEARCH_STATE, b"{")
    store.write_bytes(checkpoint_path(NET), WEIGHTS[:-1])
    assert missing(store, SETTINGS) == [checkpoint_path(NET), SEARCH_STATE]
    put_damaged_aside(store, lambda _: None)
    store.write_bytes(model_path(NET), WEIGHTS)
    store.drop("trials", lambda _: True)  # which nothing is left to tell
    assert missing(store, SETTINGS) == []


@given(st.integers(0, len(WEIGHTS) - 1), st.binary(max_size=3))
def test_no_beginning_of_a_safetensors_file_is_whole(length: int, more: bytes) -> None:
    store = RunStore("mock://bucket/run")
    store.write_bytes("whole", WEIGHTS)
    store.write_bytes("half", WEIGHTS[:length] + more[: len(WEIGHTS) - 1 - length])
    store.write_bytes("longer", WEIGHTS + b"!")

    assert is_whole(store, "whole")
    assert not is_whole(store, "half")
    assert not is_whole(store, "longer")
    assert not is_whole(store, "nothing")


def test_epochs_of_trials_are_made_again_from_their_checkpoints(store: RunStore) -> None:
    gone = {"architecture": LOST, "status": "stopped"}
    store.append("outcomes", [*store.rows("outcomes"), gone], "outcomes")
    store.drop("trials", lambda _: True)
    rebuild_trials(store)

    found = [
        (row["architecture"], row["epoch"], row["val_accuracy"]) for row in store.rows("trials")
    ]
    assert found == [(NET, 1, 0.5), (NET, 2, 0.75)]


def test_epochs_of_a_training_on_all_images_are_made_again_beside_the_others(
    store: RunStore,
) -> None:
    again = {"architecture": NET, "status": "finished", "trained_on": "all"}
    store.append("outcomes", [*store.rows("outcomes"), again], "outcomes")
    history = json.dumps([{"epoch": 1, "train_loss": 0.5, "val_accuracy": None}])
    content = safetensors.torch.save({}, metadata={"history": history})
    store.write_bytes(checkpoint_path(f"{NET}-all"), content)
    store.drop("trials", lambda _: True)
    rebuild_trials(store)

    found = {(row["trained_on"], row["epoch"], row["val_accuracy"]) for row in store.rows("trials")}
    assert found == {("train", 1, 0.5), ("train", 2, 0.75), ("all", 1, None)}
    assert sorted(store.parts("trials")) == [NET, f"{NET}-all"]


@pytest.mark.parametrize("left", ["tables/outcomes/a.parquet", checkpoint_path(NET)])
def test_a_folder_whose_run_is_not_known_is_refused_and_never_continued(
    tmp_path: Path, left: str
) -> None:
    store = RunStore.create(str(tmp_path))
    store.write_bytes(RUN_COPY, b"damaged")
    store.write_bytes(CHECKPOINT, WEIGHTS)
    assert read_run(store) is None  # a take-over was interrupted, which begins again
    store.write_bytes(left, b"")
    with pytest.raises(UserError, match=r"tables/runs is lost, and with it .*; choose another"):
        read_run(store)


def test_a_pretraining_of_unknown_settings_is_forgotten(store: RunStore) -> None:
    store.write_bytes(CHECKPOINT, WEIGHTS)
    forget_pretraining(store)

    assert not store.has(CHECKPOINT)
    assert [store.parts(table) for table in PRETRAINING] == [[]] * 4
    assert store.parts("checks")


@pytest.mark.parametrize(
    "places",
    [b"", b"[[[", b"5", b"\xff", b'[["one"]]', b'[[["one", 1, 2]]]', b'[[], [["one", 1]]]'],
)
def test_a_table_that_does_not_know_its_parts_is_damaged(store: RunStore, places: bytes) -> None:
    sink = pa.BufferOutputStream()
    rows = SCHEMAS["steps"].empty_table().replace_schema_metadata({b"raynas.parts": places})
    pq.write_table(rows, sink)
    store.write_bytes("tables/steps/compacted.parquet", sink.getvalue().to_pybytes())

    assert list(damaged(store)) == ["tables/steps/compacted.parquet"]


def test_what_arrow_says_of_damaged_headers_is_damage_and_what_storages_say_is_not(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow says so of headers that no test can write at will."""
    for words, error in (
        ("Couldn't deserialize thrift: No more data to read.", DamagedError),
        ("Connection reset by peer", OSError),
    ):

        def fails(*_: object, words: str = words) -> None:
            raise OSError(words)

        monkeypatch.setattr(compaction, "opened", fails)
        with pytest.raises(error, match=words if error is OSError else "is damaged"):
            store.parts("steps")


def test_a_damaged_part_beside_a_merged_file_is_the_one_that_is_named(store: RunStore) -> None:
    store.write_bytes("tables/steps/new.parquet", b"")
    with pytest.raises(DamagedError, match=r"tables/steps/new.parquet is damaged"):
        store.rows("steps")


def test_a_parquet_file_that_is_no_table_of_a_run_is_damaged(store: RunStore) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"step": [1]}), sink)
    store.write_bytes("tables/steps/compacted.parquet", sink.getvalue().to_pybytes())

    assert list(damaged(store)) == ["tables/steps/compacted.parquet"]


def test_trained_weights_that_are_cut_off_are_put_aside_and_told(store: RunStore) -> None:
    said: list[str] = []
    for path in (START, SUPERNET):
        store.write_bytes(path, build_start().to_bytes())
    assert missing(store, SETTINGS) == []
    for path in (START, SUPERNET):
        store.write_bytes(path, build_start().to_bytes()[:-1])
    assert missing(store, SETTINGS) == [START, SUPERNET]
    put_damaged_aside(store, said.append)

    assert not store.has(START)
    assert [line.partition(" (moved")[0] for line in said] == [
        f"warning: {path} was damaged: it is made again from the weights that --start names"
        for path in (START, SUPERNET)
    ]
