"""Which images are looked at when a data set is loaded, what is kept of it, and what is listed."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raynas.data import headers, loading, survey
from raynas.data.dataset import Dataset
from raynas.data.listed import changes
from raynas.data.loading import load_dataset, read_images
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from tests.data.samples import numbered_tree, parquet_table, write_parquet


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let twenty images stand for all others, and begin with an empty cache."""
    monkeypatch.setattr(loading, "_SAMPLE", 20)
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "cache"))


def load(data: str, seed: int = 0, **settings: Any) -> Dataset:
    """Load a data set of which nothing is kept in memory."""
    return load_dataset(data, ImageSettings(in_memory="no", **settings), seed, 8)


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return how many images are looked at, and decoded, from now on."""
    counts = {"headers": 0, "decoded": 0}
    read, decode = headers.read_headers, survey.survey_block

    def read_counted(images: Any) -> Any:
        counts["headers"] += len(images)
        return read(images)

    def decode_counted(images: Any, **what: Any) -> Any:
        counts["decoded"] += len(images)
        return decode(images, **what)

    monkeypatch.setattr(headers, "read_headers", read_counted)
    monkeypatch.setattr(survey, "survey_block", decode_counted)
    return counts


class TestSample:
    def test_some_training_images_stand_for_the_mean_of_all(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        exact, sampled = load(data, verify=True), load(data)

        assert sampled.mean == pytest.approx(exact.mean, rel=0.25)
        assert sampled.mean != exact.mean
        assert sampled.mean == load(data).mean
        assert len(sampled.train) == len(exact.train)

    def test_only_headers_are_read_of_the_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts = counted(monkeypatch)
        load(numbered_tree(tmp_path / "data", per_class=20))

        assert counts == {"headers": 60, "decoded": 20}

    def test_all_are_decoded_where_a_person_wants_them_verified(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        broken = tmp_path / "data" / "class1" / "007.png"
        broken.write_bytes(broken.read_bytes()[:50])
        counts = counted(monkeypatch)
        verified = load(data, verify=True, max_corrupt=0.1)

        assert counts["decoded"] == 60
        assert verified.skipped == ("class1/007.png",)
        assert load(data, max_corrupt=0.1).skipped == ()

    def test_a_sample_of_broken_images_is_refused(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        for file in (tmp_path / "data").rglob("*.png"):
            file.write_bytes(file.read_bytes()[:50])

        with pytest.raises(UserError, match=r"20 of 20 images .*cannot be read, such as"):
            load(data)


class TestCache:
    def test_images_are_looked_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        first = load(data)
        counts = counted(monkeypatch)
        again = load(data)

        assert counts == {"headers": 0, "decoded": 0}
        assert (again.mean, again.sides, again.skipped) == (first.mean, first.sides, first.skipped)

    @pytest.mark.parametrize("change", ["another size", "another time", "a new file"])
    def test_a_file_that_changed_is_looked_at_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        load(data)
        file = tmp_path / "data" / "class1" / "003.png"
        if change == "another size":
            file.write_bytes(b"no image")
        elif change == "another time":
            os.utime(file, (1, 1))
        else:
            shutil.copy(file, file.with_name("new.png"))
        counts = counted(monkeypatch)
        load(data, max_corrupt=0.1)

        assert counts["headers"] == 60 + (change == "a new file")

    @pytest.mark.parametrize("harm", ["removed", "cut off", "a file in its place"])
    def test_it_may_be_lost_at_any_time(self, tmp_path: Path, harm: str) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        first, cache = load(data), tmp_path / "cache"
        if harm == "cut off":
            for file in filter(Path.is_file, cache.rglob("*")):
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        else:
            shutil.rmtree(cache)
        if harm == "a file in its place":
            cache.write_text("in the way")

        assert load(data).mean == first.mean


class TestListed:
    def listed(self, data: str, **settings: Any) -> pa.Table:
        """Return what is known of each image."""
        return read_images(data, ImageSettings(**settings), 0, 8)[1]

    def test_every_image_has_a_row_that_says_its_part(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        (tmp_path / "data" / "class0" / "000.png").write_bytes(b"no image")
        settings = ImageSettings(max_corrupt=0.1)
        dataset, listed = read_images(data, settings, 0, 8)
        rows = {row["path"]: row for row in listed.to_pylist()}

        assert len(rows) == 60
        assert rows["class0/000.png"]["part"] is rows["class0/000.png"]["width"] is None
        assert rows["class2/019.png"] == {
            "path": "class2/019.png",
            "row": None,
            "class": "class2",
            "part": rows["class2/019.png"]["part"],
            "file_bytes": (tmp_path / "data" / "class2" / "019.png").stat().st_size,
            "width": 8,
            "height": 8,
            "channels": 1,
        }
        for part in ("train", "val", "test"):
            assert listed["part"].to_pylist().count(part) == len(getattr(dataset, part))

    def test_rows_of_parquet_files_are_told_by_their_numbers(self, tmp_path: Path) -> None:
        table = parquet_table([0, 1] * 10, names=["cat", "dog"])
        listed = self.listed(write_parquet(tmp_path / "data", {"a.parquet": table}))

        assert set(listed["path"].to_pylist()) == {"a.parquet"}
        assert listed["row"].to_pylist() == list(range(20))
        assert listed["class"].to_pylist() == ["cat", "dog"] * 10

    def test_names_that_are_no_utf_8_are_told_readably(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path / "data")
        odd = os.fsencode(tmp_path / "data" / "class0") + b"/caf\xe9.png"
        (tmp_path / "data" / "class0" / "000.png").rename(os.fsdecode(odd))

        assert "class0/caf\\xe9.png" in self.listed(data)["path"].to_pylist()

    def test_changes_are_told_by_number_and_example(self, tmp_path: Path) -> None:
        data = numbered_tree(tmp_path / "data", per_class=20)
        before = self.listed(data)
        folder = tmp_path / "data" / "class1"
        assert changes(before, self.listed(data)) is None

        (folder / "003.png").rename(folder / "new.png")
        (folder / "004.png").unlink()
        shutil.copy(tmp_path / "data" / "class0" / "000.png", folder / "005.png")
        (folder / "005.png").write_bytes((folder / "005.png").read_bytes() + b"more of it")
        told = changes(before, self.listed(data))

        assert told == (
            "2 are gone (such as class1/003.png), 1 are new (such as class1/new.png), "
            "1 have another size (such as class1/005.png)"
        )

    def test_digits_that_are_no_files_never_change(self) -> None:
        assert changes(self.listed("digits"), self.listed("digits")) is None
        assert np.array_equal(self.listed("digits")["row"], np.arange(1797))
