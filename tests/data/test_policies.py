"""Policies of operations for each image, and light: whoever decodes, the same pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from raynas.data.augmentation import augment
from raynas.data.batch_requests import made
from raynas.data.batches import Batches
from raynas.data.crops import Crops, Policy, crops_of
from raynas.data.loading import load_dataset
from raynas.seeds import Stream
from raynas.settings.images import ImageSettings
from tests.data.samples import build_dataset, numbered_tree

POLICIES: list[Policy] = [policy for policy in get_args(Policy) if policy != "none"]


def noise(count: int = 24, channels: int = 3, side: int = 12) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, channels, side, side), dtype=np.uint8))


def changed(crops: Crops, pixels: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return augment(pixels, crops, np.random.default_rng(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_changes_most_images_of_any_colour_and_keeps_their_form(
    policy: Policy, channels: int
) -> None:
    pixels = noise(channels=channels)
    found = changed(Crops(policy=policy), pixels)

    assert (found.shape, found.dtype) == (pixels.shape, torch.uint8)
    assert sum(not torch.equal(*pair) for pair in zip(found, pixels, strict=True)) > 8
    assert torch.equal(found, changed(Crops(policy=policy), pixels))
    assert not torch.equal(found, changed(Crops(policy=policy), pixels, seed=1))


@pytest.mark.parametrize("policy", POLICIES)
def test_an_image_s_operations_depend_on_its_place_and_on_no_image_before_it(
    policy: Policy,
) -> None:
    pixels = noise()
    others = pixels.clone()
    others[:5] = 0

    assert torch.equal(
        changed(Crops(policy=policy), pixels)[5:], changed(Crops(policy=policy), others)[5:]
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_neither_reads_nor_moves_torch_s_generator_in_any_thread(policy: Policy) -> None:
    """The training beside a loader's thread draws dropout from it."""
    batches = Batches(build_dataset(), 24, 0, Stream.RETRAINING, crops=Crops(policy=policy))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda step: batches(step)[0], [0, 0, 0]))

    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(torch.equal(batches(0)[0], each) for each in found)


def test_a_batch_is_the_same_whether_its_images_are_in_memory_or_decoded_elsewhere(
    tmp_path: Path,
) -> None:
    data = numbered_tree(tmp_path)
    held, streamed = (
        load_dataset(data, ImageSettings(in_memory=kept, resolution=8, loader_workers=0), 0, 8)
        for kept in ("yes", "no")
    )
    crops = Crops("shift", mirror=True, policy="trivial")
    one, other = (Batches(each, 10, 3, Stream.RETRAINING, 2, crops) for each in (held, streamed))
    elsewhere, readable = made(other.request(4, 1))

    assert readable.all()
    assert torch.equal(one(4, 1)[0], elsewhere)
    assert torch.equal(other(4, 1)[0], elsewhere)


def test_without_a_policy_and_light_no_further_number_is_drawn() -> None:
    """So that batches are those of older runs."""
    drawn = np.random.default_rng(0), np.random.default_rng(0)
    augment(noise(), Crops("shift", mirror=True, jitter=0.2), drawn[0])
    drawn[1].integers(3, size=(2, 24))
    drawn[1].random(24)
    drawn[1].uniform(-1, 1, (24, 3))

    assert drawn[0].random() == drawn[1].random()


def test_light_adds_to_each_colour_what_its_principal_components_say() -> None:
    pixels = torch.full((4000, 3, 1, 1), 128, dtype=torch.uint8)
    added = (changed(Crops(lighting=0.1), pixels).double() - 128).squeeze() / 255
    # of x = P diag(l) a with a ~ N(0, s^2): E[x x'] = s^2 P diag(l^2) P'
    vectors = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )
    values = np.array([0.2175, 0.0188, 0.0045])
    wanted = 0.01 * vectors @ np.diag(values**2) @ vectors.T

    assert np.cov(added.numpy().T) == pytest.approx(wanted, rel=0.1)


def test_all_pixels_of_an_image_are_lit_alike_and_stay_bytes() -> None:
    pixels = torch.zeros(50, 3, 4, 4, dtype=torch.uint8)
    pixels[25:] = 255
    found = changed(Crops(lighting=1.0), pixels)

    assert found.dtype == torch.uint8
    assert (found == found[:, :, :1, :1]).all()
    assert {0, 255} <= set(found.unique().tolist())
    assert len(found.unique()) > 20


def test_light_is_of_colour_images_alone() -> None:
    settings = replace(ImageSettings(), lighting=0.1)

    assert crops_of(settings, 3, 32, 32).lighting == 0.1
    assert crops_of(settings, 1, 32, 32).lighting == 0.0
