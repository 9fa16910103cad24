"""The record of a pretraining: a crash at any moment neither loses a row nor doubles one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from raynas.recording import pretraining_log as journal_module
from raynas.recording.pretraining_log import CHECKPOINT, Journal
from raynas.settings.pretrain import PretrainSettings
from raynas.storage.compaction import FILE
from raynas.storage.retry import StorageError
from raynas.storage.run_store import RunStore
from raynas.training.pretraining import Pretraining
from tests.data.samples import Pretended, begin_pretraining, small_pretraining, tiny_space

STEPS = 11
ALWAYS, NEVER = 0.0, 1e9  # checkpoint_seconds


def settings_of(checkpoint_seconds: float, records: int = 4) -> PretrainSettings:
    """Return settings of a pretraining of which every step is saved, or only the last."""
    return small_pretraining(checkpoint_seconds=checkpoint_seconds, records=records)


def begin(store: RunStore, settings: PretrainSettings) -> tuple[Pretraining, Journal]:
    """Return a pretraining and its journal as a run begins or continues them."""
    state = begin_pretraining(settings, num_steps=STEPS)
    if store.has(CHECKPOINT):
        state.restore(store.read_bytes(CHECKPOINT))
    return state, Journal(store, state, tiny_space(), settings, num_images=48)


def pretrain(store: RunStore, settings: PretrainSettings, last: int = STEPS) -> None:
    """Pretrain, and vanish once so many steps have been recorded."""
    state, journal = begin(store, settings)
    if state.step >= last:
        return
    for step in state.run(Pretended(state.segments)):
        journal.add(step, workers=2)
        if state.step == last:
            return


def train(state: Pretraining, journal: Journal, after: Callable[[], None] = lambda: None) -> None:
    """Pretrain to the end, doing something after each step."""
    for step in state.run(Pretended(state.segments)):
        journal.add(step, workers=2)
        after()


def tables_of(store: RunStore) -> dict[str, Any]:
    """Return what a pretraining leaves, but for how long it took."""
    times = ("seconds", "images_per_second")
    steps = [{k: v for k, v in row.items() if k not in times} for row in store.rows("steps")]
    return {
        "steps": steps,
        "ledger": store.rows("ledger"),
        "indicators": store.rows("indicators"),
        "checkpoint": store.read_bytes(CHECKPOINT),
    }


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part of the table steps hold four rows, so that eleven steps fill three parts."""
    monkeypatch.setattr(journal_module, "_ROWS", 4)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a pretraining without a crash leaves."""
    store = RunStore.create(str(tmp_path_factory.mktemp("whole")))
    pretrain(store, settings_of(ALWAYS))
    return tables_of(store)


class TestRecord:
    def test_every_step_has_one_row_in_order(self, expected: dict[str, Any]) -> None:
        assert [row["step"] for row in expected["steps"]] == list(range(STEPS))
        assert [row["epoch"] for row in expected["steps"]] == pytest.approx(
            [(step + 1) / 4 for step in range(STEPS)]
        )
        assert {row["workers"] for row in expected["steps"]} == {2}

    def test_images_per_second_counts_the_images_of_all_paths(self, tmp_path: Path) -> None:
        store = RunStore.create(str(tmp_path))
        pretrain(store, settings_of(NEVER))

        for row in store.rows("steps"):
            assert row["seconds"] > 0
            assert row["images_per_second"] * row["seconds"] == pytest.approx(12 * 4)

    def test_indicators_are_recorded_as_often_as_asked_and_after_the_last_step(
        self, expected: dict[str, Any]
    ) -> None:
        steps = [row["step"] for row in expected["indicators"]]

        assert sorted(set(steps)) == [2, 5, 7, 10]  # numbered as in the table of steps
        assert {steps.count(step) for step in steps} == {len(steps) // 4}

    @pytest.mark.parametrize("records", [0, 1, 100])
    def test_the_last_indicators_are_always_recorded(self, tmp_path: Path, records: int) -> None:
        store = RunStore.create(str(tmp_path))
        pretrain(store, settings_of(NEVER, records))
        steps = {row["step"] for row in store.rows("indicators")}

        assert steps == (set(range(STEPS)) if records == 100 else {STEPS - 1})

    def test_the_ledger_has_a_row_for_every_candidate(self, expected: dict[str, Any]) -> None:
        rows = [(row["layer"], row["candidate"], row["operation"]) for row in expected["ledger"]]

        assert rows == [
            (layer, index, candidate.name)
            for layer, block in enumerate(tiny_space().blocks)
            for index, candidate in enumerate(block.candidates)
        ]
        assert sum(row["updates"] for row in expected["ledger"]) == STEPS * 4 * 3

    def test_losses_are_those_of_all_steps_also_of_earlier_runs(self, tmp_path: Path) -> None:
        store, settings = RunStore.create(str(tmp_path)), settings_of(ALWAYS)
        pretrain(store, settings, last=7)
        pretrain(store, settings)
        _, journal = begin(store, settings)

        assert journal.losses().tolist() == [float(step) for step in range(STEPS)]

    def test_a_checkpoint_waits_for_its_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = record_writes(monkeypatch)
        pretrain(RunStore.create(str(tmp_path / "rarely")), settings_of(NEVER))
        rarely = written.count(CHECKPOINT)
        pretrain(RunStore.create(str(tmp_path / "always")), settings_of(ALWAYS))

        assert rarely == 1  # after the last step
        assert written.count(CHECKPOINT) - rarely == STEPS


def record_writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which the path of every file is added that a store writes."""
    written: list[str] = []
    write = RunStore.write_bytes

    def recording(store: RunStore, path: str, content: bytes) -> None:
        write(store, path, content)
        written.append(path)

    monkeypatch.setattr(RunStore, "write_bytes", recording)
    return written


