"""Networks of torchvision whose random weights lie in files, as a download would leave them."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from raynas.nets.subnet import subnet
from raynas.spaces.architecture import Architecture
from raynas.training.starts.start import Start
from tests.builders import build_generator, build_space

SPACE = build_space("RN", identity=True)
COLOURS = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
"""Mean and deviation of the images that ``build_start`` is said to have been trained on."""


def build_start() -> Start:
    """Return random weights of a network of that space, for colour and 7 classes."""
    architecture = Architecture((0, 2))
    network = subnet(SPACE, architecture, 3, 7).train()
    generator = build_generator()
    for tensor in network.parameters():
        tensor.data.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    for _ in range(9):  # statistics
        network(torch.randn(16, 3, 8, 8, generator=generator))
    state = {name: each.clone() for name, each in network.state_dict().items()}
    return Start("tiny.pt", "file", architecture, state, COLOURS, 3, 7, compared=True)


@cache
def random_network(name: str, num_classes: int = 7) -> nn.Module:
    """Return a network of torchvision whose batch norms have seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.data.uniform_(0.5, 1.5)
                part.bias.data.normal_(0, 0.1)
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.05, 0.2)  # activations reach their ceilings
    return network.eval()


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of a training of MobileNetV2, which keeps more than its weights."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.pth"
    torch.save({"epoch": 3, "state_dict": random_network("mobilenet_v2").state_dict()}, path)
    return path
