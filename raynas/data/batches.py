"""Batches as a pure function of (seed, stream, step, shard): any worker can make any of them."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.augmentation import augment
from raynas.data.batch_requests import Request, decoded
from raynas.data.crops import Crops
from raynas.data.dataset import Dataset, EncodedImages, Images, Part
from raynas.seeds import Stream, random_numbers


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
    """Makes batches of a data set's training part: bytes, cut and changed as a setting has it."""

    def __init__(  # noqa: PLR0913 - everything that defines the batches
        self,
        dataset: Dataset,
        batch: int,
        seed: int,
        stream: Stream,
        shards: int = 1,
        crops: Crops | None = None,
    ) -> None:
        """Keep what defines the batches; nothing is drawn yet.

        Args:
            dataset: The data.
            batch: Images of a whole step.
            seed: Seed of the run.
            stream: What the batches are for.
            shards: Parts into which a step's batch is cut.
            crops: What is done to the images; None: as the data set says.
        """
        self._dataset = dataset
        self._batch = batch
        self._crops = dataset.crops if crops is None else crops
        self._key = (seed, stream)
        self._shards = shards

    @property
    def train(self) -> Part:
        """The images that batches are made of."""
        return self._dataset.train

    def __call__(self, step: int, shard: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images, N x C x H x W bytes, and labels, N."""
        indices = self.choose(step, shard)
        if not isinstance(self.train, EncodedImages):
            return self.finish(self.train.take(indices), step, shard)
        request = self.request(step, shard)
        images = self.train.completed(request, indices, *decoded(request))
        return self.finish(images, step, shard)

    def choose(self, step: int, shard: int) -> npt.NDArray[np.int64]:
        """Return which images are in a step's shard."""
        chosen = batch_indices(len(self.train), self._batch, *self._key, step)
        return chosen[shard :: self._shards]

    def labels(self, step: int) -> npt.NDArray[np.int64]:
        """Return the classes of a whole step's images."""
        return self.train.labels[batch_indices(len(self.train), self._batch, *self._key, step)]

    def request(self, step: int, shard: int) -> Request:
        """Return what decodes them; they are encoded."""
        assert isinstance(self.train, EncodedImages)
        return self.train.request(self.choose(step, shard), self._crops, (*self._key, step, shard))

    def finish(self, images: Images, step: int, shard: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of the images that were chosen, shifted, mirrored and so on."""
        rng = random_numbers(*self._key, step, shard)
        pixels = augment(torch.from_numpy(images.pixels), self._crops, rng)
        return pixels, torch.from_numpy(images.labels)


def normalise(pixels: torch.Tensor, dataset: Dataset) -> torch.Tensor:
    """Return pixels, N x C x H x W uint8, as floats of mean 0 and variance 1 per channel."""
    mean = torch.tensor(dataset.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(dataset.std, device=pixels.device)[:, None, None]
    return pixels.float().div_(255).sub_(mean).div_(std)


def on_device(
    batch: tuple[torch.Tensor, torch.Tensor], dataset: Dataset, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images as a network takes them, channels last, and labels, both on its device.

    Bytes are sent, without waiting for them, and become numbers there.

    Args:
        batch: Images, N x C x H x W bytes, and labels, N.
        dataset: Gives the normalisation.
        device: Where the network is.
    """
    pixels, labels = (
        (each if each.is_pinned() else each.pin_memory()).to(device, non_blocking=True)
        if device.type == "cuda"
        else each.to(device)
        for each in batch
    )
    return normalise(pixels, dataset).contiguous(memory_format=torch.channels_last), labels


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
