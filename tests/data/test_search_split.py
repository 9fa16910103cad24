"""The training images in halves: disjoint, complete, and alike in their classes."""

from pathlib import Path

import numpy as np
import pytest

from raynas.data.dataset import EncodedImages, Images
from raynas.data.loading import load_dataset
from raynas.data.search_split import halves
from raynas.settings.images import ImageSettings
from tests.data.samples import brightness, build_dataset, numbered_tree


def pixels_of(images: Images) -> list[bytes]:
    """Return what tells images apart."""
    return [pixels.tobytes() for pixels in images.pixels]


@pytest.mark.parametrize("count", [48, 47, 3])
def test_every_image_is_in_one_half(count: int) -> None:
    dataset = build_dataset(count)
    first, second = halves(dataset, 0)

    assert isinstance(first.train, Images)
    assert isinstance(second.train, Images)
    assert isinstance(dataset.train, Images)
    both = pixels_of(first.train) + pixels_of(second.train)
    assert sorted(both) == sorted(pixels_of(dataset.train))
    assert 0 <= len(first.train) - len(second.train) <= 1


def test_classes_are_as_frequent_in_both_halves() -> None:
    parts = halves(build_dataset(51), 0)
    counts = [np.bincount(part.train.labels, minlength=3) for part in parts]

    assert abs(counts[0] - counts[1]).max() <= 1


def test_the_seed_decides_the_halves_and_nothing_else_changes() -> None:
    dataset = build_dataset(48)
    first, again, other = (halves(dataset, seed)[0] for seed in (1, 1, 2))

    assert np.array_equal(
        first.train.take(np.arange(9)).pixels, again.train.take(np.arange(9)).pixels
    )
    assert not np.array_equal(
        first.train.take(np.arange(24)).pixels, other.train.take(np.arange(24)).pixels
    )
    assert first.val is dataset.val
    assert first.mean is dataset.mean


def test_images_that_do_not_fit_into_memory_stay_encoded(tmp_path: Path) -> None:
    tree = numbered_tree(tmp_path)
    held, encoded = (
        load_dataset(tree, ImageSettings(in_memory=kept, loader_workers=0), 0, 8)
        for kept in ("yes", "no")
    )
    for wanted, found in zip(halves(held, 3), halves(encoded, 3), strict=True):
        everyone = np.arange(len(wanted.train))

        assert isinstance(found.train, EncodedImages)
        assert np.array_equal(found.train.labels, wanted.train.labels)
        assert brightness(found.train.take(everyone)) == brightness(wanted.train.take(everyone))
