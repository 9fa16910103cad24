"""Distillation: what a teacher sees, and what a training learns of it."""

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raynas.data.batches import normalise
from raynas.data.dataset import Dataset
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.objective import Objective
from raynas.training.retraining import Retraining
from raynas.training.teacher import Teacher, TorchNetwork
from tests.data.samples import MIRRORED, build_dataset, tiny_space

CPU = torch.device("cpu")
PATH = Architecture((0, 1, 2))


class Looks(nn.Module):
    """Remembers what it sees, and answers as the rows of an image are bright."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        rows = images.mean((1, 3))
        return torch.stack([each.mean(1) for each in rows.tensor_split(3, 1)], 1)


class Knows(nn.Module):
    """Answers what ``build_dataset`` shows: the class of the row that is brighter than the rest."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.mean((1, 3))
        return 8 * rows[:, [0, 2, 5]]  # label * side // classes


def teacher(
    network: nn.Module, dataset: Dataset, resolution: int | None = None, **others: Any
) -> Teacher:
    """Return a teacher of a data set's images, which it wants as they are."""
    usual = {"mean": tuple(dataset.mean.tolist()), "std": tuple(dataset.std.tolist())}
    return Teacher(
        TorchNetwork(network),
        dataset.class_names,
        dataset.channels,
        resolution or dataset.resolution,
        **(usual | others),
        name="a test's",
        content=b"",
    )


def begin(dataset: Dataset, taught_by: Teacher | None = None, **settings: Any) -> Retraining:
    """Return a retraining at epoch 0, with everything random switched on."""
    usual = RetrainSettings(epochs=3, batch=16, dropout=0.3, ema_decay=0.9, mixup=0.2)
    chosen = replace(usual, **settings)
    return Retraining(tiny_space(), PATH, dataset, chosen, 0, teacher=taught_by)


class TestSight:
    @given(*[st.tuples(*[st.floats(*ends)] * 3) for ends in ((0.2, 0.8), (0.1, 0.4))])
    def test_images_are_normalised_as_the_teacher_s_own_were(
        self, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        dataset, looks = build_dataset(), Looks()
        pixels = torch.from_numpy(dataset.train.take(np.arange(8)).pixels)
        teacher(looks, dataset, mean=mean, std=std).on(CPU, dataset)(normalise(pixels, dataset))
        own = replace(dataset, mean=np.array(mean, np.float32), std=np.array(std, np.float32))

        torch.testing.assert_close(looks.seen[0], normalise(pixels, own), rtol=0, atol=1e-5)

    def test_images_that_are_normalised_alike_are_the_same_to_the_bit(self) -> None:
        dataset, looks = build_dataset(), Looks()
        pixels = torch.from_numpy(dataset.train.take(np.arange(8)).pixels)
        images = normalise(pixels, dataset)
        teacher(looks, dataset).on(CPU, dataset)(images)

        assert torch.equal(looks.seen[0], images)

    @pytest.mark.parametrize("side", [5, 16])
    def test_another_resolution_is_interpolated(self, side: int) -> None:
        dataset, looks = build_dataset(), Looks()
        images = torch.full((2, 3, 8, 8), 0.5)
        teacher(looks, dataset, side).on(CPU, dataset)(images)

        assert looks.seen[0].shape == (2, 3, side, side)
        torch.testing.assert_close(looks.seen[0], torch.full((2, 3, side, side), 0.5))

    def test_it_sees_the_same_changed_and_mixed_images_as_the_network(self) -> None:
        dataset, looks = build_dataset(crops=MIRRORED), Looks()
        settings = RetrainSettings(batch=16, cutout=3, mixup=0.5, random_erasing=0.5)
        asked = Objective(dataset, settings, 0, CPU, ALONE, teacher(looks, dataset))
        seen: list[torch.Tensor] = []

        def network(images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return torch.zeros(len(images), 3)

        asked.loss(network, 2)
        assert torch.equal(looks.seen[-1], seen[0])

    def test_it_is_in_eval_mode_has_no_gradients_and_does_not_change(self) -> None:
        dataset = build_dataset()
        parts = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Dropout()
        own = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        before = {name: value.clone() for name, value in own.state_dict().items()}
        answer = teacher(own, dataset).on(CPU, dataset)
        images = torch.randn(4, 3, 8, 8)

        assert torch.equal(answer(images), answer(images))
        assert not answer(images).requires_grad
        assert all(torch.equal(own.state_dict()[name], each) for name, each in before.items())


class TestLearning:
    def test_a_training_whose_teacher_has_no_share_is_that_without_one_to_the_bit(self) -> None:
        dataset = build_dataset(crops=MIRRORED)
        looks = Looks()
        plain, idle = begin(dataset), begin(dataset, teacher(looks, dataset), teacher_weight=0.0)
        plain.run_epoch()
        idle.run_epoch()

        assert idle.weights() == plain.weights()
        assert idle.history[0].train_loss == plain.history[0].train_loss
        assert looks.seen == []  # nor does it cost anything

    def test_a_good_teacher_is_learned_from_where_labels_are_wrong(self) -> None:
        images = build_dataset(count=96)
        wrong = (images.train.labels + 1) % 3
        dataset = replace(images, train=replace(images.train, labels=wrong))
        settings = {"epochs": 6, "learning_rate": 0.1, "mixup": 0.0, "dropout": 0.0}
        alone = begin(dataset, **settings)
        taught = begin(dataset, teacher(Knows(), dataset), teacher_weight=1.0, **settings)
        for training in (alone, taught):
            for _ in range(6):
                training.run_epoch()

        assert alone.evaluate("val").accuracy < 0.2  # three classes: chance is 0.33
        assert taught.evaluate("val").accuracy > 0.8

    def test_continuing_after_an_epoch_equals_never_having_stopped(self) -> None:
        dataset = build_dataset(crops=MIRRORED)
        whole, first, second = (begin(dataset, teacher(Knows(), dataset)) for _ in range(3))
        for training, epochs in ((whole, 2), (first, 1)):
            for _ in range(epochs):
                training.run_epoch()
        second.restore(first.to_bytes())
        second.run_epoch()

        assert second.weights() == whole.weights()
        assert second.history[1].train_loss == whole.history[1].train_loss

    @pytest.mark.parametrize("class_weights", ["none", "balanced"])
    def test_parts_of_several_workers_add_up_to_the_loss_of_one(self, class_weights: Any) -> None:
        """Without what is drawn for each worker by itself."""
        dataset = build_dataset(count=48)
        settings = RetrainSettings(batch=15, class_weights=class_weights, teacher_weight=0.7)
        groups = [ALONE, DataParallelGroup(0, 2), DataParallelGroup(1, 2)]
        whole, *parts = (
            Objective(dataset, settings, 0, CPU, group, teacher(Knows(), dataset))
            for group in groups
        )
        found = [each.loss(Looks(), 1).item() for each in (whole, *parts)]

        assert sum(a * each.share for a, each in zip(found[1:], parts, strict=True)) == (
            pytest.approx(found[0], rel=1e-5)
        )


@cache
def steps(weight: float, temperature: float) -> float:
    """Return the loss of a first step."""
    dataset = build_dataset(crops=MIRRORED)
    taught = teacher(Knows(), dataset)
    training = begin(dataset, taught, teacher_weight=weight, temperature=temperature)
    return float(training.train_step(0))


def test_weight_and_temperature_have_a_say() -> None:
    losses = [steps(*each) for each in itertools.product((0.2, 0.8), (1.0, 4.0))]

    assert len(set(losses)) == 4