class TestCrashes:
    @pytest.mark.slow
    @pytest.mark.parametrize("checkpoint_seconds", [ALWAYS, NEVER])
    @pytest.mark.parametrize("last", range(1, STEPS))
    def test_a_run_that_is_killed_after_any_step_ends_like_one_that_was_not(
        self, tmp_path: Path, expected: dict[str, Any], last: int, checkpoint_seconds: float
    ) -> None:
        store, settings = RunStore.create(str(tmp_path / "run")), settings_of(checkpoint_seconds)
        pretrain(store, settings, last)
        pretrain(store, settings)

        assert tables_of(store) == expected

    @pytest.mark.slow
    def test_a_run_that_is_killed_before_any_write_ends_like_one_that_was_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
    ) -> None:
        settings, write = settings_of(ALWAYS), RunStore.write_bytes
        left: list[Path] = []  # the run's folder as a process leaves it that is killed just there

        def copy_and_write(store: RunStore, path: str, content: bytes) -> None:
            left.append(tmp_path / f"killed{len(left)}")
            shutil.copytree(tmp_path / "whole", left[-1])
            write(store, path, content)

        with monkeypatch.context() as patch:
            store = RunStore.create(str(tmp_path / "whole"))
            patch.setattr(RunStore, "write_bytes", copy_and_write)
            pretrain(store, settings)
        for folder in left:
            store = RunStore(str(folder))
            pretrain(store, settings)
            assert tables_of(store) == expected
        assert len(left) > 2 * STEPS

    def test_steps_that_a_crash_has_undone_are_not_counted_meanwhile(self, tmp_path: Path) -> None:
        store = RunStore.create(str(tmp_path))
        settings = settings_of(ALWAYS)
        pretrain(store, settings, last=2)
        pretrain(store, replace(settings, checkpoint_seconds=NEVER), last=9)  # unsaved, then killed
        _, journal = begin(store, settings)

        assert max(row["step"] for row in store.rows("steps")) < 4
        assert len(journal.losses()) <= 4

    def test_the_checkpoint_is_written_after_the_tables_that_it_has_passed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = record_writes(monkeypatch)
        store = RunStore.create(str(tmp_path))
        state, journal = begin(store, settings_of(ALWAYS))
        for step in state.run(Pretended(state.segments)):
            written.clear()
            journal.add(step, workers=1)

            assert written[-1] == CHECKPOINT
            assert written.count(CHECKPOINT) == 1
            assert any(path.startswith("tables/steps/") for path in written)
        assert any(path.startswith("tables/ledger/") for path in written)
        assert any(path.startswith("tables/indicators/") for path in written)


