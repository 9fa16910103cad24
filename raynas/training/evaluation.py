"""Loss and accuracy of a network on held-out images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from raynas.training.batches import in_order, normalise
from raynas.training.images import Dataset, Images, Part


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy, and the share of images classified correctly, in [0, 1]."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(  # noqa: PLR0913 - what is evaluated, on what, where and how
    network: nn.Module,
    part: Part,
    dataset: Dataset,
    device: torch.device,
    batch: int = 256,
    pieces: Callable[[Part, int], Iterator[Images]] = in_order,
) -> Evaluation:
    """Evaluate a network in eval mode, and leave it in that mode.

    Args:
        network: Maps N x C x H x W to logits.
        part: The images to look at.
        dataset: Gives the normalisation.
        device: Where the network is.
        batch: Images at a time; no influence on the result but rounding.
        pieces: Cuts the part into batches, in its order.
    """
    network.eval()
    loss = correct = 0.0
    for piece in pieces(part, batch):
        pixels = torch.from_numpy(piece.pixels).to(device)
        labels = torch.from_numpy(piece.labels).to(device)
        images = normalise(pixels, dataset).contiguous(memory_format=torch.channels_last)
        logits = network(images).float()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
    return Evaluation(loss / len(part), correct / len(part))
