"""Columns, labels and sizes of Parquet sets: what is read, by which rule, and what is refused."""

import os
import pickle
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data import parquet_rows, unpacked_rows
from raynas.data.encoded_images import RawImage
from raynas.data.file_opening import local_file
from raynas.data.image_index import Source
from raynas.data.loading import load_dataset
from raynas.data.parquet_labels import Labels, numbered
from raynas.data.sources import open_source
from raynas.data.validation import refuse_unusable
from raynas.errors import UserError
from raynas.settings.images import ImageSettings
from raynas.storage.retry import StorageError
from tests.data.samples import encoded, parquet_table, picture, write_parquet

ENCODED = [{"bytes": encoded(picture(number, "L")), "path": None} for number in range(12)]
MASKS = [{"bytes": encoded(picture(255, "L")), "path": None} for _ in range(12)]
LABELS = [0, 1] * 6
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def source_of(root: Path, columns: dict[str, Any]) -> Source:
    """Return what is read of a single file."""
    return open_source(write_parquet(root, {"images.parquet": pa.table(columns)}))


def refusal(root: Path, tables: dict[str, pa.Table]) -> str:
    """Return the sentence with which files are refused."""
    with pytest.raises(UserError) as caught:
        open_source(write_parquet(root, tables))
    return str(caught.value)


def first_pixel(image: RawImage) -> Any:
    """Return which of the numbered pictures an image is."""
    return image.open().getpixel((0, 0))


class TestColumns:
    @pytest.mark.parametrize("name", ["image", "img", "Image"])
    def test_the_column_called_image_wins_over_others_of_images(
        self, tmp_path: Path, name: str
    ) -> None:
        source = source_of(tmp_path, {"mask": MASKS, name: ENCODED, "label": LABELS})

        assert list(map(first_pixel, source.images)) == list(range(12))

    def test_the_only_column_of_images_may_be_called_as_it_likes(self, tmp_path: Path) -> None:
        columns = {"about": [{"width": 8}] * 12, "photo": ENCODED, "Label": LABELS}

        assert first_pixel(source_of(tmp_path, columns).images[7]) == 7

    def test_image_wins_even_where_it_has_paths_alone(self, tmp_path: Path) -> None:
        paths = [{"path": f"{number}.png"} for number in range(12)]
        source = source_of(tmp_path, {"mask": MASKS, "image": paths, "label": LABELS})

        with pytest.raises(FileNotFoundError, match=r"no bytes, and there is no file 0\.png"):
            source.images[0].open()

    @pytest.mark.parametrize(
        ("columns", "said"),
        [
            ({"left": ENCODED, "right": MASKS}, "left or right; wanted one"),
            ({"mask": MASKS, "image": [row["bytes"] for row in ENCODED]}, "a struct with bytes"),
            ({"mask": [{"bytes": 7}] * 12}, "a struct with bytes"),
        ],
    )
    def test_images_that_may_be_several_things_are_refused(
        self, tmp_path: Path, columns: dict[str, Any], said: str
    ) -> None:
        table = pa.table(columns | {"label": LABELS})

        assert said in refusal(tmp_path, {"images.parquet": table})

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path) -> None:
        table = pa.Table.from_arrays(
            [pa.array(MASKS, IMAGE), pa.array(ENCODED, IMAGE), pa.array(LABELS)],
            names=["image", "image", "label"],
        )

        assert "several columns image" in refusal(tmp_path, {"images.parquet": table})