class TestInterruptions:
    """A KeyboardInterrupt is what both Ctrl-C and SIGTERM come to."""

    @staticmethod
    def interrupted(store: RunStore, settings: PretrainSettings, where: str, last: int) -> None:
        """Pretrain, and be interrupted in that call once so many steps have begun."""
        state, journal = begin(store, settings)
        owner: Any = state if hasattr(state, where) else journal
        work = getattr(owner, where)

        def interrupting(*args: Any) -> Any:
            found = work(*args)
            if state.step >= last:
                raise KeyboardInterrupt
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, where, interrupting)
            with pytest.raises(KeyboardInterrupt), journal:
                train(state, journal)

    @pytest.mark.parametrize("last", [1, 4, 5, STEPS])
    def test_an_interrupted_run_is_saved_at_once(self, tmp_path: Path, last: int) -> None:
        store, settings = RunStore.create(str(tmp_path)), settings_of(NEVER)
        state, journal = begin(store, settings)

        def interrupt() -> None:
            if state.step == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), journal:
            train(state, journal, interrupt)
        continued, _ = begin(store, settings)

        assert continued.step == last
        assert torch.equal(continued.vector, state.vector)

    @pytest.mark.slow
    @pytest.mark.parametrize("checkpoint_seconds", [ALWAYS, NEVER])
    @pytest.mark.parametrize("where", ["_apply", "_mean_over_shards", "_decay"])
    @pytest.mark.parametrize("last", [1, 6, STEPS])
    def test_a_step_that_is_interrupted_half_way_is_never_saved(
        self,
        tmp_path: Path,
        expected: dict[str, Any],
        last: int,
        where: str,
        checkpoint_seconds: float,
    ) -> None:
        store, settings = RunStore.create(str(tmp_path / "run")), settings_of(checkpoint_seconds)
        self.interrupted(store, settings, where, last)
        continued, _ = begin(store, settings)
        pretrain(store, settings)

        assert continued.step == (last - 1 if checkpoint_seconds == ALWAYS else 0)
        assert tables_of(store) == expected

    @pytest.mark.parametrize("where", ["_write_due", "_write_steps"])
    @pytest.mark.parametrize("last", [2, 5, 8, STEPS])
    def test_a_record_that_is_interrupted_half_way_is_completed(
        self, tmp_path: Path, expected: dict[str, Any], last: int, where: str
    ) -> None:
        store, settings = RunStore.create(str(tmp_path / "run")), settings_of(ALWAYS)
        self.interrupted(store, settings, where, last)
        pretrain(store, settings)

        assert tables_of(store) == expected

    @pytest.mark.parametrize("table", ["indicators", "ledger", "steps"])
    def test_a_table_that_could_not_be_written_is_not_passed_by_the_checkpoint(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        expected: dict[str, Any],
        table: str,
    ) -> None:
        """The storage fails once, is back for the checkpoint, and must not leave a hole."""
        store, settings = RunStore.create(str(tmp_path / "run")), settings_of(NEVER)
        append, failures = RunStore.append, [StorageError("full")]

        def failing(store: RunStore, name: str, rows: Any, part: str) -> None:
            if name == table and failures:
                raise failures.pop()
            append(store, name, rows, part)

        monkeypatch.setattr(RunStore, "append", failing)
        state, journal = begin(store, settings)
        with pytest.raises(StorageError, match="full"), journal:
            train(state, journal)
        pretrain(store, settings)

        assert failures == []
        assert tables_of(store) == expected


class TestCompaction:
    def test_the_parts_become_one_file_once_the_last_step_is_saved(self, tmp_path: Path) -> None:
        store, settings = RunStore.create(str(tmp_path)), settings_of(ALWAYS)
        pretrain(store, settings, last=STEPS - 1)
        assert len(store.list_files("tables/steps")) == 3
        pretrain(store, settings)

        for table in ("steps", "indicators"):
            assert store.list_files(f"tables/{table}") == [FILE]
        assert store.parts("steps") == ["000000000", "000000004", "000000008"]

    @pytest.mark.parametrize("deletions", range(7))
    def test_a_run_that_is_killed_while_it_compacts_ends_like_one_that_was_not(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        expected: dict[str, Any],
        deletions: int,
    ) -> None:
        store, settings, left = RunStore.create(str(tmp_path)), settings_of(ALWAYS), [deletions]
        delete = RunStore.delete

        def dying(store: RunStore, path: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise InterruptedError
            delete(store, path)

        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "delete", dying)
            with pytest.raises(InterruptedError):
                pretrain(store, settings)
        assert tables_of(store) == expected

        _, journal = begin(store, settings)  # continues, and ends as a run ends
        store.compact()
        assert journal.losses().tolist() == [float(step) for step in range(STEPS)]
        assert tables_of(store) == expected
        assert store.list_files("tables/steps") == [FILE]

    @pytest.mark.slow
    @pytest.mark.parametrize("last", [1, 4, 6, STEPS])
    def test_a_run_without_its_checkpoint_begins_again_although_its_tables_are_compacted(
        self, tmp_path: Path, expected: dict[str, Any], last: int
    ) -> None:
        store, settings = RunStore.create(str(tmp_path)), settings_of(ALWAYS)
        pretrain(store, settings)
        store.delete(CHECKPOINT)
        _, journal = begin(store, settings)
        assert journal.losses().tolist() == []
        pretrain(store, settings, last)
        assert [row["step"] for row in store.rows("steps")] == list(range(last))
        assert len(pd.read_parquet(tmp_path / "tables" / "steps")) == last
        pretrain(store, settings)

        assert tables_of(store) == expected


def test_where_no_batch_norm_learns_the_record_has_steps_and_no_indicators(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path))
    settings = small_pretraining(trainable="weights")
    state = begin_pretraining(settings, num_steps=STEPS)
    with Journal(store, state, tiny_space(), settings, num_images=48) as journal:
        train(state, journal)

    assert len(store.rows("steps")) == STEPS
    assert store.rows("ledger")
    assert store.parts("indicators")
    assert store.rows("indicators") == []
