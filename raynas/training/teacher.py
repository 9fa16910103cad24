"""A trained network whose answers another one learns beside the labels: knowledge distillation.

Sources: Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), and Beyer et al. 2022, "Knowledge
distillation: a good teacher is patient and consistent" (arXiv 2106.05237): both networks see the
same crop of every image, mixed and changed alike. The loss stands in ``losses.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raynas.data.dataset import Dataset
from raynas.training.onnx_network import OnnxNetwork

Answer = Callable[[torch.Tensor], torch.Tensor]
"""Maps images, N x C x H x W, to logits, N x classes, without gradients."""


class TeacherNetwork(Protocol):
    """What computes a teacher's logits; it can be sent to other nodes."""

    def on(self, device: torch.device) -> Answer:
        """Return what answers there, of images that are normalised as its own were."""


@dataclass(frozen=True)
class TorchNetwork:
    """A network of torch, in eval mode; on a GPU it computes in half precision, as trainers do."""

    network: nn.Module

    def on(self, device: torch.device) -> Answer:
        """Return what answers there; the network moves."""
        frozen = self.network.eval().requires_grad_(False).to(device)
        network = frozen.to(memory_format=torch.channels_last)

        def answer(images: torch.Tensor) -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits: torch.Tensor = network(images)
            return logits

        return answer


@dataclass(frozen=True)
class OnnxFile:
    """A graph of operations for onnxruntime, which computes on a GPU where it has that provider."""

    content: bytes

    def on(self, device: torch.device) -> Answer:
        """Return what answers there; images pass through the memory of the host."""
        network = OnnxNetwork(self.content, device.type, torch.get_num_threads())

        def answer(images: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(network(images.cpu().contiguous().numpy())).to(device)

        return answer


@dataclass(frozen=True)
class Teacher:
    """A network whose answers are learned, and the images that it was made for.

    Attributes:
        network: Computes its logits.
        classes: Names in the order of its logits.
        channels: Of an image.
        resolution: Height and width that it sees, in pixels.
        mean: Of each channel, by which its images are normalised, in [0, 1].
        std: Likewise the standard deviation.
        name: What it is, for people.
        content: The file from which it can be made again, ``teacher_file.py``.
    """

    network: TeacherNetwork
    classes: tuple[str, ...]
    channels: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str
    content: bytes = field(repr=False)

    def on(self, device: torch.device, dataset: Dataset) -> Answer:
        """Return what answers to the images of a training, as the teacher by itself would.

        Args:
            device: Where these images are.
            dataset: Its mean and deviation are those by which they are normalised.
        """
        answer, side = self.network.on(device), self.resolution
        # (x s + m - m') / s' of images x that were normalised by m, s, for a network of m', s'
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scale, shift = dataset.std / std, (dataset.mean - mean) / std
        factor, offset = (
            torch.tensor(each, device=device)[:, None, None] for each in (scale, shift)
        )

        @torch.no_grad()
        def as_it_sees(images: torch.Tensor) -> torch.Tensor:
            images = images * factor + offset
            if images.shape[-1] != side:
                size = side, side
                images = functional.interpolate(images, size, mode="bilinear", antialias=True)
            return answer(images)

        return as_it_sees