class TestLabels:
    @given(st.lists(st.integers(0, 2**62), min_size=1))
    def test_integers_are_ids_of_which_each_is_a_class(self, ids: list[int]) -> None:
        numbers, names = numbered("", [Labels("a", ids, ())])

        assert len(names) == len(set(ids))
        assert [int(names[number]) for number in numbers] == ids
        assert list(map(int, names)) == sorted(set(ids))

    @given(st.data())
    def test_names_that_differ_between_files_tell_which_classes_are_the_same(
        self, data: st.DataObject
    ) -> None:
        lists = data.draw(
            st.lists(st.lists(st.sampled_from("abcde"), min_size=1, unique=True), min_size=1)
        )
        labels = [
            Labels(
                str(file),
                data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1)),
                (*names,),
            )
            for file, names in enumerate(lists)
        ]
        numbers, names = numbered("", labels)
        meant = chain.from_iterable([each.names[v] for v in each.values] for each in labels)

        assert [names[number] for number in numbers] == list(meant)
        assert names[: len(lists[0])] == labels[0].names
        assert len(names) == len(set(chain.from_iterable(lists)))

    def test_texts_and_named_integers_are_matched(self, tmp_path: Path) -> None:
        tables = {
            "test.parquet": parquet_table([1, 0], names=["dog", "cat"]),
            "train.parquet": parquet_table(["cat", "emu"]),
        }
        source = open_source(write_parquet(tmp_path, tables))

        assert source.class_names == ("dog", "cat", "emu")
        assert [image.label for image in source.images] == [1, 0, 1, 2]

    def test_integers_without_names_beside_named_ones_are_refused(self, tmp_path: Path) -> None:
        tables = {
            "test.parquet": parquet_table([0, 1]),
            "train.parquet": parquet_table([0, 1], names=["cat", "dog"]),
        }

        assert "test.parquet has integers without names" in refusal(tmp_path, tables)

    def test_one_name_of_two_classes_is_said_to_be_in_the_metadata(self, tmp_path: Path) -> None:
        crane = {"a.parquet": parquet_table([0, 1], names=["crane", "crane"])}

        with pytest.raises(UserError, match=r"metadata call two classes crane, .* labels 0 and 1"):
            refuse_unusable("", open_source(write_parquet(tmp_path, crane)))

    def test_one_name_of_two_classes_tells_nothing_where_files_differ(self, tmp_path: Path) -> None:
        crane = parquet_table([0, 1], names=["crane", "crane"])
        assert open_source(
            write_parquet(tmp_path, {"a.parquet": crane, "b.parquet": crane})
        ).class_names == ("crane", "crane")

        others = {"b.parquet": parquet_table([0, 1], names=["crane", "dog"])}
        assert "calls 2 classes crane" in refusal(tmp_path, others)

    @pytest.mark.parametrize(
        "described",
        [
            '{"info": null}',
            '{"info": {"features": null}}',
            "[]",
            "null",
            "{",
            "\xff",
            '{"info": {"features": {"label": {"names": null}}}}',
        ],
    )
    def test_metadata_that_name_no_classes_leave_the_ids(
        self, tmp_path: Path, described: str
    ) -> None:
        table = parquet_table([3, 5]).replace_schema_metadata(
            {"huggingface": described.encode("latin-1")}
        )

        assert open_source(write_parquet(tmp_path, {"a.parquet": table})).class_names == ("3", "5")

    @pytest.mark.parametrize(
        "kind",
        [
            pa.string_view(),
            pa.large_string(),
            pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int8(), pa.large_string()),
        ],
        ids=str,
    )
    def test_texts_may_be_of_any_type_of_text(self, tmp_path: Path, kind: pa.DataType) -> None:
        label = pa.array(["dog", "cat"] * 6).cast(kind)
        source = source_of(tmp_path, {"image": ENCODED, "label": label})

        assert source.class_names == ("cat", "dog")
        assert [image.label for image in source.images] == [1, 0] * 6

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            (-1, "images.parquet row 7 has label -1"),
            (None, "images.parquet row 7 has an empty label"),
            (2, "images.parquet row 7 has label 2; wanted 0 to 1"),
        ],
    )
    def test_a_label_of_no_class_is_named_by_its_row(
        self, tmp_path: Path, label: int | None, said: str
    ) -> None:
        table = parquet_table([0, 1, 0, 1, 0, 1, 0, label], names=["cat", "dog"])

        assert said in refusal(tmp_path, {"images.parquet": table})

    def test_an_empty_text_is_no_class(self, tmp_path: Path) -> None:
        assert "row 1 has an empty label" in refusal(
            tmp_path, {"images.parquet": parquet_table(["cat", ""])}
        )


class TestRowsWithoutBytes:
    def test_a_path_is_read_from_the_parquet_file_on(self, tmp_path: Path) -> None:
        for number, name in enumerate(["data/0.png", "data/in/1.png", "2.png"]):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            picture(number, "L").save(tmp_path / name)
        rows = [
            {"bytes": None, "path": "0.png"},
            {"bytes": b"", "path": "in/1.png"},
            {"bytes": None, "path": "../2.png"},
            ENCODED[3],
        ]
        data = write_parquet(tmp_path, {"data/train.parquet": parquet_table(LABELS[:4], rows)})
        images = open_source(data).images

        assert list(map(first_pixel, images)) == [0, 1, 2, 3]

    def test_nodes_are_asked_for_the_parquet_file_that_they_will_read(self, tmp_path: Path) -> None:
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS)})
        streamed, held = (
            load_dataset(data, ImageSettings(in_memory=kept), 0, 8) for kept in ("no", "yes")
        )

        assert local_file(open_source(data).images[5]) == str(tmp_path / "train.parquet")
        assert streamed.file_to_read == str(tmp_path / "train.parquet")
        assert held.file_to_read is None

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"bytes": None, "path": "a.png"}, "no bytes, and there is no file a.png beside"),
            ({"bytes": b"", "path": None}, "neither bytes nor a path"),
            ({"bytes": None, "path": ""}, "neither bytes nor a path"),
            ({"bytes": None, "path": None}, "neither bytes nor a path"),
            ({"bytes": None, "path": "/etc/hostname"}, "none below --data"),
            ({"bytes": None, "path": "x/../../a.png"}, "none below --data"),
        ],
    )
    def test_what_cannot_be_found_is_an_image_that_cannot_be_read(
        self, tmp_path: Path, row: Any, said: str
    ) -> None:
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS, [row] * 12)})

        with pytest.raises(UserError, match=rf"12 of 12 images cannot be read, .*{said}"):
            load_dataset(data, ImageSettings(), 0, 8)

    def test_some_of_them_are_skipped_and_named(self, tmp_path: Path) -> None:
        rows = [*ENCODED[:11], {"bytes": None, "path": "gone.png"}]
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS, rows)})
        dataset = load_dataset(data, ImageSettings(max_corrupt=0.1), 0, 8)

        assert dataset.skipped == ("train.parquet row 11",)


