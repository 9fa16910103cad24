"""Which part an image serves in: the same for the same seed, none lost, none in two parts."""

from collections import Counter

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

from raynas.data.image_index import PARTS
from raynas.data.splits import keeps_val, split
from raynas.settings.images import ImageSettings

TRAIN, VAL, TEST = range(3)
UNNAMED = -1
MOST = 50

Numbers = npt.NDArray[np.int64]
SIZES = st.lists(st.integers(0, 400), min_size=1, max_size=4)
FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32)


def images(**sizes: list[int]) -> tuple[Numbers, Numbers]:
    """Return part and class of images, of which each part has so many of each class."""
    named = {"unnamed": UNNAMED, "train": TRAIN, "val": VAL, "test": TEST}
    rows = [
        (named[part], label)
        for part, counts in sizes.items()
        for label, count in enumerate(counts)
        for _ in range(count)
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return columns[0], columns[1]


def cut(
    named: Numbers, labels: Numbers, val_fraction: float = 0.15, seed: int = 0
) -> dict[str, Numbers]:
    """Return the parts as a run has them."""
    settings = ImageSettings(val_fraction=val_fraction)
    return split(named, labels, settings, seed, kept=keeps_val(named))


def old_rule(named: Numbers, labels: Numbers, seed: int) -> dict[str, Numbers]:
    """Return the parts as data with a test part, or without any part, have always had them."""
    return split(named, labels, ImageSettings(), seed)


@given(st.fixed_dictionaries(dict.fromkeys(("unnamed", "train", "val", "test"), SIZES)), SEEDS)
def test_every_image_is_in_exactly_one_part(sizes: dict[str, list[int]], seed: int) -> None:
    named, labels = images(**sizes)
    parts = cut(named, labels, seed=seed)

    found = np.concatenate([parts[part] for part in PARTS])
    assert sorted(found.tolist()) == list(range(len(named)))


@given(SIZES.filter(any), SIZES, FRACTIONS, SEEDS)
@example([1300, 1300], [50, 50], 0.15, 0)  # two classes of ImageNet
def test_a_validation_part_alone_is_the_test_and_a_share_of_at_most_50_a_class_is_chosen_on(
    val: list[int], train: list[int], fraction: float, seed: int
) -> None:
    named, labels = images(train=train, val=val)
    parts = cut(named, labels, fraction, seed)

    assert np.array_equal(parts["test"], np.flatnonzero(named == VAL))
    chosen_on = Counter(labels[parts["val"]].tolist())
    for label, size in enumerate(train):
        share = max(round(fraction * size), 1)
        assert chosen_on[label] == max(min(share, size - 1, MOST), 0)


def test_imagenet_leaves_50_000_images_to_choose_on() -> None:
    named, labels = images(train=[1281] * 1000, val=[50] * 1000)
    parts = cut(named, labels)

    assert [len(parts[part]) for part in PARTS] == [1_231_000, 50_000, 50_000]


@given(
    st.sampled_from([("train", "val", "test"), ("train", "test"), ("train",), ("unnamed",)]),
    st.lists(st.integers(1, 600), min_size=1, max_size=4),
    SEEDS,
)
@example(("unnamed",), [600], 0)
@example(("train", "test"), [600], 0)
def test_other_data_are_cut_as_ever_also_beyond_50_images_a_class(
    given_parts: tuple[str, ...], sizes: list[int], seed: int
) -> None:
    named, labels = images(**dict.fromkeys(given_parts, sizes))
    parts, before = cut(named, labels, seed=seed), old_rule(named, labels, seed)

    assert not keeps_val(named)
    for part in PARTS:
        assert np.array_equal(parts[part], before[part])
    if given_parts == ("train", "test"):
        wanted = [max(min(max(round(0.15 * size), 1), size - 1), 0) for size in sizes]
        assert np.bincount(labels[parts["val"]], minlength=len(sizes)).tolist() == wanted


@given(SIZES.filter(any), st.lists(st.integers(2, 200), min_size=1, max_size=3), SEEDS)
def test_the_seed_alone_decides_what_is_chosen_on(
    val: list[int], train: list[int], seed: int
) -> None:
    named, labels = images(train=train, val=val)

    first, again = (cut(named, labels, seed=seed)["val"] for _ in range(2))
    assert np.array_equal(first, again)


def test_another_seed_chooses_on_other_images() -> None:
    named, labels = images(train=[200, 200], val=[20, 20])

    first, second = (cut(named, labels, seed=seed)["val"] for seed in (1, 2))
    assert not np.array_equal(first, second)
