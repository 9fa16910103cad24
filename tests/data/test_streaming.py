"""Images that stay encoded: the same data set to the bit, and files that vanish later."""

import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raynas.data import dataset, memory
from raynas.data.batches import in_order
from raynas.data.dataset import Dataset, EncodedImages, Images
from raynas.data.decoding import Square, decode
from raynas.data.loading import load_dataset
from raynas.errors import StageError
from raynas.settings.images import ImageSettings
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.training.retraining import Retraining
from tests.builders import SHARED_DATA
from tests.data.samples import (
    numbered_tree,
    parquet_table,
    tiny_space,
    write_parquet,
    write_tree,
)

PARTS = ("train", "val", "test")


def load(data: str, **settings: Any) -> Dataset:
    """Load a data set as a run does, into squares of 16 pixels unless all agree on others."""
    return load_dataset(data, ImageSettings(**settings), 0, 16)


def both(data: str, **settings: Any) -> tuple[Dataset, Dataset]:
    """Return a data set in memory and streamed."""
    held = load(data, in_memory="yes", **settings)
    streamed = load(data, in_memory="no", loader_workers=0, **settings)
    assert {type(getattr(held, part)) for part in PARTS} == {Images}
    assert {type(getattr(streamed, part)) for part in PARTS} == {EncodedImages}
    return held, streamed


def decoded(dataset: Dataset) -> Dataset:
    """Return a data set with all of its images in memory."""
    parts = {part: getattr(dataset, part) for part in PARTS}
    return replace(dataset, **{n: part.take(np.arange(len(part))) for n, part in parts.items()})


def assert_same(first: Dataset, second: Dataset) -> None:
    """Compare everything, to the bit."""
    for part in PARTS:
        one, other = getattr(first, part), getattr(second, part)
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.labels, other.labels)
        assert one.labels.dtype == other.labels.dtype
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.std, second.std)
    assert (first.class_names, first.skipped) == (second.class_names, second.skipped)


def digits(root: Path) -> str:
    """Name scikit-learn's digits."""
    del root
    return "digits"


def jpegs_of_odd_sizes(root: Path) -> str:
    """Write noise, a part of which is turned and a part so large that it is shrunk early."""
    turned = Image.Exif()
    turned[0x0112] = 6
    sizes = [(40, 90), (17, 16), (100, 70), (16, 16), (30, 31), (64, 64)] * 2
    noise = [Image.effect_noise(size, 60).convert("RGB") for size in sizes]
    return write_tree(root, {"a": noise, "b": noise[::-1]}, "jpg", exif=turned)


def tree_with_broken_files(root: Path) -> str:
    """Write a tree in which one file has no header and one no end."""
    noise = [Image.effect_noise((40, 40), 60) for _ in range(40)]
    data = write_tree(root, {"a": noise, "b": noise}, "jpg")
    (root / "a" / "003.jpg").write_bytes(b"no image")
    broken = root / "b" / "007.jpg"
    broken.write_bytes(broken.read_bytes()[:-300])
    return data


def parquet(root: Path) -> str:
    """Write two Parquet files."""
    tables = {f"train-{i}.parquet": parquet_table([0, 1] * 15) for i in range(2)}
    return write_parquet(root, tables)


def photographs(root: Path) -> str:
    """Name the shared photographs."""
    del root
    if not (SHARED_DATA / "photos").is_dir():
        pytest.skip("no ../shared/data/photos")
    return str(SHARED_DATA / "photos")


def cifar(root: Path) -> str:
    """Write a part of CIFAR-10 as Parquet."""
    if not (SHARED_DATA / "cifar10").is_dir():
        pytest.skip("no ../shared/data/cifar10")
    table = pq.read_table(SHARED_DATA / "cifar10" / "test.parquet").slice(0, 300)
    return write_parquet(root, {"images.parquet": table})


SOURCES: list[Any] = [
    digits,
    numbered_tree,
    jpegs_of_odd_sizes,
    tree_with_broken_files,
    parquet,
    pytest.param(photographs, marks=pytest.mark.data),
    pytest.param(cifar, marks=pytest.mark.data),
]


@pytest.mark.parametrize("make", SOURCES)
def test_a_streamed_set_equals_the_one_in_memory_to_the_bit(
    tmp_path: Path, make: Callable[[Path], str]
) -> None:
    held, streamed = both(make(tmp_path), max_corrupt=0.1)

    assert_same(held, decoded(streamed))
    assert (held.channels, held.resolution) == (streamed.channels, streamed.resolution)


