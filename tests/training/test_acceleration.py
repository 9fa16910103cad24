"""What makes trainings on GPUs faster, and what of it CPUs are spared."""

import pytest
import torch
from torch import nn

from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.training.acceleration import measured_convolutions
from raynas.training.optimisers import make_optimiser
from raynas.training.retraining import Retraining
from tests.data.samples import build_dataset, tiny_space


def begin(device: str = "cpu") -> Retraining:
    """Return a retraining."""
    path, settings = Architecture((0, 1, 2)), RetrainSettings(batch=16)
    return Retraining(tiny_space(), path, build_dataset(), settings, 0, device)


def seen_in_a_step(retraining: Retraining) -> list[bool]:
    """Return whether cudnn measures, in a step's forward pass and in an evaluation's."""
    found: list[bool] = []
    for network in {retraining._network, retraining.evaluated}:
        network.register_forward_hook(lambda *_: found.append(torch.backends.cudnn.benchmark))
    retraining.train_step(0)
    retraining.evaluate("test")
    return found


def test_on_a_gpu_cudnn_measures_its_algorithms_until_the_end_or_an_error() -> None:
    """The switch is torch's, and there without a GPU."""
    assert not torch.backends.cudnn.benchmark

    @measured_convolutions(gpu())
    def fail() -> None:
        assert torch.backends.cudnn.benchmark
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert not torch.backends.cudnn.benchmark


def gpu() -> torch.device:
    """Return the first GPU, which need not be there."""
    return torch.device("cuda", 0)


def test_on_a_cpu_nothing_is_switched() -> None:
    assert seen_in_a_step(begin()) == [False, False]


def test_on_a_cpu_weights_are_updated_as_they_ever_were() -> None:
    optimiser = make_optimiser(nn.Conv2d(3, 3, 3), RetrainSettings())

    assert [bool(group["fused"]) for group in optimiser.param_groups] == [False, False]


@pytest.mark.gpu
def test_on_a_gpu_weights_are_updated_at_once_and_convolutions_are_measured_in_steps_alone() -> (
    None
):
    retraining = begin("cuda")

    assert all(group["fused"] for group in retraining._optimiser.param_groups)
    assert seen_in_a_step(retraining) == [True, False]


@pytest.mark.gpu
def test_a_retraining_on_a_gpu_goes_on_from_its_checkpoint() -> None:
    first, second = begin("cuda"), begin("cuda")
    first.run_epoch()
    second.restore(first.to_bytes())

    assert second.to_bytes() == first.to_bytes()
    assert second.run_epoch().train_loss == pytest.approx(first.run_epoch().train_loss, rel=1e-2)
