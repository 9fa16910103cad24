"""Batches: every image once per epoch, and the same ones wherever they are made."""

import hashlib
import inspect
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raynas.data.augmentation import augment
from raynas.data.batches import (
    Batches,
    batch_indices,
    in_order,
    normalise,
    on_device,
)
from raynas.data.crops import CENTRE, Crops
from raynas.seeds import Stream
from tests.builders import run_python
from tests.data.samples import MIRRORED, SHIFTED, build_dataset, build_images


def noise(count: int = 200, channels: int = 3, side: int = 16) -> torch.Tensor:
    """Return images no two places of which are alike."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, side, side)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=generator)


def moves(image: torch.Tensor, reach: int, mirror: bool) -> list[torch.Tensor]:
    """Return every shift of an image, C x side x side, by up to ``reach`` pixels."""
    side = image.shape[-1]
    turned = image.flip(-1) if mirror else image
    padded = torch.nn.functional.pad(turned, (reach,) * 4)
    shifts = itertools.product(range(2 * reach + 1), repeat=2)
    return [padded[:, y : y + side, x : x + side] for y, x in shifts]


def found_in(image: torch.Tensor, candidates: list[torch.Tensor]) -> list[int]:
    """Return which candidates equal an image."""
    return [i for i, candidate in enumerate(candidates) if torch.equal(image, candidate)]


class TestIndices:
    @given(
        num_images=st.integers(1, 40),
        batch=st.integers(1, 60),
        seed=st.integers(0, 2**32),
        epochs=st.integers(1, 4),
    )
    def test_every_image_comes_once_per_epoch(
        self, num_images: int, batch: int, seed: int, epochs: int
    ) -> None:
        steps = -(-epochs * num_images // batch)
        drawn = [
            batch_indices(num_images, batch, seed, Stream.PRETRAINING, step)
            for step in range(steps)
        ]
        order = np.concatenate(drawn)

        assert {len(indices) for indices in drawn} == {batch}
        for epoch in range(epochs):
            passed = order[epoch * num_images : (epoch + 1) * num_images]
            assert sorted(passed) == list(range(num_images))

    def test_the_order_differs_between_epochs_seeds_and_streams(self) -> None:
        orders = [
            batch_indices(50, 50, seed, stream, epoch).tolist()
            for seed in (0, 1)
            for stream in (Stream.PRETRAINING, Stream.RETRAINING)
            for epoch in (0, 1)
        ]

        assert all(first != second for first, second in itertools.combinations(orders, 2))


class TestBatches:
    def build(self, shards: int = 1, crops: Crops = MIRRORED) -> Batches:
        """Return batches of ten images."""
        return Batches(build_dataset(side=16), 10, 3, Stream.PRETRAINING, shards, crops)

    def test_a_batch_depends_on_nothing_that_was_drawn_before(self) -> None:
        first, busy = self.build(), self.build()
        for step in (5, 1, 9):
            busy(step)
        images, labels = first(4)
        again, same = busy(4)

        assert torch.equal(images, again)
        assert torch.equal(labels, same)

    @pytest.mark.slow
    def test_a_batch_is_the_same_in_another_process(self) -> None:
        program = inspect.cleandoc(
            """
            import hashlib
            from tests.data.test_batches import TestBatches
            images, labels = TestBatches().build(shards=2)(7, 1)
            print(hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest())
            """
        )
        images, labels = self.build(shards=2)(7, 1)
        here = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()

        assert run_python(program) == here

    def test_steps_and_shards_are_augmented_differently(self) -> None:
        one = self.build(shards=2)
        dataset = build_dataset(count=1, side=16)  # the same image over and over again
        batches = Batches(dataset, 20, 3, Stream.PRETRAINING, 2, MIRRORED)

        assert not torch.equal(one(0)[0], one(1)[0])
        assert not torch.equal(batches(0, 0)[0], batches(0, 1)[0])
        assert not torch.equal(batches(0, 0)[0], batches(1, 0)[0])

    @pytest.mark.parametrize("shards", [1, 2, 3, 4])
    def test_the_shards_of_a_step_part_its_batch_among_them(self, shards: int) -> None:
        whole, _ = self.build(1, CENTRE)(2)
        cut = self.build(shards, CENTRE)
        parts = [cut(2, shard) for shard in range(shards)]
        images = torch.cat([images for images, _ in parts])

        sizes = [len(labels) for _, labels in parts]
        assert sum(sizes) == 10
        assert max(sizes) - min(sizes) <= 1
        assert sorted(image.numpy().tobytes() for image in images) == sorted(
            image.numpy().tobytes() for image in whole
        )

    def test_images_keep_their_labels(self) -> None:
        dataset = build_dataset()
        images, labels = Batches(dataset, 30, 0, Stream.PRETRAINING)(0)
        known = {
            image.tobytes(): int(label)
            for image, label in zip(dataset.train.pixels, dataset.train.labels, strict=True)
        }

        assert [known[image.numpy().tobytes()] for image in images] == labels.tolist()


class TestAugmentation:
    @pytest.mark.parametrize("crops", [CENTRE, SHIFTED, MIRRORED])
    def test_shape_and_kind_of_the_pixels_stay_as_they_are(self, crops: Crops) -> None:
        pixels = noise(4, 1, 9)
        changed = augment(pixels, crops, np.random.default_rng(0))

        assert changed.shape == pixels.shape
        assert changed.dtype == torch.uint8
        assert changed.is_contiguous()

    def test_none_changes_no_pixel(self) -> None:
        pixels = noise()

        assert torch.equal(augment(pixels, CENTRE, np.random.default_rng(0)), pixels)

    @pytest.mark.parametrize(("side", "reach"), [(16, 2), (31, 3), (5, 1)])
    def test_a_crop_shifts_by_up_to_an_eighth_of_the_side_and_by_every_such_shift(
        self, side: int, reach: int
    ) -> None:
        pixels = noise(400, 1, side)
        cropped = augment(pixels, SHIFTED, np.random.default_rng(0))
        shifts = [
            found_in(after, moves(before, reach, mirror=False))
            for before, after in zip(pixels, cropped, strict=True)
        ]

        assert {len(found) for found in shifts} == {1}
        assert {found[0] for found in shifts} == set(range((2 * reach + 1) ** 2))

    def test_half_of_the_images_are_mirrored_beside_being_shifted(self) -> None:
        pixels = noise(200)
        changed = augment(pixels, MIRRORED, np.random.default_rng(0))
        is_mirrored = []
        for before, after in zip(pixels, changed, strict=True):
            straight = found_in(after, moves(before, 2, mirror=False))
            mirrored = found_in(after, moves(before, 2, mirror=True))
            assert len(straight) + len(mirrored) == 1
            is_mirrored.append(bool(mirrored))

        assert 0.4 < np.mean(is_mirrored) < 0.6

    def test_the_images_given_are_left_alone(self) -> None:
        pixels = noise(8)
        before = pixels.clone()
        augment(pixels, MIRRORED, np.random.default_rng(0))

        assert torch.equal(pixels, before)

    def test_colours_change_by_a_factor_of_each_image_s_own(self) -> None:
        pixels = torch.full((6, 3, 4, 4), 100, dtype=torch.uint8)
        changed = augment(pixels, Crops(jitter=0.3), np.random.default_rng(0))

        assert changed.dtype == torch.uint8
        assert (changed >= 100 * 0.7 - 1).all()
        assert (changed <= 100 * 1.3 + 1).all()
        assert len({int(image[0, 0, 0]) for image in changed}) > 3
        assert torch.equal(changed, augment(pixels, Crops(jitter=0.3), np.random.default_rng(0)))


def test_normalised_training_images_have_mean_0_and_variance_1_per_channel() -> None:
    dataset = build_dataset(count=300)
    images = normalise(torch.from_numpy(dataset.train.pixels), dataset).double()

    assert images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert images.var(dim=(0, 2, 3)).tolist() == pytest.approx([1.0] * 3, abs=1e-3)


@pytest.mark.parametrize("batch", [1, 4, 7, 100])
def test_in_order_yields_every_image_once_in_its_order(batch: int) -> None:
    images = build_images(14, 4, 1, 3, seed=0)
    pieces = list(in_order(images, batch))

    assert max(map(len, pieces)) <= batch
    assert np.array_equal(np.concatenate([piece.pixels for piece in pieces]), images.pixels)
    assert np.array_equal(np.concatenate([piece.labels for piece in pieces]), images.labels)


def test_bytes_that_reach_a_device_are_normalised_there() -> None:
    dataset = build_dataset(crops=MIRRORED)
    pixels, labels = Batches(dataset, 10, 0, Stream.PRETRAINING)(0)
    images, same = on_device((pixels, labels), dataset, torch.device("cpu"))

    assert pixels.dtype == torch.uint8
    assert torch.equal(images, normalise(pixels, dataset))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(labels, same)
