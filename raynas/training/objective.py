"""What a retraining minimises in each step: the loss of a network on that step's batch."""

from dataclasses import replace

import torch

from raynas.data.batches import Batches, on_device, part_share
from raynas.data.dataset import Dataset
from raynas.data.mixing import Mixing
from raynas.data.prefetch import Loader
from raynas.seeds import Stream
from raynas.settings.retrain import RetrainSettings
from raynas.training.acceleration import Network
from raynas.training.data_parallel_group import DataParallelGroup
from raynas.training.losses import TrainingLoss, balanced_weights
from raynas.training.teacher import Teacher


class Objective:
    """Batches of this worker, mixed, and their loss; a pure function of the seed and the step.

    Attributes:
        share: Of a batch's images that are in this worker's part.
        loader: Makes the next batches meanwhile.
    """

    def __init__(  # noqa: PLR0913 - all that the loss depends on
        self,
        dataset: Dataset,
        settings: RetrainSettings,
        seed: int,
        device: torch.device,
        group: DataParallelGroup,
        teacher: Teacher | None = None,
    ) -> None:
        """Draw nothing yet; a teacher without a share of the loss is never asked."""
        self.share = part_share(settings.batch, group.rank, group.size)
        self._dataset, self._batch, self._device = dataset, settings.batch, device
        self._rank = group.rank
        crops = replace(dataset.crops, policy=settings.augment)
        self._batches = Batches(dataset, settings.batch, seed, Stream.RETRAINING, group.size, crops)
        self.loader = Loader(self._batches)
        self._mixing = Mixing(settings, dataset.num_classes, seed)
        self._weights = None
        if settings.class_weights == "balanced":
            self._weights = balanced_weights(dataset.train.labels, dataset.num_classes)
        self._loss = TrainingLoss(
            settings.label_smoothing,
            settings.auxiliary,
            None if self._weights is None else torch.from_numpy(self._weights).to(device),
            settings.teacher_weight,
            settings.temperature,
        )
        is_asked = settings.teacher_weight > 0
        self._teach = teacher.on(device, dataset) if teacher and is_asked else None

    def loss(self, network: Network, step: int) -> torch.Tensor:
        """Return the loss of this worker's part of a step's batch."""
        images, labels = self._mixing(*self._part(step), step, self._rank)
        taught = None if self._teach is None else self._teach(images)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            outputs = network(images)
        return self._loss(outputs, labels, self._weight(step), taught)

    def images(self, step: int) -> torch.Tensor:
        """Return the images of this worker's part, N x C x H x W, whole and unmixed."""
        return self._part(step)[0]

    def _part(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return on_device(self.loader(step, self._rank), self._dataset, self._device)

    def _weight(self, step: int) -> float:
        """Return this worker's share of what a step's images weigh; mixing leaves that alone."""
        if self._weights is None:
            return self.share * self._batch
        return self.share * float(self._weights[self._batches.labels(step)].sum())
