"""Data sets of real image files: reading, decoding, splitting, and what is refused."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from raynas.data import in_blocks
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from tests.builders import SHARED_DATA
from tests.data.samples import (
    Colour,
    brightness,
    numbered_tree,
    parquet_table,
    picture,
    write_parquet,
    write_tree,
)

PARTS = ("train", "val", "test")


def load(data: str, seed: int = 0, usual: int = 8, **settings: Any) -> Dataset:
    """Load a data set as a run does."""
    return load_dataset(data, ImageSettings(**settings), seed, usual)


def brightness_of_all(dataset: Dataset) -> list[int]:
    """Return the first pixel of each image of all parts."""
    return [pixel for part in PARTS for pixel in brightness(getattr(dataset, part))]


def refusal(data: str, **settings: Any) -> str:
    """Return the sentence with which data are refused."""
    with pytest.raises(UserError) as caught:
        load(data, **settings)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"data {data}: ")
    return sentence


class TestDigits:
    def test_the_digits_are_grey_images_of_8_pixels_in_ten_classes(self) -> None:
        dataset = load("digits")

        assert (dataset.channels, dataset.resolution, dataset.num_classes) == (1, 8, 10)
        assert dataset.class_names == tuple("0123456789")
        assert sum(len(getattr(dataset, part)) for part in PARTS) == 1797
        assert (dataset.train.pixels.min(), dataset.train.pixels.max()) == (0, 255)
        assert dataset.skipped == ()

    def test_every_class_has_the_same_share_in_every_part(self) -> None:
        dataset = load("digits", val_fraction=0.25, test_fraction=0.2)
        counts = [np.bincount(getattr(dataset, part).labels) for part in PARTS]
        total = sum(counts)

        assert np.allclose(counts[2], 0.2 * total, atol=0.5)
        assert np.allclose(counts[1], 0.25 * (total - counts[2]), atol=0.5)

    def test_mean_and_std_are_those_of_the_training_pixels_alone(self) -> None:
        dataset = load("digits")
        train = dataset.train.pixels.astype(np.float64) / 255

        assert dataset.mean == pytest.approx(train.mean(axis=(0, 2, 3)), rel=1e-5)
        assert dataset.std == pytest.approx(train.std(axis=(0, 2, 3)), rel=1e-5)


class TestDecoding:
    @pytest.mark.parametrize(
        ("mode", "ending", "colour", "wanted"),
        [
            ("L", "png", 100, [100]),
            ("LA", "png", (100, 255), [100]),
            ("LA", "png", (100, 51), [224]),
            ("1", "png", 1, [255]),
            ("I;16", "png", 32768, [128]),
            ("RGB", "png", (200, 100, 50), [200, 100, 50]),
            ("RGBA", "png", (200, 100, 50, 255), [200, 100, 50]),
            ("RGBA", "png", (200, 100, 50, 51), [244, 224, 214]),
            ("RGBA", "webp", (200, 100, 50, 0), [255, 255, 255]),
            ("P", "png", (200, 100, 50), [200, 100, 50]),
            ("P", "gif", (200, 100, 50), [200, 100, 50]),
            ("CMYK", "jpg", (55, 155, 205, 0), [200, 100, 50]),
            ("CMYK", "tif", (55, 155, 205, 0), [200, 100, 50]),
        ],
    )
    def test_every_mode_becomes_grey_or_colour_with_its_own_brightness(
        self, tmp_path: Path, mode: str, ending: str, colour: Colour, wanted: list[int]
    ) -> None:
        def draw() -> Image.Image:
            if mode == "P":
                return picture(colour).convert("P", palette=Image.Palette.ADAPTIVE)
            return picture(colour, mode)

        classes = {"cats": [draw() for _ in range(4)], "dogs": [draw() for _ in range(4)]}
        dataset = load(write_tree(tmp_path, classes, ending))

        assert dataset.skipped == ()
        assert dataset.train.pixels.shape[1:] == (len(wanted), 8, 8)
        assert dataset.train.pixels[0, :, 4, 4] == pytest.approx(wanted, abs=3)

    def test_one_colour_image_makes_the_whole_set_colour(self, tmp_path: Path) -> None:
        grey, colour = [picture(90, "L")] * 4, [picture((10, 20, 30))] * 4
        dataset = load(write_tree(tmp_path, {"grey": grey, "colour": colour}))

        assert dataset.channels == 3
        assert dataset.class_names == ("colour", "grey")
        assert dataset.train.pixels[dataset.train.labels == 1][0, :, 0, 0].tolist() == [90] * 3

    def test_squares_of_one_size_keep_their_size(self, tmp_path: Path) -> None:
        classes = {name: [picture(9, "L", (20, 20))] * 4 for name in "ab"}

        assert load(write_tree(tmp_path, classes), usual=8).resolution == 20

    @pytest.mark.parametrize("second", [(24, 24), (20, 21)])
    def test_images_of_several_sizes_get_the_usual_size(
        self, tmp_path: Path, second: tuple[int, int]
    ) -> None:
        classes = {"a": [picture(9, "L", (20, 20))] * 4, "b": [picture(9, "L", second)] * 4}

        assert load(write_tree(tmp_path, classes), usual=16).resolution == 16

    def test_a_resolution_that_was_asked_for_wins(self, tmp_path: Path) -> None:
        classes = {name: [picture(9, "L", (20, 20))] * 4 for name in "ab"}

        assert load(write_tree(tmp_path, classes), resolution=12).resolution == 12

    def test_the_middle_square_of_an_oblong_image_is_kept(self, tmp_path: Path) -> None:
        flag = Image.new("RGB", (48, 16), (255, 0, 0))
        flag.paste((0, 255, 0), (16, 0, 32, 16))
        flag.paste((0, 0, 255), (32, 0, 48, 16))
        dataset = load(write_tree(tmp_path, {name: [flag] * 4 for name in "ab"}), usual=8)
        centre = dataset.train.pixels[0, :, :, 1:-1]

        assert centre[1].min() == 255
        assert centre[[0, 2]].max() == 0

    def test_a_photo_is_turned_as_its_camera_says(self, tmp_path: Path) -> None:
        photo = Image.new("L", (16, 16), 0)
        photo.paste(255, (0, 0, 8, 16))  # the left half is white
        turned = Image.Exif()
        turned[0x0112] = 6  # show it turned by 90 degrees clockwise: white on top
        classes = {name: [photo] * 4 for name in "ab"}
        shown = load(write_tree(tmp_path, classes, "jpg", exif=turned)).train.pixels[0, 0]

        assert shown[:6].min() > 200
        assert shown[-6:].max() < 50


class TestBrokenFiles:
    def test_a_truncated_file_is_skipped_and_named(self, tmp_path: Path) -> None:
        noise = Image.effect_noise((64, 64), 80)
        data = write_tree(tmp_path, {"a": [noise] * 30, "b": [noise] * 30}, "jpg")
        broken = tmp_path / "b" / "007.jpg"
        broken.write_bytes(broken.read_bytes()[:-400])
        dataset = load(data)

        assert dataset.skipped == ("b/007.jpg",)
        assert sum(len(getattr(dataset, part)) for part in PARTS) == 59

    def test_a_file_that_is_no_image_at_all_is_skipped_too(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path, per_class=30, classes=2)
        (tmp_path / "class0" / "zzz.png").write_text("not an image")

        assert load(data).skipped == ("class0/zzz.png",)

    def test_too_many_broken_files_are_refused_by_number_and_example(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path, per_class=10, classes=2)
        for number in (3, 4):
            (tmp_path / "class1" / f"{number:03d}.png").write_bytes(b"")
        sentence = refusal(data)

        assert "2 of 20 images cannot be read" in sentence
        assert "class1/003.png" in sentence
        assert "--images.max-corrupt" in sentence

    def test_how_many_broken_files_are_bearable_is_a_setting(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path, per_class=10, classes=2)
        (tmp_path / "class1" / "003.png").write_bytes(b"")

        assert load(data, max_corrupt=0.05).skipped == ("class1/003.png",)
        assert "1 of 20" in refusal(data, max_corrupt=0.04)


class TestSplits:
    @pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
    def test_validation_images_without_test_images_are_kept_for_the_test(
        self, tmp_path: Path, name: str
    ) -> None:
        numbered_tree(tmp_path / "train", per_class=10)
        numbered_tree(tmp_path / name, per_class=3, first=100)
        dataset = load(str(tmp_path))

        assert dataset.keeps_val
        assert sorted(brightness(dataset.test)) == list(range(100, 109))
        assert sorted(brightness(dataset.train) + brightness(dataset.val)) == list(range(30))
        assert len(dataset.val) == 6

    def test_a_share_leaves_all_of_a_validation_part_that_is_the_test(self, tmp_path: Path) -> None:
        numbered_tree(tmp_path / "train", per_class=20)
        numbered_tree(tmp_path / "val", per_class=9, first=100)
        dataset = load(str(tmp_path), share=0.5)

        assert sorted(brightness(dataset.test)) == list(range(100, 127))
        assert 15 < len(dataset.train) + len(dataset.val) < 45

    def test_a_class_of_such_a_part_alone_is_refused_by_the_name_of_the_part(
        self, tmp_path: Path
    ) -> None:
        numbered_tree(tmp_path / "train", per_class=10)
        numbered_tree(tmp_path / "val", per_class=3, classes=4)

        assert "class3 has val images but no training images" in refusal(str(tmp_path))

    def test_three_named_parts_are_taken_as_they_are(self, tmp_path: Path) -> None:
        for name, first in (("train", 0), ("val", 100), ("test", 200)):
            numbered_tree(tmp_path / name, per_class=4, first=first)
        dataset = load(str(tmp_path))

        assert [sorted(brightness(getattr(dataset, part))) for part in PARTS] == [
            list(range(first, first + 12)) for first in (0, 100, 200)
        ]
        assert dataset.class_names == ("class0", "class1", "class2")

    def test_a_single_tree_is_split_by_the_seed(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path, per_class=20)
        first, again, other = (load(data, seed) for seed in (1, 1, 2))

        for part in PARTS:
            mine = brightness(getattr(first, part))
            assert mine == brightness(getattr(again, part))
            assert mine != brightness(getattr(other, part))

    def test_classes_that_are_named_like_parts_are_classes_where_there_is_no_train(
        self, tmp_path: Path
    ) -> None:
        data = write_tree(tmp_path, {name: [picture(5, "L")] * 4 for name in ("dev", "test")})

        assert load(data).class_names == ("dev", "test")

    def test_a_share_uses_fewer_training_images_and_all_named_test_images(
        self, tmp_path: Path
    ) -> None:
        for name, first in (("train", 0), ("val", 100), ("test", 200)):
            numbered_tree(tmp_path / name, per_class=15, first=first)
        dataset = load(str(tmp_path), share=0.5)

        assert sorted(brightness(dataset.test)) == list(range(200, 245))
        assert 10 < len(dataset.train) < 35
        assert 10 < len(dataset.val) < 35
        assert brightness(dataset.train) == brightness(load(str(tmp_path), share=0.5).train)


@pytest.fixture(scope="module")
def uneven_tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tree of 3, 8 and 21 images of brightness 0 to 31."""
    sizes, root = (3, 8, 21), tmp_path_factory.mktemp("uneven")
    starts = np.cumsum((0, *sizes))
    return write_tree(
        root,
        {
            f"class{label}": [picture(int(start) + i, "L", (1, 1)) for i in range(size)]
            for label, (start, size) in enumerate(zip(starts, sizes, strict=False))
        },
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    val_fraction=st.floats(0.01, 0.6),
    test_fraction=st.floats(0.01, 0.6),
)
def test_parts_never_overlap_lose_nothing_and_hold_every_class(
    uneven_tree: str, seed: int, val_fraction: float, test_fraction: float
) -> None:
    dataset = load(uneven_tree, seed, val_fraction=val_fraction, test_fraction=test_fraction)

    assert sorted(brightness_of_all(dataset)) == list(range(32))
    for part in PARTS:
        images = getattr(dataset, part)
        assert set(images.labels.tolist()) == {0, 1, 2}
        assert np.array_equal(np.searchsorted([2, 10], brightness(images)), images.labels)


