"""Which part a name says, by whole words, and what --images.parts says outright."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.part_names import part_named, part_said, parts_said
from raynas.errors import UserError


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (
            "train",
            [
                "train",
                "Training",
                "training_set",
                "train2017",
                "seg_train",
                "train_images",
                "TRAIN",
                "TrainSet",
                "trainset",
                "split=train",
                "partial-train",
                "trainA",
                "imagesTrain",
                "Training Set",
                "train-00000-of-00001.parquet",
            ],
        ),
        ("val", ["val", "valid", "Validation", "dev", "val2017", "valset", "dev-set", "VAL"]),
        (
            "test",
            [
                "test",
                "testing",
                "test0.parquet",
                "test_set",
                "Test",
                "02_test",
                "testdata",
                "XTest",
                "test.v2",
            ],
        ),
        (
            None,
            [
                "valve",
                "device",
                "contest",
                "latest",
                "trainer",
                "testament",
                "training2test",
                "train_test_split",
                "train_val",
                "cats",
                "fold1",
                "",
                "42",
                "developer",
                "set",
                "trained",
                "Testudo",
                "invalid",
                "Trainée",
                "attest",
            ],
        ),
    ],
)
def test_a_name_says_a_part_by_a_whole_word_of_one_part(part: str | None, names: list[str]) -> None:
    assert {name: part_named(name) for name in names} == dict.fromkeys(names, part)


@given(
    word=st.sampled_from(["train", "valid", "test"]),
    before=st.from_regex(r"([a-z]+[_\-. 0-9])?", fullmatch=True),
    after=st.from_regex(r"([_\-. 0-9][b-c]+)?", fullmatch=True),
)
def test_a_word_that_stands_by_itself_decides_wherever_it_stands(
    word: str, before: str, after: str
) -> None:
    if part_named(before) is None:
        assert part_named(before + word + after) == part_named(word)


def test_what_is_said_outright_is_a_part_for_each_path() -> None:
    said = parts_said("train=a/training, train=fold1/,val=fold1/b,TEST=c.parquet")

    assert said == {"a/training": "train", "fold1": "train", "fold1/b": "val", "c.parquet": "test"}
    assert part_said("a/training/cat/1.png", said) == "train"
    assert part_said("fold1/b/cat/1.png", said) == "val"
    assert part_said("c.parquet", said) == "test"
    assert part_said("a/other/cat/1.png", said) is None
    assert part_said("cat/1.png", {".": "train", "test": "test"}) == "train"
    assert part_said("test/cat/1.png", {".": "train", "test": "test"}) == "test"
    assert parts_said("train=./a/,val=.") == {"a": "train", ".": "val"}
    assert parts_said(None) is None
    assert parts_said("none") == {}


@pytest.mark.parametrize(
    "text", ["", "train", "train=", "cats=train", "train=a,test=a", "train=a,"]
)
def test_what_says_no_parts_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"--images.parts .*such as train=training_set"):
        parts_said(text)
