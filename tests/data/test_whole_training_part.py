"""Training and validation images as one part: the same images, neither copied nor decoded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.batches import Batches
from raynas.data.dataset import Dataset, EncodedImages, Images
from raynas.data.image_index import JoinedRaws
from raynas.data.joined_images import JoinedImages
from raynas.data.loading import load_dataset
from raynas.data.prefetch import Loader
from raynas.data.whole_training_part import with_whole_training_part
from raynas.seeds import Stream
from raynas.settings.images import ImageSettings
from tests.data.samples import brightness, build_dataset, numbered_tree


def pixels_of(images: Images) -> list[bytes]:
    """Return what tells images apart."""
    return [pixels.tobytes() for pixels in images.pixels]


@given(st.lists(st.integers(0, 71), max_size=90))
def test_images_are_taken_in_any_order_from_both_parts(numbers: list[int]) -> None:
    dataset = build_dataset(48)
    whole = with_whole_training_part(dataset)
    found = whole.train.take(np.array(numbers, dtype=np.int64))
    everyone = [
        *pixels_of(dataset.train.take(np.arange(48))),
        *pixels_of(dataset.val.take(np.arange(24))),
    ]

    assert len(whole.train) == 72
    assert pixels_of(found) == [everyone[number] for number in numbers]
    labels = np.concatenate([dataset.train.labels, dataset.val.labels])
    assert found.labels.tolist() == labels[numbers].tolist()


def test_nothing_is_left_to_validate_on_and_nothing_else_changes() -> None:
    dataset = build_dataset(48)
    whole = with_whole_training_part(dataset)

    assert len(whole.val) == 0
    assert (whole.test, whole.mean, whole.std) == (dataset.test, dataset.mean, dataset.std)
    assert (whole.channels, whole.resolution) == (dataset.channels, dataset.resolution)


def test_images_in_memory_are_not_copied() -> None:
    dataset = build_dataset(48)
    train = with_whole_training_part(dataset).train

    assert isinstance(train, JoinedImages)
    assert train.first is dataset.train
    assert train.second is dataset.val


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """Return images in memory, and the same ones encoded."""
    tree = numbered_tree(tmp_path_factory.mktemp("tree"))
    held, encoded = (
        load_dataset(tree, ImageSettings(in_memory=kept, loader_workers=0), 0, 8)
        for kept in ("yes", "no")
    )
    return held, encoded


def test_encoded_images_stay_encoded_and_come_out_the_same(loaded: tuple[Dataset, Dataset]) -> None:
    held, encoded = map(with_whole_training_part, loaded)
    everyone = np.arange(len(held.train))

    assert isinstance(encoded.train, EncodedImages)
    assert isinstance(encoded.train.raws, JoinedRaws)
    assert encoded.train.raws.second is loaded[1].val.raws  # type: ignore[union-attr]
    assert encoded.train.labels.tolist() == held.train.labels.tolist()
    assert brightness(encoded.train.take(everyone)) == brightness(held.train.take(everyone))


def test_batches_of_both_kinds_are_equal_and_hold_every_image_once(
    loaded: tuple[Dataset, Dataset],
) -> None:
    held, encoded = (
        Batches(with_whole_training_part(each), 6, 0, Stream.RETRAINING) for each in loaded
    )
    steps = range(len(held.train) // 6)
    found = [held(step) for step in steps]
    loader = Loader(encoded)

    for step, (pixels, labels) in zip(steps, found, strict=True):
        again = loader(step)
        assert pixels.equal(again[0])
        assert labels.equal(again[1])
    loader.close()
    seen = [int(pixel) for pixels, _ in found for pixel in pixels[:, 0, 0, 0]]
    assert len(set(seen)) == len(seen) == len(held.train)


@given(st.integers(-24, 23), st.slices(24))
def test_joined_raw_images_are_numbered_like_a_list(
    loaded: tuple[Dataset, Dataset], number: int, chosen: slice
) -> None:
    train, val = loaded[1].train, loaded[1].val
    assert isinstance(train, EncodedImages)
    assert isinstance(val, EncodedImages)
    joined = JoinedRaws(train.raws, val.raws)
    names = [raw.name for raw in joined]

    assert names == [raw.name for raw in (*train.raws, *val.raws)]
    assert len(joined) == len(names) == 24
    assert joined[number].name == names[number]
    assert [raw.name for raw in joined[chosen]] == names[chosen]
    with pytest.raises(IndexError):
        joined[24]