class TestParquet:
    def test_labels_may_be_texts_whatever_the_file_they_come_from(self, tmp_path: Path) -> None:
        encoded = parquet_table(["cat", "dog"] * 6)
        label = encoded["label"].combine_chunks().dictionary_encode()
        tables = {
            "train.parquet": parquet_table(["dog", "emu"] * 6),
            "test.parquet": encoded.set_column(1, "label", label),
        }
        dataset = load(write_parquet(tmp_path, tables | {"more/train.parquet": encoded}))

        assert dataset.class_names == ("cat", "dog", "emu")
        assert dataset.class_counts["test"] == [6, 6, 0]

    def test_files_of_test_images_alone_are_refused_by_their_names(self, tmp_path: Path) -> None:
        data = write_parquet(tmp_path, {"test.parquet": parquet_table([0, 1] * 10)})

        assert "by the names of their folders or files" in refusal(data)

    def test_texts_and_integers_are_not_mixed(self, tmp_path: Path) -> None:
        tables = {"a.parquet": parquet_table(["cat"] * 6), "b.parquet": parquet_table([0] * 6)}

        assert "write all of them in one way" in refusal(write_parquet(tmp_path, tables))

    def test_a_single_file_may_be_given(self, tmp_path: Path) -> None:
        data = write_parquet(tmp_path, {"mine.parquet": parquet_table([0, 1] * 10)})

        assert sum(map(sum, load(f"{data}/mine.parquet").class_counts.values())) == 20

    def test_names_of_classes_come_from_the_metadata_of_hugging_face(self, tmp_path: Path) -> None:
        table = parquet_table([0, 1] * 10, names=["cat", "dog"])
        dataset = load(write_parquet(tmp_path, {"images.parquet": table}))

        assert dataset.class_names == ("cat", "dog")
        assert (dataset.channels, dataset.resolution) == (1, 8)
        assert sorted(brightness_of_all(dataset)) == list(range(20))
        for part in PARTS:
            images = getattr(dataset, part)
            assert images.labels.tolist() == [pixel % 2 for pixel in brightness(images)]

    def test_classes_without_names_are_numbered(self, tmp_path: Path) -> None:
        data = write_parquet(tmp_path, {"images.parquet": parquet_table([200_000_000, 7] * 6)})
        dataset = load(data)

        assert dataset.class_names == ("7", "200000000")
        assert dataset.num_classes == 2

    @pytest.mark.parametrize(
        ("train", "val", "test"),
        [
            ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "test-0.parquet"),
            ("data/train.parquet", "data/val.parquet", "data/test.parquet"),
            ("train/0000.parquet", "valid/0000.parquet", "test/0000.parquet"),
        ],
    )
    def test_parts_are_read_off_the_names_of_the_files(
        self, tmp_path: Path, train: str, val: str, test: str
    ) -> None:
        sizes = {train: 20, val: 6, test: 8}
        tables = {name: parquet_table([0, 1] * (size // 2)) for name, size in sizes.items()}
        dataset = load(write_parquet(tmp_path, tables))

        assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (20, 6, 8)

    def test_a_part_may_be_spread_over_several_files(self, tmp_path: Path) -> None:
        tables = {f"train-{i}-of-3.parquet": parquet_table([0, 1] * 4) for i in range(3)}
        dataset = load(write_parquet(tmp_path, tables), val_fraction=0.25, test_fraction=0.25)

        assert sum(len(getattr(dataset, part)) for part in PARTS) == 24

    def test_a_broken_row_is_named_by_file_and_number(self, tmp_path: Path) -> None:
        table = parquet_table([0, 1] * 10)
        rows = table["image"].to_pylist()
        rows[7] = {"bytes": b"broken", "path": None}
        table = parquet_table([0, 1] * 10, rows)
        dataset = load(write_parquet(tmp_path, {"images.parquet": table}), max_corrupt=0.1)

        assert dataset.skipped == ("images.parquet row 7",)


def empty_folder(root: Path) -> str:
    """Make nothing."""
    return str(root)


def folder_without_images(root: Path) -> str:
    """Make a folder of texts."""
    (root / "a").mkdir()
    (root / "a" / "notes.txt").write_text("no image")
    return str(root)


def missing_folder(root: Path) -> str:
    """Name a folder that does not exist."""
    return str(root / "missing")


def single_file(root: Path) -> str:
    """Name a file where a folder is wanted."""
    picture(1, "L").save(root / "lonely.png")
    return str(root / "lonely.png")


def one_class(root: Path) -> str:
    """Make a tree of one class."""
    return numbered_tree(root, classes=1)


def loose_image(root: Path) -> str:
    """Make a tree with an image beside the class folders."""
    data = numbered_tree(root)
    picture(1, "L").save(root / "loose.png")
    return data


def tiny_classes(root: Path) -> str:
    """Make classes of one image, of which none can be held out."""
    return numbered_tree(root, per_class=1)


def parquet_of(columns: str) -> Callable[[Path], str]:
    """Return what makes a table of which something is wrong."""

    def make(root: Path) -> str:
        rows = parquet_table([0, 1] * 6)["image"].to_pylist()
        table = {
            "no label": parquet_table([0, 1] * 6).drop_columns("label"),
            "no image": parquet_table([0, 1] * 6).drop_columns("image"),
            "no bytes": parquet_table([0, 1] * 6, [{"path": "x", "width": 8}] * 12),
            "plain bytes": parquet_table([0, 1] * 6, [row["bytes"] for row in rows]),
            "negative label": parquet_table([-1, 1] * 6),
            "null label": parquet_table([None, 1] * 6),
            "unnamed label": parquet_table([0, 5] * 6, names=["cat", "dog"]),
            "one class": parquet_table([1] * 12),
            "no rows": parquet_table([0, 1] * 6).slice(0, 0),
        }[columns]
        return write_parquet(root, {"images.parquet": table})

    make.__name__ = f"parquet of {columns}"
    return make


def broken_parquet(root: Path) -> str:
    """Make a file that is Parquet by its name alone."""
    (root / "images.parquet").write_text("broken")
    return str(root)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty_folder, "no images in it"),
        (folder_without_images, "one sub-folder per class"),
        (missing_folder, "no such folder"),
        (single_file, "it is a file; wanted a folder"),
        (one_class, "one class only (class0)"),
        (loose_image, "loose.png lies in no class folder"),
        (tiny_classes, "3 images leave none for the"),
        (parquet_of("no label"), "label"),
        (parquet_of("no image"), "image"),
        (parquet_of("no bytes"), "bytes"),
        (parquet_of("plain bytes"), "a struct with bytes"),
        (parquet_of("negative label"), "label -1"),
        (parquet_of("null label"), "label"),
        (parquet_of("unnamed label"), "label"),
        (parquet_of("one class"), "one class only"),
        (parquet_of("no rows"), "no images"),
        (broken_parquet, "images.parquet"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", "data"),
)
def test_data_that_cannot_be_used_are_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], str], words: str
) -> None:
    assert words in refusal(make(tmp_path))


