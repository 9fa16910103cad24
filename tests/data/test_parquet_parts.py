"""Parts of Parquet sets: rows that say that they are of the test part never train."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.parquet_parts import part_of_file, parts_of_rows
from raynas.data.part_names import part_named, parts_named
from raynas.data.sources import open_source
from raynas.errors import UserError
from tests.data.samples import parquet_table, write_parquet

NAMES = ["train", "val0", "test", "data", "train_test_split", "Test-0", "split=test", "latest"]


def table(*columns: tuple[str, Any]) -> pa.Table:
    """Return six rows with some more columns."""
    rows = parquet_table([0, 1, 2] * 2)
    for name, values in columns:
        rows = rows.append_column(name, values if isinstance(values, pa.Array) else [values])
    return rows


def counts(data: str) -> dict[str | None, int]:
    """Return the number of images by part."""
    return dict(Counter(image.split for image in open_source(data).images))


def refusal(data: str) -> str:
    """Return the sentence with which data are refused."""
    with pytest.raises(UserError, match=f"^data {data}: ") as caught:
        open_source(data)
    return str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        ["split=train/part-0.parquet", "split=test/part-0.parquet"],
        ["train0.parquet", "test0.parquet"],
        ["train_test_split/train-0.parquet", "train_test_split/test-0.parquet"],
        ["partial-train/0000.parquet", "partial-test/0000.parquet"],
        ["data/TrainSet.parquet", "data/TestSet.parquet"],
    ],
)
def test_the_names_of_folders_and_files_say_parts_by_whole_words(
    tmp_path: Path, files: list[str]
) -> None:
    data = write_parquet(tmp_path, dict.fromkeys(files, table()))

    assert counts(data) == {"train": 6, "test": 6}


@pytest.mark.parametrize("file", ["latest.parquet", "contest/0.parquet", "trainval.parquet"])
def test_words_that_hold_the_name_of_a_part_say_none(tmp_path: Path, file: str) -> None:
    assert counts(write_parquet(tmp_path, {file: table()})) == {None: 6}


@pytest.mark.parametrize(
    "file",
    [
        "test/train-0.parquet",
        "train/test.parquet",
        "train_test.parquet",
        "val/testing/0.parquet",
        "train_test_split/0.parquet",
        "split=test/train.parquet",
    ],
)
def test_names_that_say_two_parts_are_refused_unless_a_person_says_which(
    tmp_path: Path, file: str
) -> None:
    data = write_parquet(tmp_path, {file: table()})

    assert f"{file} is of " in (sentence := refusal(data))
    assert "--images.parts" in sentence
    assert part_of_file(data, file, {file: "test"}) == "test"


def test_what_a_person_says_takes_the_place_of_names(tmp_path: Path) -> None:
    files = ["train_test/0.parquet", "new/test.parquet", "new/b.parquet", "extra.parquet"]
    data = write_parquet(tmp_path, dict.fromkeys(files, table()))
    source = open_source(data, "test=train_test,train=new,val=new/b.parquet")
    parts = {image.name.partition(" row")[0]: image.split for image in source.images}

    assert parts == {
        "train_test/0.parquet": "test",
        "new/test.parquet": "train",
        "new/b.parquet": "val",
    }
    assert source.passed_over == ("extra.parquet (outside of the parts)",)
    assert {image.split for image in open_source(data, "none").images} == {None}
    with pytest.raises(UserError, match="says old, but no Parquet file lies there"):
        open_source(data, "train=old")


def test_nobody_can_say_a_row_of_the_test_part_into_training(tmp_path: Path) -> None:
    rows = table(("split", pa.array(["train", "test"] * 3)))
    data = write_parquet(tmp_path, {"a.parquet": rows})

    assert {image.split for image in open_source(data, "none").images} == {"train", "test"}
    with pytest.raises(UserError, match="row 1 is of the test part by its column split"):
        open_source(data, "train=a.parquet")


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_a_file_below_a_name_of_the_test_part_is_of_that_part_or_refused(names: list[str]) -> None:
    said = {*map(part_named, names)} - {None}
    try:
        part = part_of_file("", "/".join(names) + ".parquet", None)
    except UserError:
        assert len(said) != 1 or "train_test_split" in names
    else:
        assert said <= {part}
        assert part is not None or not any(map(parts_named, names))


def test_a_file_of_no_part_beside_training_files_is_refused(tmp_path: Path) -> None:
    data = write_parquet(tmp_path, {"train.parquet": table(), "holdout.parquet": table()})

    assert "nothing says the part of holdout.parquet row 0" in refusal(data)


def test_a_file_of_no_part_beside_test_files_is_trained_on(tmp_path: Path) -> None:
    data = write_parquet(tmp_path, {"all.parquet": table(), "test.parquet": table()})

    assert counts(data) == {None: 6, "test": 6}


@pytest.mark.parametrize("file", ["train-00000-of-00001.parquet", "images.parquet"])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", ["train", "test"] * 3),
        ("Split", ["TRAIN", "Testing"] * 3),
        ("subset", ["training_set", "test_set"] * 3),
        ("Usage", ["Training", "PublicTest"] * 3),
        ("data_split", ["train", "test"] * 3),
        ("train_or_test", ["train", "test"] * 3),
        ("dataset", ["train", "test"] * 3),
        ("type", ["Train", "public test"] * 3),
        ("origin", ["train2017", "test2017"] * 3),
    ],
)
def test_a_column_says_the_part_of_each_row(
    tmp_path: Path, file: str, column: str, values: list[str]
) -> None:
    """A set that was not split is mostly called train, so that name gives way."""
    data = write_parquet(tmp_path, {file: table((column, pa.array(values)))})

    assert [image.split for image in open_source(data).images] == ["train", "test"] * 3


def test_a_column_of_numbers_says_parts_by_its_names(tmp_path: Path) -> None:
    described = b'{"info": {"features": {"split": {"names": ["train", "test"]}}}}'
    rows = table(("split", pa.array([0, 1] * 3)))
    rows = rows.replace_schema_metadata({"huggingface": described})

    assert counts(write_parquet(tmp_path, {"a.parquet": rows})) == {"train": 3, "test": 3}


def test_a_column_of_numbers_may_say_parts_by_its_names_alone(tmp_path: Path) -> None:
    described = b'{"info": {"features": {"source": {"names": ["train", "test"]}}}}'
    rows = table(("source", pa.array([0, 1] * 3)))
    rows = rows.replace_schema_metadata({"huggingface": described})

    assert counts(write_parquet(tmp_path, {"a.parquet": rows})) == {"train": 3, "test": 3}


@pytest.mark.parametrize(("value", "said"), [(-1, "'-1'"), (2, "'2'"), (None, "None")])
def test_a_number_that_names_no_part_is_refused(
    tmp_path: Path, value: int | None, said: str
) -> None:
    described = b'{"info": {"features": {"split": {"names": ["train", "test"]}}}}'
    rows = table(("split", pa.array([0, value] * 3)))
    rows = rows.replace_schema_metadata({"huggingface": described})

    assert f"row 1 has the split {said}; wanted train" in refusal(
        write_parquet(tmp_path, {"a.parquet": rows})
    )


def test_a_number_that_stands_for_yes_or_no_is_refused(tmp_path: Path) -> None:
    described = b'{"info": {"features": {"is_test": {"names": ["no", "yes"]}}}}'
    rows = table(("is_test", pa.array([0, 1] * 3)))
    rows = rows.replace_schema_metadata({"huggingface": described})

    assert "the column is_test of no and yes; wanted one called split" in refusal(
        write_parquet(tmp_path, {"a.parquet": rows})
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("label_text", ["train", "test"]),  # of classes that are called so
        ("about", ["train", "a bird"]),
        ("vehicle", ["freight train", "test tube"]),
        ("note", ["", None]),
        ("a.note", [b"caf\xe9", b"train"]),  # no UTF-8
        ("test_score", ["3", "4"]),
        ("val_loss", [0.5, 1.0]),
        ("test_count", [0, 1]),
    ],
)
def test_columns_of_other_words_say_nothing(tmp_path: Path, column: str, values: list[Any]) -> None:
    cells = pa.array(values * 3)
    rows = table((column, cells.view(pa.string()) if cells.type == pa.binary() else cells))

    assert counts(write_parquet(tmp_path, {"a.parquet": rows})) == {None: 6}


def test_classes_may_be_called_like_parts(tmp_path: Path) -> None:
    rows = parquet_table(["train", "test"] * 3)
    source = open_source(write_parquet(tmp_path, {"a.parquet": rows}))

    assert source.class_names == ("test", "train")
    assert {image.split for image in source.images} == {None}


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_a_column_of_parts_may_be_of_any_type_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    rows = table(("split", pa.array(["train", "val"] * 3).cast(kind)))

    assert counts(write_parquet(tmp_path, {"a.parquet": rows})) == {"train": 3, "val": 3}


@pytest.mark.parametrize(
    ("file", "column", "values", "said"),
    [
        ("a.parquet", "split", ["train", "test", "extra"], "row 2 has the split 'extra'"),
        ("a.parquet", "split", ["train", "test", None], "row 2 has the split None"),
        ("a.parquet", "split", ["train+test"] * 3, "row 0 has the split 'train+test'"),
        ("a.parquet", "split", ["a", "b", "c"], "row 0 has the split 'a'"),
        ("a.parquet", "subset", ["train", "birds", "test"], "row 1 has the subset 'birds'"),
        ("a.parquet", "split", [0, 1, 1], "the column split of int64; wanted one called split"),
        ("a.parquet", "split", [["a"]] * 3, "the column split of list"),
        ("a.parquet", "is_test", [True, False, True], "the column is_test of bool"),
        ("a.parquet", "is_train", [0, 1, 1], "the column is_train of int64"),
        ("a.parquet", "test", [0, 1, 1], "the column test of int64"),
        ("a.parquet", "IsTest", [0.0, 1.0, None], "the column IsTest of double"),
        ("a.parquet", "is_valid", ["True", "False", None], "is_valid of False and True; wanted"),
        ("a.parquet", "is_test", ["0", "1", "1"], "the column is_test of 0 and 1; wanted one"),
        ("a.parquet", "testset", ["yes", "no", "no"], "the column testset of no and yes"),
        ("a.parquet", "dataset", ["train", "test", None], "row 2 has the dataset None"),
        ("test.parquet", "type", ["test", "train", "test"], "row 1 is of the train part by its "),
        ("test.parquet", "split", ["test", "train", "test"], "row 1 is of the train part by its "),
        ("val.parquet", "split", ["val", "val", "test"], "row 2 is of the test part by its col"),
    ],
)
def test_rows_of_which_a_column_leaves_the_part_open_are_refused(
    tmp_path: Path, file: str, column: str, values: list[Any], said: str
) -> None:
    rows = table((column, pa.array(values * 2)))

    assert said in refusal(write_parquet(tmp_path, {file: rows}))


def test_a_column_of_other_sets_says_nothing(tmp_path: Path) -> None:
    rows = table(("subset", pa.array(["birds", "dogs"] * 3)), ("set", pa.array([1, 2] * 3)))

    assert counts(write_parquet(tmp_path, {"a.parquet": rows})) == {None: 6}


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = table(("split", pa.array(["train"] * 6)), ("usage", pa.array(["train", "test"] * 3)))

    assert "row 1 is of the test part by its column usage" in refusal(
        write_parquet(tmp_path, {"a.parquet": rows})
    )


@given(
    by_name=st.sampled_from([None, "train", "val", "test"]),
    columns=st.dictionaries(
        st.sampled_from(["split", "usage", "set"]),
        st.lists(
            st.sampled_from(["train", "Test0", "validation", "x", None]), min_size=4, max_size=4
        ),
    ),
    is_said=st.booleans(),
)
def test_no_row_that_says_test_anywhere_is_of_another_part(
    by_name: Any, columns: dict[str, list[str | None]], is_said: bool
) -> None:
    try:
        parts = parts_of_rows("", "a.parquet", [by_name] * 4, columns, is_said=is_said)
    except UserError:
        return
    for row, part in enumerate(parts):
        said = {by_name, *(part_named(values[row] or "") for values in columns.values())}
        if "test" in said:
            assert part == "test"
