"""Loss and accuracies of a network on held-out images.

Balanced accuracy is the mean of the classes' recalls (Brodersen et al., ICPR 2010): where classes
differ in size, plain accuracy mostly tells how the largest ones fare.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raynas.data.batches import in_order, on_device
from raynas.data.dataset import Dataset, Images, Part
from raynas.training.data_parallel_group import ALONE, DataParallelGroup


class Pieces(Protocol):
    """Cuts images into batches for each of several workers."""

    def __call__(self, images: Part, batch: int, worker: int, workers: int) -> Iterator[Images]:
        """Yield every batch of a worker, in their order."""


Look = Callable[[int, torch.Tensor, torch.Tensor], None]
"""Is shown a batch on its device: the number of its first image, logits of N x classes, labels."""


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
    pieces: Pieces = in_order,
    group: DataParallelGroup = ALONE,
    look: Look | None = None,
) -> Evaluation:
    """Evaluate a network in eval mode, and leave it in that mode.

    Nothing leaves the device before all images are seen: a GPU never waits for the host.

    Args:
        network: Maps N x C x H x W to logits.
        part: The images to look at.
        dataset: Gives the normalisation.
        device: Where the network is.
        batch: Images at a time; no influence on the result but rounding.
        pieces: Cuts the part into batches, in its order.
        group: The workers that take the batches in turns; no influence on the result.
        look: Shown the logits of this worker's batches.
    """
    network.eval()
    losses = torch.zeros(-(-len(part) // batch), dtype=torch.float64, device=device)
    right = torch.zeros(dataset.num_classes, dtype=torch.int64, device=device)
    numbers = range(group.rank, len(losses), group.size)
    for number, piece in zip(numbers, pieces(part, batch, group.rank, group.size), strict=True):
        pair = torch.from_numpy(piece.pixels), torch.from_numpy(piece.labels)
        images, labels = on_device(pair, dataset, device)
        logits = network(images).float()
        if look is not None:
            look(number * batch, logits, labels)
        losses[number] = functional.cross_entropy(logits, labels, reduction="sum")
        right.scatter_add_(0, labels, (logits.argmax(dim=1) == labels).long())
    group.add_up([losses, right])
    loss = sum(losses.tolist())  # in the order of the images, whoever saw them
    right = right.cpu()
    seen = torch.from_numpy(np.bincount(part.labels, minlength=dataset.num_classes))
    present = seen > 0
    recalls = right[present] / seen[present].double()
    return Evaluation(loss / len(part), right.sum().item() / len(part), recalls.mean().item())