def test_the_name_of_a_file_may_be_no_utf_8(tmp_path: Path) -> None:
    write_parquet(tmp_path, {"a.parquet": parquet_table(LABELS)})
    odd = os.fsencode(tmp_path) + b"/caf\xe9.parquet"
    (tmp_path / "a.parquet").rename(os.fsdecode(odd))

    for data in (str(tmp_path), os.fsdecode(odd)):
        assert open_source(data).images[3].name == "caf\\xe9.parquet row 3"


class TestUnpackedRows:
    def large_group(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Write a file of one group of rows, which is read in several pieces."""
        rows = [row | {"bytes": row["bytes"] + bytes(1000)} for row in ENCODED]
        pq.write_table(parquet_table(LABELS, rows), root / "train.parquet", use_dictionary=False)
        monkeypatch.setattr(parquet_rows, "_PIECE", 4000)
        return str(root)

    def test_a_row_is_read_without_its_neighbours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = open_source(self.large_group(tmp_path, monkeypatch)).images
        first_pixel(images[3])  # unpacks
        (tmp_path / "train.parquet").write_bytes(b"")

        assert list(map(first_pixel, images)) == list(range(12))

    def test_an_opener_is_small_and_works_in_another_process(self, tmp_path: Path) -> None:
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS)})
        sent = pickle.dumps(open_source(data).images[7].open)

        assert len(sent) < 700
        assert pickle.loads(sent)().getpixel((0, 0)) == 7  # noqa: S301

    def test_a_cache_that_was_removed_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "cache"))
        images = open_source(self.large_group(tmp_path, monkeypatch)).images
        first_pixel(images[3])
        unpacked_rows._opened.cache_clear()
        shutil.rmtree(tmp_path / "cache")

        assert first_pixel(images[3]) == 3

    def test_a_row_is_read_to_its_end_though_other_threads_drop_its_open_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where two threads open the file at once, of which the cache keeps one."""
        images = open_source(self.large_group(tmp_path, monkeypatch)).images
        monkeypatch.setattr(unpacked_rows, "_opened", lambda path: path.open("rb"))

        assert list(map(first_pixel, images)) == list(range(12))

    def test_a_file_that_was_written_again_is_unpacked_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = self.large_group(tmp_path, monkeypatch)
        first_pixel(open_source(data).images[3])
        write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS, ENCODED[::-1])})

        assert first_pixel(open_source(data).images[3]) == 8

    @pytest.mark.parametrize("why", ["full", "not writable", "fills up"])
    def test_a_cache_without_room_costs_time_and_a_warning_but_no_image(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        why: str,
    ) -> None:
        cache = tmp_path / "cache"
        monkeypatch.setenv("RAYNAS_CACHE", str(cache))
        images = open_source(self.large_group(tmp_path, monkeypatch)).images
        if why == "full":
            monkeypatch.setattr(unpacked_rows, "_RESERVE", 1.0)
        elif why == "not writable":
            cache.write_text("a file where the folder would be")
        else:
            monkeypatch.setattr(unpacked_rows, "_put", failing_put)

        assert list(map(first_pixel, images)) == list(range(12))
        (record,) = caplog.records
        assert "free some space, or name another folder by --images.cache" in record.getMessage()
        assert cache.is_file() or not [each for each in cache.rglob("*") if each.is_file()]

    def test_a_file_that_is_cut_off_costs_its_last_rows_alone(self, tmp_path: Path) -> None:
        """Its end, which tells where groups lie, is there; a group in it is not."""
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS)})
        images = open_source(data).images
        path = tmp_path / "train.parquet"
        content = path.read_bytes()
        half = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
        assert half
        path.write_bytes(content[:half] + bytes(len(content) - half - 2000) + content[-2000:])

        assert [first_pixel(image) for image in images[:8]] == list(range(8))
        with pytest.raises(Exception, match=r".") as caught:
            images[9].open()
        assert not isinstance(caught.value, StorageError)

    @pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
    def test_bytes_may_be_of_any_type_of_bytes(self, tmp_path: Path, kind: pa.DataType) -> None:
        image = pa.array([*ENCODED, None], pa.struct([("bytes", kind), ("path", pa.string())]))
        pq.write_table(pa.table({"image": image, "label": [*LABELS, 0]}), tmp_path / "a.parquet")
        images = open_source(str(tmp_path)).images

        assert list(map(first_pixel, images[:12])) == list(range(12))
        with pytest.raises(ValueError, match="neither bytes nor a path"):
            images[12].open()


def failing_put(file: Any, content: bytes) -> None:
    """Fail as a disk does that is full."""
    del file, content
    raise unpacked_rows.NoRoomError("No space left on device")