def test_a_tiny_share_leaves_three_images_of_each_class() -> None:
    assert load("digits", share=1e-6).class_counts == {part: [1] * 10 for part in PARTS}


def test_a_larger_share_keeps_the_images_of_a_smaller_one(tmp_path: Path) -> None:
    data = numbered_tree(tmp_path, per_class=40)
    few, more = (set(brightness_of_all(load(data, share=share))) for share in (0.05, 0.3))

    assert len(few) == 9 < len(more)
    assert few < more


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: numbered_tree(root / "images"), "all images lie in images/"),
        (lambda root: numbered_tree(root / "all" / "train"), "give that folder as --data"),
        (lambda root: numbered_tree(root / "masks"), "masks lies beside train/"),
        (
            lambda root: write_tree(root, {"test": [picture(1, "L")] * 3}),
            "test/000.png lies in no class folder; wanted test/CLASS/image",
        ),
        (
            lambda root: numbered_tree(root / "val", classes=4),
            "class class3 has val images but no training images",
        ),
    ],
    ids=[
        "wrapped",
        "wrapped parts",
        "a folder beside",
        "unlabelled test",
        "untrained class",
    ],
)
def test_layouts_that_are_almost_right_are_refused_with_the_way_out(
    tmp_path: Path, make: Callable[[Path], str], words: str
) -> None:
    make(tmp_path)
    if not words.startswith(("all images", "give")):
        numbered_tree(tmp_path / "train")

    assert words in refusal(str(tmp_path))


