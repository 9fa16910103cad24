"""What a worker computes: the gradient of one path on one shard of a step's batch.

A pure function of the trained vector, the step, the path and the shard: the frozen weights come
from the seed, the batch from (seed, step, shard). Nothing is kept between calls.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.settings import PretrainSettings
from raynas.space import Architecture, SearchSpace
from raynas.training.batches import PRETRAINING, Batches, resolve_augmentation
from raynas.training.images import Dataset

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """One part of a step: a path on a shard of the step's batch."""

    path: Architecture
    shard: int


@dataclass(frozen=True)
class Gradient:
    """A piece's result.

    Attributes:
        values: dLoss/dvector for the parameters on the path, in the vector's order.
        loss: Mean cross-entropy of the shard.
    """

    values: Vector
    loss: float


def build_supernet(
    space: SearchSpace, settings: PretrainSettings, dataset: Dataset, seed: int
) -> FrozenSupernet:
    """Return the run's supernet as every machine builds it: frozen, at its starting point."""
    supernet = frozen_supernet(
        space,
        dataset.channels,
        dataset.num_classes,
        settings.layer_indicator,
        settings.initialisation,
        seed,
    )
    return FrozenSupernet(
        supernet, settings.trainable, settings.classifier_rate > 0, settings.recompute
    )


class PathGradients:
    """Computes pieces on one device."""

    def __init__(  # noqa: PLR0913 - everything that defines the result
        self,
        space: SearchSpace,
        dataset: Dataset,
        settings: PretrainSettings,
        augment: str,
        seed: int,
        shards: int,
        device: str = "cpu",
    ) -> None:
        """Rebuild the supernet from the seed and move it to the device."""
        self._settings = settings
        self._device = torch.device(device)
        self._frozen = build_supernet(space, settings, dataset, seed)
        self._frozen.to(self._device)
        augmentation = resolve_augmentation(augment, dataset.channels, dataset.resolution)
        self._batches = Batches(dataset, settings.batch, augmentation, seed, PRETRAINING, shards)

    @property
    def vector(self) -> Vector:
        """A copy of the trained numbers that the network holds now."""
        held: Vector = self._frozen.vector.cpu().numpy().copy()
        return held

    def __call__(self, vector: Vector, step: int, piece: Piece) -> Gradient:
        """Return the gradient of one piece at the given trained numbers."""
        self._frozen.vector.copy_(torch.from_numpy(vector.copy()))  # Ray's arrays are read-only
        images, labels = self._batches(step, piece.shard)
        images = images.to(self._device, memory_format=torch.channels_last)
        labels = labels.to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            logits = self._frozen.supernet(images, piece.path)
        loss = functional.cross_entropy(
            logits.float(), labels, label_smoothing=self._settings.label_smoothing
        )
        parameters = self._frozen.parameters_on(piece.path)
        parts = torch.autograd.grad(loss, parameters)
        values = torch.cat([part.flatten() for part in parts]).cpu().numpy()
        return Gradient(values, loss.item())
