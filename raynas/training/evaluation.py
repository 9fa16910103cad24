"""Loss and accuracies of a network on held-out images.

Balanced accuracy is the mean of the classes' recalls (Brodersen et al., ICPR 2010): where classes
differ in size, plain accuracy mostly tells how the largest ones fare.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raynas.data.batches import in_order, normalise
from raynas.data.dataset import Dataset, Images, Part


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of some images.

    Attributes:
        loss: Mean cross-entropy.
        accuracy: Share of images classified correctly, in [0, 1].
        balanced_accuracy: Mean of that share over the classes that have images, in [0, 1].
    """

    loss: float
    accuracy: float
    balanced_accuracy: float


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
    loss = 0.0
    right, seen = (torch.zeros(dataset.num_classes, dtype=torch.int64) for _ in range(2))
    for piece in pieces(part, batch):
        pixels = torch.from_numpy(piece.pixels).to(device)
        labels = torch.from_numpy(piece.labels).to(device)
        images = normalise(pixels, dataset).contiguous(memory_format=torch.channels_last)
        logits = network(images).float()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        hits = labels[logits.argmax(dim=1) == labels]
        right += torch.bincount(hits.cpu(), minlength=dataset.num_classes)
        seen += torch.from_numpy(np.bincount(piece.labels, minlength=dataset.num_classes))
    present = seen > 0
    recalls = right[present] / seen[present].double()
    return Evaluation(loss / len(part), right.sum().item() / len(part), recalls.mean().item())
