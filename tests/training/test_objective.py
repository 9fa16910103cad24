"""What a step's loss is taken of: this worker's part, mixed anew in every step."""

from dataclasses import replace

import numpy as np
import torch

from raynas.data.dataset import Dataset
from raynas.settings.retrain import RetrainSettings
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.objective import Objective
from tests.data.samples import build_dataset


def alike() -> Dataset:
    """Return images that are all the same, so that what was cut out of each one shows."""
    dataset = build_dataset(count=16)
    pixels = np.full_like(dataset.train.take(np.arange(16)).pixels, 200)
    return replace(dataset, train=replace(dataset.train, pixels=pixels))


def holes(step: int, group: DataParallelGroup = ALONE) -> torch.Tensor:
    """Return where the images that a network sees in a step are zero."""
    asked = RetrainSettings(batch=16, cutout=3)
    objective, seen = Objective(alike(), asked, 0, torch.device("cpu"), group), []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return torch.zeros(len(images), 3)

    objective.loss(network, step)
    assert (objective.images(step) != 0).all()  # whole, for statistics that are averaged anew
    return (seen[0] == 0).all(1)


def test_every_step_and_every_worker_cuts_out_other_places() -> None:
    first, second = DataParallelGroup(0, 2), DataParallelGroup(1, 2)

    assert torch.equal(holes(3), holes(3))
    assert holes(3).flatten(1).any(1).all()
    assert not torch.equal(holes(3), holes(4))
    assert not torch.equal(holes(3, first), holes(3, second))
