"""Columns, labels and sizes of Parquet sets: what is read, by which rule, and what is refused."""

import os
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data import memory, parquet
from raynas.data.dataset import load_dataset
from raynas.data.encoded_images import RawImage, Row, Source
from raynas.data.parquet_labels import Labels, numbered
from raynas.data.sources import local_file, open_source
from raynas.data.validation import refuse_unusable
from raynas.errors import UserError
from raynas.settings.stages import ImageSettings
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
        assert list(map(local_file, images)) == [
            *(str(tmp_path / name) for name in ("data/0.png", "data/in/1.png", "2.png")),
            None,
        ]

    def test_nodes_are_asked_for_a_file_though_other_rows_hold_bytes(self, tmp_path: Path) -> None:
        picture(0, "L").save(tmp_path / "0.png")
        rows = [*ENCODED[:4], *[{"bytes": None, "path": "0.png"}] * 8]
        data = write_parquet(tmp_path, {"train.parquet": parquet_table(LABELS, rows)})
        dataset = load_dataset(data, ImageSettings(in_memory="no"), 0, 8)

        assert dataset.file_to_read == str(tmp_path / "0.png")

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


class TestSizes:
    def test_a_column_is_held_in_pieces_of_a_bounded_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [row | {"bytes": row["bytes"] + bytes(1000)} for row in ENCODED]
        table = parquet_table(LABELS, rows)
        pq.write_table(table, tmp_path / "train.parquet", use_dictionary=False)
        monkeypatch.setattr(parquet, "_PIECE", 4000)
        images = open_source(str(tmp_path)).images

        assert list(map(first_pixel, images)) == list(range(12))
        for image in images:
            assert isinstance(image.open, Row)
            assert image.open.column.nbytes < 4100

    @pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
    def test_bytes_may_be_of_any_type_of_bytes(self, tmp_path: Path, kind: pa.DataType) -> None:
        image = pa.array([*ENCODED, None], pa.struct([("bytes", kind), ("path", pa.string())]))
        pq.write_table(pa.table({"image": image, "label": [*LABELS, 0]}), tmp_path / "a.parquet")
        images = open_source(str(tmp_path)).images

        assert list(map(first_pixel, images[:12])) == list(range(12))
        with pytest.raises(ValueError, match="neither bytes nor a path"):
            images[12].open()

    def test_images_that_exceed_the_memory_are_refused_before_they_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tables = {f"{number}.parquet": parquet_table(LABELS) for number in range(2)}
        size = sum(len(row["bytes"]) for row in ENCODED)
        monkeypatch.setattr(parquet, "_read", None)
        monkeypatch.setattr(memory, "memory_bytes", lambda: 2 * size)

        assert "encoded images, which are read into memory" in refusal(tmp_path, tables)