@pytest.mark.parametrize("make", SOURCES)
def test_a_streamed_set_can_be_pickled_and_opened_elsewhere(
    tmp_path: Path, make: Callable[[Path], str]
) -> None:
    streamed = load(make(tmp_path), in_memory="no", max_corrupt=0.1)

    assert_same(decoded(pickle.loads(pickle.dumps(streamed))), decoded(streamed))  # noqa: S301


def test_files_that_are_broken_inside_are_found_before_anything_trains(tmp_path: Path) -> None:
    streamed = load(tree_with_broken_files(tmp_path), in_memory="no", max_corrupt=0.1)

    assert streamed.skipped == ("a/003.jpg", "b/007.jpg")


def test_a_data_set_that_takes_more_than_a_quarter_of_the_memory_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = numbered_tree(tmp_path)  # 30 grey images of 8 x 8 pixels

    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * 30 * 64)
    assert isinstance(load(data).train, Images)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * 30 * 64 - 1)
    assert isinstance(load(data).train, EncodedImages)


def test_streamed_images_in_order_are_those_in_memory(tmp_path: Path) -> None:
    held, streamed = both(jpegs_of_odd_sizes(tmp_path))
    pairs = zip(in_order(held.train, 5), in_order(streamed.train, 5), strict=True)

    assert all(np.array_equal(a.pixels, b.pixels) for a, b in pairs)


def test_retraining_on_streamed_images_equals_retraining_in_memory(tmp_path: Path) -> None:
    space = tiny_space()
    path = Architecture((0,) * space.num_layers)
    settings = RetrainSettings(epochs=2, batch=8)
    held, streamed = (
        Retraining(space, path, dataset, settings, 0)
        for dataset in both(jpegs_of_odd_sizes(tmp_path))
    )

    for _ in range(2):
        one, other = held.run_epoch(), streamed.run_epoch()
        assert replace(one, seconds=0.0) == replace(other, seconds=0.0)
    assert held.weights() == streamed.weights()


def test_a_large_jpeg_is_shrunk_while_it_is_decoded_but_never_below_what_is_wanted() -> None:
    ramp = (np.add.outer(np.arange(320), np.arange(320)) * 0.4).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "jpeg", quality=95)
    photo = Image.open(stream)
    shrunk = decode(lambda: photo, Square(64, 1))

    assert photo.size == (80, 80)  # a quarter; an eighth would be too little
    assert shrunk is not None
    assert np.abs(shrunk[0] - ramp.reshape(64, 5, 64, 5).mean(axis=(1, 3))).max() <= 3


class TestVanishedFiles:
    def streamed(self, root: Path) -> tuple[EncodedImages, list[Path]]:
        """Return the training images of a tree, and the files in which they lie."""
        train = load(
            numbered_tree(root, per_class=8), in_memory="no", loader_workers=0, max_corrupt=0.9
        ).train
        assert isinstance(train, EncodedImages)
        return train, [root / raw.name for raw in train.raws]

    def test_the_next_image_of_the_class_takes_the_place_and_the_loss_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        train, files = self.streamed(tmp_path)
        everything = np.arange(len(train))
        before = train.take(everything)
        last_of_first = int(np.flatnonzero(train.labels == 0)[-1])
        for lost in (1, 2, last_of_first):
            files[lost].unlink()
        after = train.take(everything)

        assert np.array_equal(after.labels, before.labels)
        wanted = everything.copy()
        wanted[[1, 2, last_of_first]] = 3, 3, 0
        assert np.array_equal(after.pixels, before.pixels[wanted])
        assert [record.getMessage().split()[0] for record in caplog.records] == [
            train.raws[lost].name for lost in (1, 2, last_of_first)
        ]

    def test_a_class_without_any_image_left_ends_the_stage_in_one_sentence(
        self, tmp_path: Path
    ) -> None:
        train, files = self.streamed(tmp_path)
        for file in files:
            file.unlink()

        with pytest.raises(
            StageError, match=r"class0/.* more of its class cannot be read"
        ) as caught:
            train.take(np.array([0]))
        assert "\n" not in str(caught.value)

    def test_only_so_many_others_are_tried(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train, files = self.streamed(tmp_path)
        monkeypatch.setattr(dataset, "_SUBSTITUTES", 1)
        files[0].unlink()
        train.take(np.array([0]))
        files[1].unlink()

        with pytest.raises(StageError):
            train.take(np.array([0]))
