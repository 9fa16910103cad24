"""The run folder: parts that replace each other, files that appear whole or not at all."""

import errno
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raynas.errors import UserError
from raynas.storage import retry
from raynas.storage.resolution_folders import resolutions_in
from raynas.storage.retry import StorageError
from raynas.storage.run_store import RunStore
from raynas.storage.schemas import SCHEMAS
from tests.builders import ROOT

# the columns that readers of a run rely on (design, section 6)
PROMISED = {
    "runs": "run space settings method seed versions git_commit started finished nodes cpus gpus",
    "steps": "step epoch loss learning_rate seconds images_per_second workers",
    "ledger": "layer candidate operation updates",
    "isometry": "layer candidate operation phi varphi largest_singular_value",
    "indicators": "step layer candidate operation kind value",
    "architectures": "order generation architecture origin parents score macs params",
    "trials": "trial architecture epoch train_loss val_loss val_accuracy seconds learning_rate",
    "calibration": "trial_number architecture accuracy weight feature mean standard_deviation",
    "outcomes": (
        "rank architecture score macs params val_accuracy test_accuracy epochs status error "
        "checkpoint"
    ),
}

NAMES = [
    "plain",
    "with space",
    "ünï-çødé-网",
    "100%",
    "%20",
    "a#b?c",
    "a+b&c;d",
    "~tilde",
    "run:1",
    "quote'\"",
]


class FailingStream:
    """A stream that takes half of what it is given and then has no room left."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        """Write half and fail."""
        self._stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "no space left on device")


class FailingFiles:
    """A file system whose writes, or whose renames, fail."""

    def __init__(self, files: Any, failing: str) -> None:
        self._files, self._failing = files, failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open_output_stream(self, path: str) -> Any:
        """Open a stream that may fail."""
        stream = self._files.open_output_stream(path)
        return FailingStream(stream) if self._failing == "write" else stream

    def move(self, source: str, target: str) -> None:
        """Rename, or fail."""
        if self._failing == "move":
            raise OSError("the machine went away")
        self._files.move(source, target)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore.create(str(tmp_path / "run"))


@pytest.fixture(params=["local", "remote"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    """A store in a local folder, and one in memory that stands for an object store."""
    uri = str(tmp_path / "run") if request.param == "local" else "mock://bucket/run"
    return RunStore.create(uri)


def steps(*losses: float) -> list[dict[str, Any]]:
    """Return rows of the table ``steps``."""
    return [{"step": step, "loss": loss} for step, loss in enumerate(losses)]


def losses(store: RunStore) -> list[float]:
    """Return the losses in the order of the table."""
    return [row["loss"] for row in store.rows("steps")]


def files_under(folder: Path) -> list[str]:
    """Return all files, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("table", PROMISED)
def test_a_table_has_the_columns_that_readers_were_promised(table: str) -> None:
    assert set(PROMISED[table].split()) <= set(SCHEMAS[table].names)


def test_rows_come_back_as_they_were_written(any_store: RunStore) -> None:
    started = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    any_store.append("runs", [{"run": "a", "seed": 1, "cpus": 2.0, "started": started}], "run")
    (row,) = any_store.rows("runs")

    assert (row["run"], row["seed"], row["cpus"], row["started"]) == ("a", 1, 2.0, started)
    assert row["finished"] is None


def test_a_part_written_again_replaces_itself_and_no_other(any_store: RunStore) -> None:
    any_store.append("steps", steps(0.1), "00")
    any_store.append("steps", steps(0.2, 0.3), "01")
    any_store.append("steps", steps(0.4), "00")

    assert losses(any_store) == [0.4, 0.2, 0.3]
    assert any_store.parts("steps") == ["00", "01"]


def test_parts_are_read_in_the_order_of_their_names(any_store: RunStore) -> None:
    for part in ("10", "02", "01"):
        any_store.append("steps", steps(float(part)), part)

    assert losses(any_store) == [1.0, 2.0, 10.0]


def test_a_part_without_rows_replaces_rows(store: RunStore) -> None:
    store.append("steps", steps(0.1), "00")
    store.append("steps", [], "00")

    assert store.rows("steps") == []


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_table_that_was_never_written_has_its_columns_and_no_rows(
    table: str, store: RunStore
) -> None:
    assert store.table(table).schema == SCHEMAS[table]
    assert store.table(table).num_rows == 0


def test_drop_deletes_the_outdated_parts_only(store: RunStore) -> None:
    for part in ("00", "01", "02"):
        store.append("steps", steps(float(part)), part)
    store.drop("steps", lambda part: part >= "01")

    assert store.parts("steps") == ["00"]
    assert losses(store) == [0.0]


def test_a_table_that_does_not_exist_is_refused(store: RunStore) -> None:
    with pytest.raises(KeyError):
        store.append("stepz", [], "00")
    with pytest.raises(KeyError):
        store.table("stepz")


def test_a_column_that_does_not_exist_is_refused_and_nothing_is_written(store: RunStore) -> None:
    with pytest.raises(KeyError, match="steps has no columns \\['los'\\]"):
        store.append("steps", [{"step": 1, "los": 2.0}], "00")
    assert store.parts("steps") == []


