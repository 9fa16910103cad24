"""Compaction: whatever happens on the way, a table has the rows and the parts that it had."""

import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.storage import compaction
from raynas.storage.compaction import FILE
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS

PARTS = [f"{number:02d}" for number in range(6)]
NAMES = st.sampled_from(PARTS)
STEPS = "tables/steps"
LOSSES = st.lists(st.integers(0, 99).map(float), max_size=9)


class CrashError(Exception):
    """The end of a process."""


class Mortal:
    """A file system that a process uses until it dies, just before or after an act on a file."""

    def __init__(self, files: Any, acts: float) -> None:
        self._files, self._left = files, acts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._files, name)
        if name not in {"open_output_stream", "move", "delete_file"}:
            return found

        def act(*args: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise CrashError
            return found(*args)

        return act


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a row group be full with four rows."""
    monkeypatch.setattr(compaction, "_GROUP_ROWS", 4)


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    """A store in a local folder, and one in memory that stands for an object store."""
    uri = str(tmp_path / "run") if request.param == "local" else "mock://bucket/run"
    return RunStore.create(uri)


def rows_of(*losses: float) -> list[dict[str, Any]]:
    """Return rows of the table ``steps``."""
    return [{"step": 0, "loss": loss} for loss in losses]


def losses(store: RunStore, **which: Any) -> list[float]:
    """Return the losses in the order of the table."""
    found: list[float] = store.table("steps", **which)["loss"].to_pylist()
    return found


def fill(store: RunStore, parts: dict[str, list[float]]) -> None:
    """Write parts."""
    for part, values in parts.items():
        store.append("steps", rows_of(*values), part)


def expected(parts: dict[str, list[float]]) -> list[float]:
    """Return the losses of parts in the order of their names."""
    return [loss for part in sorted(parts) for loss in parts[part]]


def dies_after(store: RunStore, acts: float, work: Callable[[], object]) -> bool:
    """Return whether a process that does so much before it dies comes to the end of its work."""
    whole = store._files
    store._files = Mortal(whole, acts)
    try:
        work()
    except CrashError:
        return False
    finally:
        store._files = whole
    return True


class TestWhole:
    @given(st.dictionaries(NAMES, LOSSES, min_size=1))
    def test_a_table_keeps_rows_order_and_parts_whatever_its_split(
        self, parts: dict[str, list[float]]
    ) -> None:
        for uri in ("mock://bucket/run", None):
            with TemporaryDirectory() as folder:
                store = RunStore.create(uri or folder)
                fill(store, parts)
                before = store.table("steps")
                store.compact("steps")

                assert store.table("steps").equals(before)
                assert store.parts("steps") == sorted(parts)
                assert len(store.list_files(STEPS)) == 1
                for part, values in parts.items():
                    assert losses(store, parts=[part]) == values

    @given(st.data())
    def test_a_table_behaves_as_if_it_were_never_compacted_even_if_processes_die(
        self, data: st.DataObject
    ) -> None:
        """Parts are written, dropped, and compacted by processes that may die half-way."""
        store, parts = RunStore.create("mock://bucket/run"), dict[str, list[float]]()
        for _ in range(data.draw(st.integers(1, 12))):
            match data.draw(st.sampled_from(["append", "drop", "compact", "compact"])):
                case "append":
                    part, values = data.draw(NAMES), data.draw(LOSSES)
                    fill(store, {part: values})
                    parts[part] = values
                case "drop":
                    outdated = data.draw(st.sets(NAMES))
                    store.drop("steps", lambda part, outdated=outdated: part in outdated)
                    parts = {part: parts[part] for part in parts.keys() - outdated}
                case "compact":
                    acts = data.draw(st.integers(0, 8))
                    dies_after(store, acts, lambda: store.compact("steps"))

            assert losses(store) == expected(parts)
            assert store.parts("steps") == sorted(parts)

    def test_compacting_again_merges_what_has_come_since(self, store: RunStore) -> None:
        fill(store, {"01": [1.0, 2.0], "03": [3.0]})
        store.compact("steps")
        fill(store, {"00": [0.5], "01": [9.0], "02": [2.5]})
        assert losses(store) == [0.5, 9.0, 2.5, 3.0]
        store.compact("steps")

        assert losses(store) == [0.5, 9.0, 2.5, 3.0]
        assert store.list_files(STEPS) == [FILE]

    def test_one_part_and_one_merged_file_stay_as_they_are(self, store: RunStore) -> None:
        fill(store, {"00": [1.0]})
        store.compact("steps", "trials")
        assert store.list_files(STEPS) == ["00.parquet"]
        assert store.list_files("tables/trials") == []

        fill(store, {"01": [2.0]})
        store.compact("steps")
        assert dies_after(store, 0, lambda: store.compact("steps"))

    def test_without_names_every_table_of_a_run_is_compacted(self, store: RunStore) -> None:
        for table in SCHEMAS:
            for part in PARTS:
                store.append(table, [{}], part)
        store.compact()

        assert {name: store.list_files(f"tables/{name}") for name in SCHEMAS} == {
            name: [FILE] for name in SCHEMAS
        }
        assert {store.table(name).num_rows for name in SCHEMAS} == {len(PARTS)}

    def test_a_column_that_an_older_part_lacks_becomes_null(self, store: RunStore) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"step": pa.array([5], pa.int64())}), sink)
        store.write_bytes(f"{STEPS}/00.parquet", sink.getvalue().to_pybytes())
        fill(store, {"01": [0.5]})
        store.compact("steps")

        assert store.table("steps").schema.names == SCHEMAS["steps"].names
        assert losses(store) == [None, 0.5]


class TestReaders:
    @pytest.mark.parametrize("is_compacted", [False, True])
    def test_columns_and_parts_can_be_read_alone(self, store: RunStore, is_compacted: bool) -> None:
        fill(store, {part: [float(part)] * 3 for part in PARTS})
        if is_compacted:
            store.compact("steps")

        assert store.table("steps", ["loss"]).column_names == ["loss"]
        assert losses(store, columns=["loss"], parts=["04", "01", "77"]) == [1.0] * 3 + [4.0] * 3
        assert store.table("trials", ["epoch"]).column_names == ["epoch"]

    def test_pandas_reads_a_compacted_table_from_its_folder(self, tmp_path: Path) -> None:
        store = RunStore.create(str(tmp_path))
        fill(store, {part: [float(part)] * 3 for part in PARTS})
        before = store.table("steps").to_pandas()
        store.compact("steps")

        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / STEPS), before)

    @pytest.mark.parametrize("seam", ["list_files", "read_bytes"])
    def test_a_reader_whose_table_is_compacted_meanwhile_sees_every_row_once(
        self, store: RunStore, seam: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Just after it listed the files, and just before it reads one of them."""
        fill(store, {part: [float(part)] for part in PARTS})
        real, is_first = getattr(RunStore, seam), [True]

        def meddling(reader: RunStore, path: str) -> Any:
            found = real(reader, path)
            if is_first.pop() if is_first else False:
                store.compact("steps")
            return found

        with monkeypatch.context() as patch:
            patch.setattr(RunStore, seam, meddling)
            assert losses(store) == [float(part) for part in PARTS]
        assert store.list_files(STEPS) == [FILE]

    def test_readers_of_a_table_that_is_written_and_compacted_see_every_row_once(
        self, tmp_path: Path
    ) -> None:
        store, stop = RunStore.create(str(tmp_path)), threading.Event()
        fill(store, {part: [float(part)] for part in PARTS})

        def work() -> None:
            while not stop.is_set():
                fill(store, {part: [float(part)] for part in PARTS[::2]})
                store.compact("steps")

        writer = threading.Thread(target=work)
        writer.start()
        try:
            seen = [losses(RunStore(str(tmp_path))) for _ in range(60)]
        finally:
            stop.set()
            writer.join()

        assert all(found == [float(part) for part in PARTS] for found in seen)

    def test_a_damaged_file_is_named(self, store: RunStore) -> None:
        store.write_bytes(f"{STEPS}/{FILE}", b"PAR1 but no more than that")

        with pytest.raises(UserError, match=f"{STEPS}/{FILE} is damaged"):
            store.table("steps")


class TestCrashes:
    def test_a_process_that_dies_anywhere_in_a_compaction_leaves_every_row_once(
        self, store: RunStore
    ) -> None:
        parts = {part: [float(part)] * 3 for part in PARTS}
        for acts in range(20):
            store.drop("steps", lambda _: True)
            fill(store, parts)
            is_done = dies_after(store, acts, lambda: store.compact("steps"))
            assert losses(store) == expected(parts)
            assert store.parts("steps") == PARTS

            store.compact("steps")  # as the next process does
            assert losses(store) == expected(parts)
            assert store.list_files(STEPS) == [FILE]
            if is_done:
                break
        assert acts > len(PARTS)

    def test_a_process_that_dies_anywhere_in_a_drop_leaves_what_is_not_outdated(
        self, store: RunStore
    ) -> None:
        parts = {part: [float(part)] for part in PARTS}
        for acts in range(20):
            store.drop("steps", lambda _: True)
            fill(store, parts)
            store.compact("steps")
            fill(store, {"04": [4.0], "05": [5.0]})
            is_done = dies_after(store, acts, lambda: store.drop("steps", lambda part: part > "02"))
            found = losses(store)
            assert found[:3] == [0.0, 1.0, 2.0]
            assert set(found[3:]) <= {3.0, 4.0, 5.0}
            assert len(set(found)) == len(found)
            if is_done:
                assert len(found) == 3
                break
        assert acts > 2

    def test_a_merge_that_fails_half_way_leaves_the_table_alone(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(store, {part: [float(part)] * 3 for part in PARTS[:3]})
        store.compact("steps")
        fill(store, {part: [float(part)] * 3 for part in PARTS[3:]})
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "_read_part", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.compact("steps")

        assert losses(store) == [float(part) for part in PARTS for _ in range(3)]


class TestCopy:
    @pytest.mark.parametrize("is_compacted", [False, True])
    def test_a_table_is_copied_with_its_parts_over_what_there_was(
        self, store: RunStore, tmp_path: Path, is_compacted: bool
    ) -> None:
        source = RunStore.create(str(tmp_path / "source"))
        fill(source, {part: [float(part)] for part in PARTS})
        if is_compacted:
            source.compact("steps")
        fill(store, {"00": [7.0], "99": [8.0]})
        store.copy_table("steps", source)

        assert store.rows("steps") == source.rows("steps") != []
        assert store.parts("steps") == source.parts("steps")


def test_no_more_than_a_row_group_is_held_at_a_time() -> None:
    held: list[Callable[[], Any]] = []
    most = 0

    def pieces() -> Iterator[tuple[str, Any]]:
        nonlocal most
        for number in range(40):
            table = pa.Table.from_pylist(rows_of(1.0, 2.0), schema=SCHEMAS["steps"])
            held.append(weakref.ref(table))
            most = max(most, sum(reference() is not None for reference in held))
            yield str(number), table
            del table

    sink = pa.BufferOutputStream()
    compaction.write(sink, SCHEMAS["steps"], pieces())
    file = pq.ParquetFile(sink.getvalue())

    assert file.metadata.num_rows == 80
    assert file.metadata.num_row_groups == 20
    assert most <= 5