@pytest.mark.parametrize("parts", [("", ""), ("train/", "test/")])
def test_two_spellings_of_one_name_are_told_apart_for_people_who_see_no_difference(
    tmp_path: Path, parts: tuple[str, str]
) -> None:
    pictures, names = [picture(5, "L")] * 4, ("caf\u00e9", "cafe\u0301")
    spelt = [part + name for part, name in zip(parts, names, strict=True)]
    sentence = refusal(write_tree(tmp_path, dict.fromkeys((*spelt, f"{parts[0]}b"), pictures)))

    assert "is spelt in two ways that look the same" in sentence
    assert all(
        f"{name}/000.png".encode("ascii", "backslashreplace").decode() in sentence for name in spelt
    )


def test_a_class_of_trains_is_a_class(tmp_path: Path) -> None:
    data = write_tree(tmp_path, {name: [picture(5, "L")] * 4 for name in ("train", "car")})

    assert load(data).class_names == ("car", "train")


def test_files_that_are_no_images_are_told_by_their_endings(tmp_path: Path) -> None:
    data = numbered_tree(tmp_path, classes=2)
    for number in range(3):
        (tmp_path / "class0" / f"{number}.HEIC").touch()
    (tmp_path / "README").touch()
    (tmp_path / ".hidden").touch()

    assert load(data).ignored == ("3 heic", "1 without an ending")