def test_a_part_of_an_older_version_reads_with_nulls_for_newer_columns(store: RunStore) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"step": pa.array([5], pa.int64())}), sink)
    store.write_bytes("tables/steps/00.parquet", sink.getvalue().to_pybytes())
    store.append("steps", steps(0.5), "01")

    assert store.table("steps").schema.names == SCHEMAS["steps"].names
    assert losses(store) == [None, 0.5]


@pytest.mark.parametrize("failing", ["write", "move"])
def test_a_failing_write_leaves_the_old_content_and_nothing_else(
    failing: str, tmp_path: Path, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PAUSES", (0.0, 0.0))
    store.append("steps", steps(0.1), "00")
    whole = store._files
    store._files = FailingFiles(whole, failing)
    with pytest.raises(StorageError, match=r"no space left|went away"):
        store.append("steps", steps(0.2), "00")
    store._files = whole

    assert losses(store) == [0.1]
    assert store.parts("steps") == ["00"]
    assert set(files_under(tmp_path / "run")) == {"tables/steps/00.parquet"}


def test_the_first_write_of_a_file_that_fails_leaves_no_file(store: RunStore) -> None:
    whole = store._files
    store._files = FailingFiles(whole, "write")
    with pytest.raises(StorageError, match="no space left"):
        store.write_bytes("checkpoint/weights", b"12345678")
    store._files = whole

    assert not store.has("checkpoint/weights")
    assert store.list_files("checkpoint") == []


def test_hidden_files_are_neither_files_nor_parts(store: RunStore) -> None:
    store.write_bytes("tables/steps/.00.parquet.abc", b"half of a part")
    store.write_bytes("tables/steps/.00.parquet", b"half of a part")

    assert store.list_files("tables/steps") == []
    assert store.rows("steps") == []


def test_a_reader_sees_a_replaced_file_whole_at_any_moment(store: RunStore) -> None:
    store.write_bytes("file", b"0" * 5000)
    stop = threading.Event()

    def replace_it() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            store.write_bytes("file", str(turn % 10).encode() * (5000 + turn % 7))

    writer = threading.Thread(target=replace_it)
    writer.start()
    seen = {store.read_bytes("file") for _ in range(300)}
    stop.set()
    writer.join()

    assert all(len(set(content)) == 1 and len(content) >= 5000 for content in seen)
    assert store.list_files(".") == ["file"]


def test_creating_leaves_nothing_behind(tmp_path: Path) -> None:
    RunStore.create(str(tmp_path / "a" / "b" / "run"))

    assert (tmp_path / "a" / "b" / "run").is_dir()
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_local_path_is_taken_literally(name: str, tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path / name))
    store.append("runs", [{"run": name}], "run")

    assert (tmp_path / name / "tables" / "runs" / "run.parquet").is_file()
    assert RunStore.open(str(tmp_path / name)).rows("runs")[0]["run"] == name
    assert store.name == name
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_runs_whose_names_differ_behind_a_number_sign_are_two(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for folder in (f"file://{tmp_path}", str(tmp_path / "a")):
        for number in "12":
            store = RunStore.create(f"{folder}/run#{number}")
            store.append("runs", [{"run": number}], "run")
        assert [RunStore.open(f"{folder}/run#{n}").rows("runs")[0]["run"] for n in "12"] == [
            "1",
            "2",
        ]
        assert store.name == "run#2"


@pytest.mark.parametrize("name", ["with space", "ünï-çødé", "100%"])
def test_a_file_uri_and_its_path_are_the_same_folder(name: str, tmp_path: Path) -> None:
    RunStore.create(str(tmp_path / name)).append("runs", [{"run": "a"}], "run")

    assert RunStore.open((tmp_path / name).as_uri()).rows("runs")[0]["run"] == "a"


def test_a_relative_path_stays_the_same_folder_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = RunStore.create("run")
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.append("steps", steps(0.1), "00")

    assert files_under(tmp_path) == ["run/tables/steps/00.parquet"]
    assert store.uri == str(tmp_path / "run")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert RunStore("~/run").uri == str(tmp_path / "run")


def test_a_store_survives_pickling(store: RunStore) -> None:
    store.append("steps", steps(0.1), "00")
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own pickle
    copy.append("steps", steps(0.2), "01")

    assert losses(store) == losses(copy) == [0.1, 0.2]
    assert (copy.uri, copy.name) == (store.uri, store.name)


def test_opening_a_folder_without_a_run_is_refused(store: RunStore, tmp_path: Path) -> None:
    for folder in (store.uri, str(tmp_path / "nothing")):
        with pytest.raises(UserError, match="no run there"):
            RunStore.open(folder)
    assert not (tmp_path / "nothing").exists()


def test_opening_a_folder_of_runs_names_the_runs_that_it_holds(tmp_path: Path) -> None:
    for number in (128, 96, 8, 16, 24, 32, 48):
        RunStore.create(str(tmp_path / f"at-{number}")).append("runs", [{"seed": 0}], "run")
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError) as refusal:
        RunStore.open(str(tmp_path))

    assert str(refusal.value) == (
        f"run folder {tmp_path}: it holds runs (at-8, at-16, at-24, at-32, at-48, at-96, ...) and "
        f"is none itself; name one of them, such as {tmp_path}/at-8"
    )
    assert resolutions_in(RunStore(str(tmp_path))) == [8, 16, 24, 32, 48, 96, 128]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UserError, match=r"cannot write there .*; choose another --run"):
        RunStore.create(str(tmp_path / "file" / "run"))


