"""Evaluation on held-out images: exact numbers, and a network that is left as it was."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score
from torch import nn

from raynas.data.dataset import Dataset, Images
from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.training.evaluation import evaluate
from tests.data.samples import build_dataset, tiny_space
from tests.training.reads import Reads

CPU = torch.device("cpu")


class Sure(nn.Module):
    """Says the class that is written into an image's brightness, and how sure it is."""

    def __init__(self, lead: float = 2.0) -> None:
        super().__init__()
        self.lead = lead

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x 4, of images without normalisation."""
        said = (images[:, 0, 0, 0] * 255).round().long()
        return self.lead * nn.functional.one_hot(said, 4).float()


def told(said: list[int], true: list[int]) -> Images:
    """Return images of which ``Sure`` says one thing while another is true."""
    pixels = np.array(said, dtype=np.uint8)[:, None, None, None]
    return Images(pixels.repeat(2, axis=2), np.array(true, dtype=np.int64))


@pytest.fixture
def plain() -> Dataset:
    """Return a data set whose normalisation changes nothing."""
    zero, one = np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    return replace(build_dataset(channels=1, classes=4), mean=zero, std=one)


class TestNumbers:
    @pytest.mark.parametrize(
        ("said", "true", "share"),
        [
            ([0, 1, 2, 3], [0, 1, 2, 3], 1.0),
            ([0, 1, 2, 3], [1, 2, 3, 0], 0.0),
            ([0, 1, 2, 3, 0], [0, 1, 2, 0, 1], 0.6),
        ],
    )
    def test_accuracy_is_the_share_of_images_that_are_right(
        self, plain: Dataset, said: list[int], true: list[int], share: float
    ) -> None:
        found = evaluate(Sure(), told(said, true), plain, CPU)

        assert found.accuracy == pytest.approx(share)

    @pytest.mark.parametrize(
        ("said", "true", "recalls"),
        [
            ([0, 1, 2, 3], [0, 1, 2, 3], [1, 1, 1, 1]),
            ([0] * 10, [0] * 9 + [1], [1, 0]),  # always the largest class
            ([0, 1, 2, 3, 0], [0, 1, 2, 0, 1], [1 / 2, 1 / 2, 1]),  # class 3 has no images
        ],
    )
    def test_balanced_accuracy_is_the_mean_share_of_the_classes_that_have_images(
        self, plain: Dataset, said: list[int], true: list[int], recalls: list[float]
    ) -> None:
        found = evaluate(Sure(), told(said, true), plain, CPU, batch=3)

        assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
        oracle = recall_score(true, said, labels=sorted(set(true)), average="macro")
        assert found.balanced_accuracy == pytest.approx(oracle)

    def test_the_loss_is_the_mean_cross_entropy_without_smoothing(self, plain: Dataset) -> None:
        total = math.exp(2.0) + 3
        right, wrong = -math.log(math.exp(2.0) / total), -math.log(1 / total)
        found = evaluate(Sure(2.0), told([0, 1, 2], [0, 1, 3]), plain, CPU)

        assert found.loss == pytest.approx((2 * right + wrong) / 3, rel=1e-6)


class TestNetwork:
    def build(self) -> nn.Module:
        """Return a network with batch norms and dropout."""
        return subnet(tiny_space(), Architecture((0, 1, 2)), 3, 3, dropout=0.5)

    @pytest.mark.parametrize("batch", [1, 5, 24, 1000])
    def test_how_many_images_are_looked_at_together_does_not_matter(self, batch: int) -> None:
        dataset, network = build_dataset(), self.build()
        found = evaluate(network, dataset.val, dataset, CPU, batch)
        wanted = evaluate(network, dataset.val, dataset, CPU)

        assert found.accuracy == wanted.accuracy
        assert found.loss == pytest.approx(wanted.loss, rel=1e-5)

    def test_the_network_keeps_its_weights_and_statistics_and_is_in_eval_mode(self) -> None:
        dataset, network = build_dataset(), self.build().train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        evaluate(network, dataset.val, dataset, CPU)

        assert not network.training
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])

    def test_no_gradient_is_kept(self) -> None:
        dataset, network = build_dataset(), self.build()
        evaluate(network, dataset.val, dataset, CPU)

        assert all(parameter.grad is None for parameter in network.parameters())

    def test_images_of_the_data_set_are_normalised_first(self) -> None:
        dataset, network = build_dataset(), self.build().eval()
        found = evaluate(network, dataset.test, dataset, CPU)
        pixels = dataset.test.pixels.astype(np.float32) / 255
        images = (pixels - dataset.mean[:, None, None]) / dataset.std[:, None, None]
        with torch.no_grad():
            logits = network(torch.from_numpy(images))
        labels = torch.from_numpy(dataset.test.labels)

        loss = nn.functional.cross_entropy(logits, labels).item()
        assert found.loss == pytest.approx(loss, rel=1e-5)
        assert found.accuracy == (logits.argmax(1) == labels).double().mean().item()


def test_the_host_asks_for_nothing_before_all_images_are_seen() -> None:
    dataset = build_dataset()
    network = subnet(tiny_space(), Architecture((0, 1, 2)), dataset.channels, 3, 0.0)
    with Reads() as few:
        evaluate(network, dataset.train, dataset, CPU, batch=16)
    with Reads() as many:
        evaluate(network, dataset.train, dataset, CPU, batch=2)

    assert few.found == many.found  # at the end, on the host
