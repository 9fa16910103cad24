"""Batches as a pure function of (seed, stream, step, shard): any worker can make any of them."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.dataset import Dataset, Images, Part
from raynas.seeds import Stream, random_numbers

Augmentation = Literal["none", "crop", "crop_flip"]


def batch_indices(
    num_images: int, batch: int, seed: int, stream: Stream, step: int
) -> npt.NDArray[np.int64]:
    """Return the images of a step: every image once per epoch, in a new order each time."""
    positions = np.arange(step * batch, (step + 1) * batch)
    epochs, places = np.divmod(positions, num_images)
    parts = [
        _order(num_images, seed, stream, int(epoch))[places[epochs == epoch]]
        for epoch in np.unique(epochs)
    ]
    return np.concatenate(parts)


@lru_cache(maxsize=4)  # a permutation of a million images takes as long as a step
def _order(num_images: int, seed: int, stream: Stream, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of the images in an epoch."""
    order = random_numbers(seed, stream, epoch).permutation(num_images)
    order.flags.writeable = False
    return order


def part_share(batch: int, part: int, parts: int) -> float:
    """Return the share of a batch's images in one of its parts, of which some have one more."""
    return len(range(part, batch, parts)) / batch


class Batches:
    """Makes augmented, normalised batches of a data set's training part."""

    def __init__(  # noqa: PLR0913 - everything that defines the batches
        self,
        dataset: Dataset,
        batch: int,
        augmentation: Augmentation,
        seed: int,
        stream: Stream,
        shards: int = 1,
    ) -> None:
        """Keep what defines the batches; nothing is drawn yet.

        Args:
            dataset: The data.
            batch: Images of a whole step.
            augmentation: Random crops and mirror images, or none.
            seed: Seed of the run.
            stream: What the batches are for.
            shards: Parts into which a step's batch is cut.
        """
        self._dataset = dataset
        self._batch = batch
        self._augmentation = augmentation
        self._key = (seed, stream)
        self._shards = shards

    @property
    def train(self) -> Part:
        """The images that batches are made of."""
        return self._dataset.train

    def __call__(self, step: int, shard: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images, N x C x H x W, of unit variance, and labels, N."""
        return self.finish(self.train.take(self.choose(step, shard)), step, shard)

    def choose(self, step: int, shard: int) -> npt.NDArray[np.int64]:
        """Return which images are in a step's shard."""
        chosen = batch_indices(len(self.train), self._batch, *self._key, step)
        return chosen[shard :: self._shards]

    def finish(self, images: Images, step: int, shard: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of the images that were chosen: augmented and normalised."""
        rng = random_numbers(*self._key, step, shard)
        pixels = augment(torch.from_numpy(images.pixels), self._augmentation, rng)
        return normalise(pixels, self._dataset), torch.from_numpy(images.labels)


def resolve_augmentation(name: str, channels: int, resolution: int) -> Augmentation:
    """Return what "auto" means for images of that kind.

    Digits and letters have no mirror images, and one pixel is too much of a tiny image.
    """
    match name:
        case "none" | "crop" | "crop_flip":
            return name
        case _ if resolution < 16:
            return "none"
        case _:
            return "crop" if channels == 1 else "crop_flip"


def augment(
    pixels: torch.Tensor, augmentation: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    """Return each image shifted by up to an eighth of its side, and maybe mirrored.

    Args:
        pixels: N x C x H x W.
        augmentation: What to do.
        rng: Draws one shift and one coin per image.
    """
    if augmentation == "none":
        return pixels
    # Not torchvision's: its transforms draw once for a whole batch, from the global generator.
    count, _, height, width = pixels.shape
    reach = max(height // 8, 1)
    shifts = (rng.integers(2 * reach + 1, size=(2, count)) - reach).T.tolist()
    mirrored = rng.random(count) < 0.5 if augmentation == "crop_flip" else np.zeros(count, bool)
    before = pixels.numpy()
    after = np.zeros_like(before)
    for image, moved, (y, x), mirror in zip(before, after, shifts, mirrored, strict=True):
        target = moved[:, :, ::-1] if mirror else moved
        target[:, max(-y, 0) : height - y, max(-x, 0) : width - x] = image[
            :, max(y, 0) : height + y, max(x, 0) : width + x
        ]
    return torch.from_numpy(after)


def normalise(pixels: torch.Tensor, dataset: Dataset) -> torch.Tensor:
    """Return pixels, N x C x H x W uint8, as floats of mean 0 and variance 1 per channel."""
    mean = torch.tensor(dataset.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(dataset.std, device=pixels.device)[:, None, None]
    return pixels.float().div_(255).sub_(mean).div_(std)


def in_order(images: Part, batch: int, worker: int = 0, workers: int = 1) -> Iterator[Images]:
    """Yield a worker's share of all images in pieces, in their order.

    Args:
        images: The images.
        batch: Of a piece; the last one may have fewer.
        worker: The worker's number, from 0.
        workers: Workers that take the pieces in turns.
    """
    for start in range(worker * batch, len(images), workers * batch):
        yield images.take(np.arange(start, min(start + batch, len(images))))
