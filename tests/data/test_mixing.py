"""Erasing, cutting out and mixing: pure functions of (seed, step, shard), on the device's batch."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.mixing import Mixing, cut_out
from raynas.settings.retrain import RetrainSettings

LABELS = torch.arange(12) % 4
EVERYTHING = {"random_erasing": 0.5, "cutout": 3, "mixup": 0.2, "cutmix": 1.0}


def changed(
    step: int = 0, shard: int = 0, seed: int = 0, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what becomes of images of ones times their number from 1 on."""
    images = torch.arange(1.0, 13.0)[:, None, None, None].repeat(1, 3, 8, 8)
    return Mixing(RetrainSettings(**settings), 4, seed)(images, LABELS, step, shard)


def test_without_settings_images_and_labels_are_left_alone() -> None:
    images, labels = changed()

    assert labels is LABELS
    assert (images == torch.arange(1.0, 13.0)[:, None, None, None]).all()


@pytest.mark.parametrize("settings", [{name: value} for name, value in EVERYTHING.items()])
def test_each_change_is_a_function_of_seed_step_and_shard_alone(settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    first = changed(3, 1, 5, **settings)
    before = torch.random.get_rng_state()
    again = changed(3, 1, 5, **settings)

    assert all(map(torch.equal, first, again))
    assert torch.equal(torch.random.get_rng_state(), before)
    for other in ((4, 1, 5), (3, 0, 5), (3, 1, 6)):
        assert not torch.equal(changed(*other, **settings)[0], first[0])


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 20))
def test_a_cut_out_is_a_square_around_its_centre_cut_at_the_border(
    row: int, column: int, side: int
) -> None:
    found = cut_out(torch.ones(2, 3, 10, 10), np.array([[row, column]] * 2), side)
    wanted = torch.ones(10, 10)
    top, left = row - side // 2, column - side // 2
    wanted[max(top, 0) : top + side, max(left, 0) : left + side] = 0.0

    assert torch.equal(found, wanted.expand(2, 3, 10, 10))


def test_about_so_many_images_are_erased_in_one_box_as_were_asked_for() -> None:
    images = torch.ones(400, 3, 8, 8)
    labels = torch.zeros(400, dtype=torch.int64)
    found, _ = Mixing(RetrainSettings(random_erasing=0.3), 4, 0)(images, labels, 0, 0)
    erased = [image for image in found if (image == 0).any()]

    assert 0.2 < len(erased) / 400 < 0.4
    for image in erased:
        rows, columns = (image[0] == 0).any(1).sum(), (image[0] == 0).any(0).sum()
        assert (image == 0).sum() == 3 * rows * columns


def test_mixup_mixes_labels_as_it_mixes_pixels() -> None:
    images, labels = changed(mixup=1.0)
    share = labels[1, 1]  # image 2 with image 1

    assert labels.sum(1).tolist() == pytest.approx([1.0] * 12)
    assert 0 < share < 1
    assert torch.allclose(images[1], 2 * share + (1 - share))
    assert labels[1, 0] == pytest.approx(1 - share.item())


def test_cutmix_labels_are_the_shares_of_the_pixels() -> None:
    images, labels = changed(cutmix=1.0)

    assert set(images[1].unique().tolist()) == {1.0, 2.0}
    assert labels[1, 1].item() == pytest.approx((images[1] == 2).float().mean().item())


def test_with_both_one_of_them_is_drawn_for_each_batch() -> None:
    found = [changed(step, mixup=1.0, cutmix=1.0)[0][1].unique() for step in range(20)]

    assert 0 < sum(len(values) == 1 for values in found) < 20  # mixup makes one value of each
