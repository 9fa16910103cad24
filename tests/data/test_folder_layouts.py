"""Which folders are parts and which are classes, told by paths alone."""

import re
import shlex
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.folder_layouts import Layout, layout_of
from raynas.errors import UserError

ANIMALS = ("cat", "dog", "eel")


def paths(*folders: str, inner: Sequence[str] = ANIMALS) -> list[str]:
    """Return two images in each of some folders of each of those folders."""
    return [f"{top}/{name}/{n}.png" for top in folders for name in inner or [""] for n in (1, 2)]


def flat(*folders: str) -> list[str]:
    """Return two images in each folder."""
    return [f"{folder}/{n}.png" for folder in folders for n in (1, 2)]


def layout(images: Sequence[str], said: str | None = None) -> Layout:
    """Return the layout of a tree."""
    return layout_of("DIR", images, said)


NAMES = st.sampled_from(("{}", "{}ing", "{}_set", "my-{}", "{}2024"))
CLASSES: Layout = {".": None}


@pytest.mark.parametrize(
    ("images", "wanted"),
    [
        (paths("train", "val", "test"), {"train": "train", "val": "val", "test": "test"}),
        (paths("training_set", "test_set"), {"training_set": "train", "test_set": "test"}),
        (paths("train2017", "val2017"), {"train2017": "train", "val2017": "val"}),
        (paths("TrainImages", "DevImages"), {"TrainImages": "train", "DevImages": "val"}),
        (paths("trainset", "testset"), {"trainset": "train", "testset": "test"}),
        (
            paths("seg_train/seg_train", "seg_test/seg_test"),
            {"seg_train/seg_train": "train", "seg_test/seg_test": "test"},
        ),
        (
            paths("train/train_images", "test"),
            {"train/train_images": "train", "test": "test"},
        ),
        (paths("train_set"), {"train_set": "train"}),
        (  # a class that is rare need not be in all of them
            [*paths("my train"), *paths("my test", inner=["cat", "eel"])],
            {"my train": "train", "my test": "test"},
        ),
        (
            [*paths("train_images"), *flat("test_images")],  # these have no labels: refused later
            {"train_images": "train", "test_images": "test"},
        ),
        (flat("train_images", "test_images"), {"train_images": "train", "test_images": "test"}),
    ],
)
def test_folders_that_are_called_like_parts_and_hold_the_same_folders_are_parts(
    images: list[str], wanted: Layout
) -> None:
    assert layout(images) == wanted


@pytest.mark.parametrize(
    "images",
    [
        flat("cat", "dog"),
        paths("cat", "dog", inner=["indoors"]),
        paths("cat", "dog", inner=["indoors", "outdoors"]),
        paths("valve", "device", inner=["new", "old"]),
        paths("1", "2", inner=["a", "b"]),
        flat("freight_train", "passenger_train"),
        flat("train", "steam_train"),
        flat("train", "car"),
        flat("dev", "test"),
        flat("test_tube", "flask"),
        [*paths("test_tube", inner=["new"]), *paths("flask", inner=["old"])],
        [*paths("train_ticket", inner=["a"]), *paths("freight_train", inner=["b"])],
        [*paths("cat", inner=["train", "test"]), *flat("dog", "eel")],
        flat("fold1", "fold2"),
        flat("set1", "set2"),
    ],
)
def test_folders_of_other_names_and_those_that_have_nothing_in_common_are_classes(
    images: list[str],
) -> None:
    assert layout(images) == CLASSES


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            paths("fold1", "fold2", "fold3"),
            "train=fold1,train=fold2,test=fold3, or --images.parts none if each is a class",
        ),
        (paths("fold1/fold1", "fold2/fold2"), "train=fold1,test=fold2"),
        (paths("batch_a", "batch_b", "extra"), "train=batch_a,test=batch_b"),
        (paths("freight_train", "passenger_train"), "may be parts or classes"),
        (paths("trainval", "test"), "--images.parts train=trainval,test=test"),
        (paths("train_val", "holdout", "my_test"), "may be parts or classes"),
        (paths("train_set", "masks"), "train=train_set,test=masks"),
        ([*paths("train"), *flat("masks")], "masks lies beside train/"),
        (
            [*paths("train_a", "test_a"), *flat("masks")],
            "neither train, val nor test, or say --images.parts train=train_a,test=test_a",
        ),
        (flat("train_images", "test_images", "masks"), "--images.parts none if each is a class"),
        ([*paths("train"), "logo.png"], "logo.png lies beside train/"),
        (
            [*paths("test"), *flat("cat", "dog")],
            "(cat, dog); move those into train/, or say --images.parts train=.,test=test",
        ),
        (
            paths("cat", "dog", inner=["train", "test"]),
            "cat/ and others hold parts (test, train); wanted train/cat",
        ),
        (
            [*paths("cat", "dog", inner=["train", "test"]), *flat("ant")],
            "cat/ and others hold parts (test, train); wanted train/cat",
        ),
        (
            [*paths("cat", "dog", inner=["train", "val"]), *flat("cat", "dog")],
            "cat/ and others hold parts (train, val)",
        ),
        (
            [*paths("train_images"), *paths("test_images", inner=["unknown"])],
            "such as --images.parts train=train_images to leave the others out",
        ),
        (
            [*paths("training_set", inner=["cats"]), *paths("test_set", inner=["Cats"])],
            "names differ in upper and lower case only (Cats, cats); rename those",
        ),
        (paths("fold 1", "fold$2"), "--images.parts 'train=fold 1,test=fold$2', or"),
        (
            [*paths("my test"), *flat("cat", "dog")],
            "say --images.parts 'train=.,test=my test'",
        ),
    ],
)
def test_folders_that_may_be_parts_or_classes_are_refused_with_the_way_out(
    images: list[str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        layout(images)

    assert words in str(caught.value)
    for flag in re.findall(r"--images.parts ('.+?'|[^\s,]\S*?)(?:,? |$)", str(caught.value)):
        assert layout(images, *shlex.split(flag))  # is a way out


def test_a_folder_that_the_flag_cannot_name_is_to_be_renamed() -> None:
    with pytest.raises(UserError) as caught:
        layout(paths("fold a,b", " fold c"))

    assert (
        "--images.parts 'train=fold c,test=fold a_b' "
        "(rename ' fold c' to fold c and 'fold a,b' to fold a_b), or" in str(caught.value)
    )


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "train=fold1,train=fold2,test=fold3",
            {"fold1": "train", "fold2": "train", "fold3": "test"},
        ),
        ("train=fold1", {"fold1": "train"}),
        ("train=.,test=fold3", {".": "train", "fold3": "test"}),
        ("none", CLASSES),
    ],
)
def test_what_a_person_says_wins_over_all_names(said: str, wanted: Layout) -> None:
    assert layout(paths("fold1", "fold2", "fold3"), said) == wanted


def test_a_folder_that_is_said_and_holds_no_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"says tset, but no images lie there; its folders .* a, b"):
        layout(paths("a", "b"), "train=a,test=tset")


@given(
    names=st.tuples(NAMES, NAMES),
    wrapped=st.booleans(),
    inner=st.sets(st.text("abc", min_size=1, max_size=2), min_size=2, max_size=4),
)
def test_parts_hold_the_same_classes_whatever_they_are_called(
    names: tuple[str, str], wrapped: bool, inner: set[str]
) -> None:
    train, test = names[0].format("train"), names[1].format("test")
    places = [f"{name}/{name}" if wrapped else name for name in (train, test)]

    assert layout(paths(*places, inner=sorted(inner))) == {places[0]: "train", places[1]: "test"}
