"""What a retraining minimises: cross-entropy with soft labels, weighted classes and two heads."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Outputs = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
"""Logits, N x classes, perhaps with those of an auxiliary head."""


@dataclass(frozen=True)
class TrainingLoss:
    """The mean loss of a batch's images.

    Attributes:
        smoothing: Share of the target that is spread over all classes.
        auxiliary: Weight of the auxiliary head's loss.
        weights: Of the classes, where the network is; None: they are alike.
    """

    smoothing: float = 0.0
    auxiliary: float = 0.0
    weights: torch.Tensor | None = None

    def __call__(self, outputs: Outputs, labels: torch.Tensor, weight: float) -> torch.Tensor:
        """Return the loss of this worker's part, of which the means over workers are the batch's.

        Args:
            outputs: Of the network.
            labels: N classes, or N x classes shares of them.
            weight: Of the part's images together; where there are several workers, the part's
                share of the whole batch's, as if its classes were spread evenly.
        """
        if isinstance(outputs, tuple):
            main, auxiliary = (self._of(logits, labels, weight) for logits in outputs)
            return main + self.auxiliary * auxiliary
        return self._of(outputs, labels, weight)

    def _of(self, logits: torch.Tensor, labels: torch.Tensor, weight: float) -> torch.Tensor:
        """Return sum_n w_y(n) loss_n / sum_n w_y(n), as torch does, also of mixed labels."""
        logits, smoothing = logits.float(), self.smoothing
        if self.weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        whole = functional.cross_entropy(
            logits, labels, self.weights, label_smoothing=smoothing, reduction="sum"
        )
        return whole / weight


def balanced_weights(labels: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    """Return n / (k n_c) for each class c of k that have images; 0 for one that has none."""
    counts = np.bincount(labels, minlength=num_classes)
    each = len(labels) / np.count_nonzero(counts)
    weights = np.where(counts > 0, each / np.maximum(counts, 1), 0.0)
    return weights.astype(np.float32)