def test_the_images_own_sizes_are_told(tmp_path: Path) -> None:
    sizes = [(30, 40), (90, 50), (70, 60), (20, 100), (35, 35)]
    classes = {name: [picture(9, "L", size) for size in sizes] for name in "ab"}

    assert load(write_tree(tmp_path, classes)).sides == (20, 35, 60)


def test_files_in_hidden_folders_are_not_images_of_a_class(tmp_path: Path) -> None:
    data = numbered_tree(tmp_path, classes=2)
    hidden = tmp_path / ".ipynb_checkpoints"
    hidden.mkdir()
    shutil.copy(tmp_path / "class0" / "000.png", hidden / "000.png")

    assert load(data).class_names == ("class0", "class1")


def fingerprint(dataset: Dataset) -> str:
    """Return a digest of every pixel, label and name."""
    digest = hashlib.sha256()
    for field in fields(dataset):
        value = getattr(dataset, field.name)
        value = repr(value) if field.name in {"depth", "crops"} else value
        arrays = (value.pixels, value.labels) if field.name in PARTS else (np.array(value),)
        for array in arrays:
            digest.update(str((array.dtype, array.shape)).encode() + array.tobytes())
    return digest.hexdigest()


@pytest.mark.data
@pytest.mark.skipif(not (SHARED_DATA / "photos").is_dir(), reason="no ../shared/data/photos")
def test_photographs_of_odd_sizes_become_the_space_s_squares() -> None:
    data = str(SHARED_DATA / "photos")
    dataset = load(data, usual=64)
    counts = {part: np.bincount(getattr(dataset, part).labels).tolist() for part in PARTS}

    assert dataset.class_names == ("birds", "dogs", "food", "reptiles")
    assert (dataset.channels, dataset.resolution, dataset.skipped) == (3, 64, ())
    assert counts == {"train": [17] * 4, "val": [3] * 4, "test": [8] * 4}  # val/ is the test
    assert 0.1 < dataset.std.min() < dataset.std.max() < 0.4
    assert fingerprint(dataset) == fingerprint(load(data, usual=64))


@pytest.mark.data
@pytest.mark.skipif(not (SHARED_DATA / "cifar10").is_dir(), reason="no ../shared/data/cifar10")
def test_cifar10_as_parquet_has_ten_named_classes_of_colour_images(tmp_path: Path) -> None:
    table = pq.read_table(SHARED_DATA / "cifar10" / "test.parquet").slice(0, 2000)
    dataset = load(write_parquet(tmp_path, {"images.parquet": table}), usual=224)

    assert (dataset.channels, dataset.resolution, dataset.skipped) == (3, 32, ())
    assert dataset.class_names[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(dataset.test.labels).tolist() == pytest.approx([40] * 10, abs=8)
    assert dataset.mean == pytest.approx([0.494, 0.485, 0.450], abs=0.015)


def test_reading_many_images_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_blocks, "SILENCE", 0.0)
    said: list[str] = []
    load_dataset(
        numbered_tree(tmp_path, per_class=25, classes=2), ImageSettings(), 0, 8, said.append
    )

    assert said == [
        f"data      {doing} {done} of 50 images"
        for doing in ("looking at", "decoding")
        for done in (32, 50)
    ]
