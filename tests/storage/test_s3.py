"""A run folder in S3, whose address stands in the URI or in the environment."""

import json
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raynas.cluster.tune.comparison_trials import make_cells
from raynas.data.loading import load_dataset
from raynas.data.sources import open_source
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from raynas.settings.settings import Settings
from raynas.storage import retry
from raynas.storage.retry import StorageError
from raynas.storage.run_store import RunStore
from tests.data.samples import encoded, parquet_table, picture
from tests.objects import BUCKET, CREDENTIALS, Failures, Storage, failing_now_and_then, storage

SECRET = "key:s3cr3t@"  # noqa: S105 - a made-up one  # noqa: S105 - a made-up one


@pytest.fixture(scope="module")
def objects() -> Iterator[Storage]:
    """Return an S3 whose credentials are in the environment."""
    with pytest.MonkeyPatch.context() as patch, storage() as found:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(params=["query", "environment"])
def uri(request: pytest.FixtureRequest, objects: Storage, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where a run folder may be made, by a URI with and without the endpoint."""
    path = f"{request.param}/{request.node.originalname}"
    if request.param == "query":
        return objects.uri(path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", objects.endpoint)
    return f"s3://{BUCKET}/{path}"


def steps(*losses: float) -> list[dict[str, Any]]:
    """Return rows of the table ``steps``."""
    return [{"step": step, "loss": loss} for step, loss in enumerate(losses)]


def test_a_store_writes_reads_lists_and_deletes_there(uri: str) -> None:
    store = RunStore.create(uri)
    store.append("steps", steps(1.0, 2.0), "a")
    store.append("steps", steps(3.0), "b")
    store.append("steps", steps(4.0), "b")  # replaces it
    store.append("steps", steps(5.0), "c")
    store.drop("steps", lambda part: part == "c")
    store.write_bytes("figures/one.png", b"picture")

    assert store.parts("steps") == ["a", "b"]
    assert [row["loss"] for row in store.rows("steps")] == [1.0, 2.0, 4.0]
    assert store.table("trials").num_rows == 0
    assert store.read_bytes("figures/one.png") == b"picture"
    assert store.list_files("figures") == ["one.png"]
    assert store.list_files("nothing") == []
    assert store.has("figures/one.png")
    assert not store.has("figures/two.png")
    store.sweep()
    store.delete("figures/one.png")
    assert not store.has("figures/one.png")
    with pytest.raises(FileNotFoundError):
        store.read_bytes("figures/one.png")


def test_a_store_leaves_no_objects_but_those_that_were_asked_for(
    uri: str, objects: Storage
) -> None:
    before = objects.keys()
    RunStore.create(uri).append("steps", steps(1.0), "a")
    added = {key for key in objects.keys() - before if not key.endswith("/")}

    assert {key.partition("/tables/")[2] for key in added} == {"steps/a.parquet"}


def test_a_run_is_opened_where_there_is_one(uri: str) -> None:
    with pytest.raises(UserError, match="no run there"):
        RunStore.open(uri)
    store = RunStore.create(uri)
    store.append("runs", [{"run": "mine"}], "run")

    assert RunStore.open(store.address).rows("runs")[0]["run"] == "mine"
    assert store.name == "test_a_run_is_opened_where_there_is_one"


def test_files_are_located_by_uris_that_open_them(uri: str) -> None:
    store = RunStore.create(uri)
    store.append("steps", steps(1.0), "a")

    assert RunStore(store.locate("tables")).list_files("steps") == ["a.parquet"]


def test_the_runs_of_a_comparison_lie_in_its_folder(uri: str) -> None:
    folder = RunStore.create(uri)
    (cell,) = make_cells({"random": Settings()}, 1, folder.address)
    cell.store.append("steps", steps(1.0), "a")

    assert RunStore(folder.locate("random-seed0")).rows("steps")
    assert folder.has("random-seed0/tables/steps/a.parquet")


def test_a_copy_that_was_sent_somewhere_writes_to_the_same_place(uri: str) -> None:
    store = RunStore.create(uri)
    pickle.loads(pickle.dumps(store)).append("steps", steps(1.0), "a")  # noqa: S301 - our own

    assert store.parts("steps") == ["a"]


def test_pandas_reads_a_table(objects: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", objects.endpoint)
    RunStore.create(f"s3://{BUCKET}/pandas").append("steps", steps(1.0, 2.0), "a")

    assert list(pd.read_parquet(f"s3://{BUCKET}/pandas/tables/steps")["loss"]) == [1.0, 2.0]


def test_parquet_files_are_images_there_as_they_are_here(objects: Storage) -> None:
    folder = RunStore.create(objects.uri("parquet"))
    content = pa.BufferOutputStream()
    pq.write_table(parquet_table([0, 1, 0, 1], names=["cat", "dog"]), content)
    folder.write_bytes("train-00000-of-00001.parquet", content.getvalue().to_pybytes())
    source = open_source(folder.address)

    assert source.class_names == ("cat", "dog")
    assert [image.label for image in source.images] == [0, 1, 0, 1]
    assert [image.open().getpixel((0, 0)) for image in source.images] == [0, 1, 2, 3]


def test_rows_and_parts_of_parquet_files_there_are_found_as_they_are_here(
    objects: Storage,
) -> None:
    folder = RunStore.create(objects.uri("rows"))
    for part, path in (("train", "a/0.png"), ("test", "gone.png")):
        rows = [{"bytes": encoded(picture(5, "L")), "path": None}, {"bytes": b"", "path": path}]
        content = pa.BufferOutputStream()
        pq.write_table(parquet_table([1, 2009], rows), content)
        folder.write_bytes(f"split={part}/0.parquet", content.getvalue().to_pybytes())
    folder.write_bytes("split=train/a/0.png", encoded(picture(7, "L")))
    images = open_source(folder.address).images
    train = [image for image in images if image.split == "train"]

    assert [(image.label, image.split) for image in images] == [
        (0, "test"),
        (1, "test"),
        (0, "train"),
        (1, "train"),
    ]
    assert [image.open().getpixel((0, 0)) for image in train] == [5, 7]
    with pytest.raises(FileNotFoundError, match=r"no bytes, and there is no file gone\.png"):
        images[1].open()


def test_images_there_may_lie_in_class_folders_or_in_one_parquet_file(objects: Storage) -> None:
    folder = RunStore.create(objects.uri("tree"))
    for name in ("train/cat/a.png", "train/dog/b.png", "val/dog/c.png"):
        folder.write_bytes(name, encoded(picture(7, "L")))
    table = pa.BufferOutputStream()
    pq.write_table(parquet_table(["cat", "dog"]), table)
    RunStore.create(objects.uri("table")).write_bytes("a.parquet", table.getvalue().to_pybytes())
    tree, one = open_source(folder.address), open_source(objects.uri("table/a.parquet"))

    assert tree.class_names == one.class_names == ("cat", "dog")
    assert [(image.label, image.split) for image in tree.images] == [
        (0, "train"),
        (1, "train"),
        (1, "val"),
    ]
    assert tree.images[0].open().getpixel((0, 0)) == 7
    with pytest.raises(UserError, match=r"it is a file; wanted a folder"):
        open_source(objects.uri("tree/train/cat/a.png"))


def test_parts_and_what_systems_left_are_told_apart_there_too(objects: Storage) -> None:
    folder = RunStore.create(objects.uri("parts"))
    for part in ("training_set", "test_set"):
        for name in ("cat/1.png", "dog/2.png", "cat/@eaDir/1.png/thumb.png", ".thumbs/3.png"):
            folder.write_bytes(f"{part}/{name}", encoded(picture(7, "L")))
    folder.write_bytes("__MACOSX/cat/1.png", b"")
    source = open_source(folder.address)
    said = open_source(folder.address, "train=test_set")

    assert [(image.name, image.split) for image in source.images] == [
        (f"{part}_set/{name}", part.removesuffix("ing"))
        for part in ("test", "training")
        for name in ("cat/1.png", "dog/2.png")
    ]
    assert source.parts == ("test: test_set", "train: training_set")
    assert source.passed_over == ("@eaDir/ (2)", "__MACOSX/ (1)")
    assert [image.name for image in said.images] == ["test_set/cat/1.png", "test_set/dog/2.png"]
    assert said.passed_over[-1] == "training_set (2 images outside of the parts)"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("parts", "nothing"), "no such folder"),
        ((BUCKET, "nobody"), "no such folder"),
        (("scheme=http", "scheme=nonsense"), "no such folder"),
    ],
)
def test_images_that_are_not_there_are_said_to_be_missing(
    objects: Storage, place: tuple[str, str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        open_source(objects.uri("parts").replace(*place))
    assert words in str(caught.value)


def test_a_bucket_that_is_not_there_is_refused_early_and_nothing_is_left_in_one_that_is(
    objects: Storage,
) -> None:
    before = objects.keys()
    RunStore(objects.uri("a/run")).refuse_unwritable()
    with pytest.raises(UserError, match=r"there is no bucket nowhere; .* choose another --run"):
        RunStore(objects.uri("a/run").replace(BUCKET, "nowhere")).refuse_unwritable()
    assert objects.keys() == before


def test_a_bucket_that_is_not_there_is_refused_at_once(
    objects: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PAUSES", (1e9,))  # would be waited for before a second try
    uri = objects.uri("run").replace(BUCKET, "nobody", 1)

    with pytest.raises(UserError, match="cannot write there"):
        RunStore.create(uri)


def test_a_secret_in_a_uri_opens_the_folder_and_is_told_to_nobody(objects: Storage) -> None:
    store = RunStore.create(objects.uri("secret", SECRET))
    store.append("steps", steps(1.0), "a")
    with pytest.raises(UserError) as none:
        RunStore.open(store.address)
    with pytest.raises(UserError) as wrong:
        RunStore(f"s3://{SECRET}bucket/run?scheme=http&nonsense=1")
    with pytest.raises(UserError) as images:
        open_source(objects.uri("nothing", SECRET))
    only = store.address.replace("secret?", "one?", 1)
    RunStore(only).write_bytes("cat/a.png", encoded(picture(7, "L")))
    with pytest.raises(UserError) as single:  # all but one class were forgotten
        load_dataset(only, ImageSettings(), 0, 8)
    settings = Settings(data=objects.uri("images", SECRET))

    told = [store.uri, store.locate("tables"), settings.to_json()]
    told += [str(error.value) for error in (none, wrong, images, single)]
    assert RunStore(store.address).rows("steps")
    for text in told:
        assert "***@bucket" in text
        assert "s3cr3t" not in text
    assert settings.digest == Settings(data=objects.uri("images", "key:other@")).digest
    assert json.loads(settings.to_json())["data"] != settings.data


class Interrupted:
    """Files of which an upload is interrupted, by Ctrl-C, when it begins or after a part."""

    def __init__(self, files: Any, moments: set[str]) -> None:
        self._files, self._moments = files, moments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def _reach(self, moment: str) -> None:
        if moment in self._moments:
            self._moments.remove(moment)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.1)

    def open_output_stream(self, path: str) -> "Interrupted":
        """Begin an upload."""
        stream = Interrupted(self._files.open_output_stream(path), self._moments)
        self._reach("beginning")
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def write(self, content: bytes) -> None:
        """Send a part."""
        self._files.write(content)
        self._reach("part")


@pytest.mark.parametrize("moments", [{"beginning"}, {"part"}, {"beginning", "part"}])
def test_an_upload_that_is_interrupted_is_whole_all_the_same(
    objects: Storage, moments: set[str]
) -> None:
    """A part has 4 MiB; after a second Ctrl-C nobody waits, but the upload goes on."""
    store, threads = RunStore.create(objects.uri("interrupted")), set(threading.enumerate())
    store.write_bytes("checkpoint", b"old" * (2 << 20))
    whole, new = store._files, b"new" * (2 << 20)
    store._files = Interrupted(whole, moments)
    with pytest.raises(KeyboardInterrupt):
        store.write_bytes("checkpoint", new)
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=30)
    store._files = whole

    assert store.read_bytes("checkpoint") == new


@pytest.mark.slow
def test_a_storage_that_fails_now_and_then_loses_nothing(objects: Storage) -> None:
    failures = Failures(most_bytes=20_000)
    with failing_now_and_then(objects, failures) as failing:
        store = RunStore.create(failing.uri("failing"))
        for number in range(6):
            store.append("steps", [{"step": number, "loss": 0.5}], f"{number:02d}")
        rows = store.rows("steps")

    assert failures.told > 0
    assert [row["step"] for row in rows] == list(range(6))


@pytest.mark.slow
def test_a_storage_that_is_gone_is_named_with_what_to_do(
    objects: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PAUSES", ())
    with failing_now_and_then(objects, Failures(most_bytes=1 << 30)) as failing:
        store = RunStore.create(failing.uri("gone"))

    with pytest.raises(StorageError, match="bring the storage back and run the same command"):
        store.append("steps", steps(1.0), "a")
