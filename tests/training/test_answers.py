"""What a trained network answers: image by image, whoever saw which batch."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import distributed, nn

from raynas.data.dataset import Dataset, Images
from raynas.data.whole_training_part import with_whole_training_part
from raynas.training.answers import LastLook, last_look
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.evaluation import Evaluation, Look, evaluate
from tests.data.samples import build_dataset

CPU = torch.device("cpu")
BATCH = 7


class Sums:
    """Takes the place of torch's sum over processes where workers are threads."""

    def __init__(self, workers: int) -> None:
        self._barrier = threading.Barrier(workers, timeout=60)
        self._given: dict[int, torch.Tensor] = {}

    def all_reduce(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by the sum of those of all threads."""
        self._given[threading.get_ident()] = tensor.clone()
        self._barrier.wait()
        whole = torch.stack(list(self._given.values())).sum(dim=0)
        self._barrier.wait()
        tensor.copy_(whole)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return images with some labels that are wrong, so that confidences can be too high."""
    dataset = build_dataset(count=120, side=6, channels=1)
    labels = dataset.val.labels.copy()
    labels[::5] = (labels[::5] + 1) % 3
    return replace(dataset, val=Images(dataset.val.pixels, labels))


def network(dataset: Dataset) -> nn.Module:
    """Return a linear network that has learned the images and is too sure of itself."""
    learned = build_dataset(count=120, side=6, channels=1).train
    images = torch.from_numpy(learned.pixels).float().flatten(1)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(learned.labels)).float()
    linear = nn.Linear(images.shape[1], 3)
    mean, std = float(dataset.mean[0]), float(dataset.std[0])
    inputs = (images / 255 - mean) / std
    solved = torch.linalg.lstsq(torch.cat([inputs, torch.ones(len(inputs), 1)], 1), wanted).solution
    with torch.no_grad():
        linear.weight.copy_(12 * solved[:-1].T)
        linear.bias.copy_(12 * solved[-1])
    return nn.Sequential(nn.Flatten(), linear)


def looked(
    dataset: Dataset, group: DataParallelGroup = ALONE, temperature: float | None = None
) -> LastLook:
    """Return what the network answers."""
    of: Callable[[str, Look], Evaluation] = lambda part, look: evaluate(  # noqa: E731
        network(dataset), getattr(dataset, part), dataset, CPU, BATCH, group=group, look=look
    )
    return last_look(of, dataset, CPU, group, temperature)


def test_answers_are_those_of_the_network_in_the_order_of_the_images(dataset: Dataset) -> None:
    found = looked(dataset)
    assert found.temperature is not None
    for part, answers in found.answers.items():
        images = getattr(dataset, part)
        pixels = (images.pixels.astype(np.float32) / 255 - dataset.mean[0]) / dataset.std[0]
        with torch.no_grad():
            logits = network(dataset)(torch.from_numpy(pixels))
        shares, scaled = (each.softmax(1).numpy() for each in (logits, logits / found.temperature))
        rows = np.arange(len(images))

        assert (answers.label == images.labels).all()
        assert (answers.answer == shares.argmax(1)).all()
        assert answers.confidence == pytest.approx(shares.max(1), rel=1e-4)
        assert answers.label_probability == pytest.approx(
            shares[rows, images.labels], rel=1e-3, abs=1e-6
        )
        assert answers.scaled_confidence == pytest.approx(scaled.max(1), rel=1e-4)
    assert found.test.accuracy == (found.answers["test"].answer == dataset.test.labels).mean()
    assert found.temperature > 1.2  # it was too sure: some labels of the validation are wrong


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_share_the_images_all_have_the_answers_of_one(
    dataset: Dataset, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "all_reduce", Sums(workers).all_reduce)
    groups = [DataParallelGroup(rank, workers) for rank in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        shared = list(threads.map(partial(looked, dataset), groups))
    alone = looked(dataset)

    for found in shared:
        assert found.temperature == pytest.approx(alone.temperature, rel=1e-3)
        assert found.test == alone.test
        for part, answers in alone.answers.items():
            for name in ("label", "answer", "confidence", "label_probability"):
                wanted = getattr(answers, name)
                assert np.array_equal(getattr(found.answers[part], name), wanted)
    assert shared[0].temperature == shared[1].temperature  # to the bit, or bounds would part them


@pytest.mark.parametrize("temperature", [None, 1.5])
def test_without_validation_images_the_temperature_is_that_of_another_training_or_none(
    dataset: Dataset, temperature: float | None
) -> None:
    found = looked(with_whole_training_part(dataset), temperature=temperature)

    assert set(found.answers) == {"test"}
    assert found.temperature == temperature
    assert (found.answers["test"].scaled_confidence is None) == (temperature is None)
