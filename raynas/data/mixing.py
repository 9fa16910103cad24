"""What is done to a normalised batch where the network is: erasing, cutting out, mixing.

Sources: random erasing (Zhong et al. 2017, arXiv 1708.04896), cutout (DeVries and Taylor 2017,
arXiv 1708.04552), mixup (Zhang et al. 2018, arXiv 1710.09412), CutMix (Yun et al. 2019,
arXiv 1905.04899). Erased pixels are zeros, the mean of the training images.
"""

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms import v2

from raynas.data.torch_draws import DrawnFrom
from raynas.seeds import Stream, random_numbers
from raynas.settings.retrain import RetrainSettings

Batch = tuple[torch.Tensor, torch.Tensor]


class Mixing:
    """Changes batches as settings have it, a pure function of (seed, step, shard)."""

    def __init__(self, settings: RetrainSettings, num_classes: int, seed: int) -> None:
        """Keep what to do; nothing is drawn yet."""
        self._seed = seed
        self._erasing, self._side = settings.random_erasing, settings.cutout
        self._erase = v2.RandomErasing(p=1.0, inplace=True)
        kinds = ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
        mixers = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha > 0]
        self._mixer = v2.RandomChoice(mixers) if mixers else None

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, step: int, shard: int) -> Batch:
        """Return images and labels; labels that are mixed are shares of classes.

        Args:
            images: N x C x H x W, normalised; they may be overwritten.
            labels: N.
            step: Of the training.
            shard: Part of the step's batch.
        """
        if self._erasing:
            self._erase_some(images, step, shard)
        if self._side:
            rng = random_numbers(self._seed, Stream.MIXING, step, shard, 1)
            centres = rng.integers(images.shape[-1], size=(len(images), 2))
            images = cut_out(images, centres, self._side)
        if self._mixer is not None:
            with DrawnFrom(self._seed, Stream.MIXING, step, shard, 2):
                images, labels = self._mixer(images, labels)
        return images, labels

    def _erase_some(self, images: torch.Tensor, step: int, shard: int) -> None:
        place = step, shard, 0
        drawn = random_numbers(self._seed, Stream.MIXING, *place).random(len(images))
        for number in np.flatnonzero(drawn < self._erasing).tolist():
            with DrawnFrom(self._seed, Stream.MIXING, *place, number):
                self._erase(images[number])


def cut_out(images: torch.Tensor, centres: npt.NDArray[np.int64], side: int) -> torch.Tensor:
    """Return images with zeros in the rows and columns from c - side // 2 on, side of each.

    Args:
        images: N x C x H x W.
        centres: N x 2, row and column.
        side: Of the square, of which a part may lie beyond the border.
    """
    first = torch.from_numpy(centres - side // 2).to(images.device, non_blocking=True)[..., None]
    places = torch.arange(images.shape[-1], device=images.device)
    rows, columns = ((places >= first) & (places < first + side)).unbind(1)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