@pytest.mark.parametrize("folder", ["file/run", "file", "link/run", "link", "a" * 300])
def test_an_unwritable_folder_is_refused_early_and_nothing_is_made(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(UserError, match=r"cannot write there .*; choose another --run"):
        RunStore(str(tmp_path / folder)).refuse_unwritable()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_folder_that_looks_writable_and_cannot_be_made_is_refused_early() -> None:
    with pytest.raises(UserError, match=r"run folder /proc/nowhere/run: cannot write there"):
        RunStore("/proc/nowhere/run").refuse_unwritable()


def test_a_full_disk_is_refused_early_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: Path, _: bytes) -> None:
        file.touch()  # that much finds room
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(UserError, match=r"No space left on device"):
        RunStore(str(tmp_path / "a" / "run")).refuse_unwritable()
    assert list(tmp_path.iterdir()) == []


def test_a_writable_folder_is_looked_at_and_nothing_is_left(tmp_path: Path) -> None:
    RunStore(str(tmp_path / "a" / "run")).refuse_unwritable()
    RunStore("mock://bucket/run").refuse_unwritable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["nope://bucket/run", "://", "a://b c"])
def test_a_uri_that_no_file_system_knows_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match="not a path or URI that works"):
        RunStore(uri)


def test_files_are_read_found_and_deleted_by_their_path(any_store: RunStore) -> None:
    any_store.write_bytes("a/b/file", b"content")

    assert any_store.has("a/b/file")
    assert any_store.read_bytes("a/b/file") == b"content"
    assert any_store.list_files("a/b") == ["file"]
    assert not any_store.has("a/b")
    any_store.delete("a/b/file")
    assert not any_store.has("a/b/file")
    assert any_store.list_files("a/b") == []


def test_a_missing_file_is_not_found_and_a_missing_folder_is_empty(store: RunStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.read_bytes("no/such/file")
    assert not store.has("no/such/file")
    assert store.list_files("no/such") == []


def test_an_object_store_is_written_without_a_rename() -> None:
    store = RunStore.create("mock://bucket/run")
    store._files = FailingFiles(store._files, "move")
    store.append("steps", steps(0.1), "00")

    assert losses(store) == [0.1]


def test_locate_names_a_file_for_a_person(store: RunStore, tmp_path: Path) -> None:
    assert store.locate("tables/runs") == str(tmp_path / "run" / "tables" / "runs")
    assert RunStore("mock://bucket/run/").locate("report") == "mock://bucket/run/report"


def test_sweeping_deletes_what_killed_writers_left_and_nothing_else(any_store: RunStore) -> None:
    whole = ["lock.json", "tables/steps/00.parquet", "models/.hidden", "models/.a.b", "a.0123"]
    left = "0123456789abcdef" * 2
    for path in whole:
        any_store.write_bytes(path, b"whole")
    halves = [f".lock.json.{left}", f"tables/steps/.00.parquet.{left}", f"a b/.ü.{left}"]
    for path in halves:
        any_store.write_bytes(path, b"half")
    any_store.sweep()

    assert all(any_store.has(path) for path in whole)
    assert not any(any_store.has(path) for path in halves)


def test_sweeping_leaves_alone_what_only_resembles_a_half_written_file(store: RunStore) -> None:
    digits = "0123456789abcdef" * 2
    names = [f"a.{digits}", f".a.{digits[:-1]}", f".a.{digits}0", f".a.{digits}.json", f".{digits}"]
    for name in names:
        store.write_bytes(name, b"whole")
    store.sweep()

    assert files_under(Path(store.uri)) == sorted(names)


def test_a_writer_that_is_killed_leaves_what_sweeping_deletes(tmp_path: Path) -> None:
    """The process ends inside the write, so nothing of it can clean up."""
    script = (
        "import os, sys; from raynas.storage.run_store import RunStore;"
        "store = RunStore(sys.argv[1]);"
        "store.write_bytes('file', b'whole'); real = store._files;"
        "store._files = type('F', (), {'__getattr__': lambda s, n: getattr(real, n),"
        "'move': lambda s, a, b: os._exit(9)})(); store.write_bytes('file', b'new')"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    before = files_under(tmp_path)
    RunStore(str(tmp_path)).sweep()

    assert done.returncode == 9
    assert len(before) == 2
    assert files_under(tmp_path) == ["file"]
    assert RunStore(str(tmp_path)).read_bytes("file") == b"whole"


def test_sweeping_a_folder_that_does_not_exist_yet_is_no_mistake(tmp_path: Path) -> None:
    RunStore(str(tmp_path / "new")).sweep()

    assert not (tmp_path / "new").exists()
