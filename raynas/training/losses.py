"""What a retraining minimises: cross-entropy with soft labels, weighted classes and two heads.

With a teacher a share of it is the divergence from the teacher's answers (Hinton, Vinyals and Dean
2015, arXiv 1503.02531).
"""

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
        teacher_weight: Share of the loss that compares with a teacher, in [0, 1].
        temperature: By which logits are divided for that.
    """

    smoothing: float = 0.0
    auxiliary: float = 0.0
    weights: torch.Tensor | None = None
    teacher_weight: float = 0.0
    temperature: float = 1.0

    def __call__(
        self,
        outputs: Outputs,
        labels: torch.Tensor,
        weight: float,
        taught: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of this worker's part, of which the means over workers are the batch's.

        Args:
            outputs: Of the network.
            labels: N classes, or N x classes shares of them.
            weight: Of the part's images together; where there are several workers, the part's
                share of the whole batch's, as if its classes were spread evenly.
            taught: Logits of a teacher, N x classes; None: there is none.
        """
        if isinstance(outputs, tuple):
            main, auxiliary = (self._of(logits, labels, weight, taught) for logits in outputs)
            return main + self.auxiliary * auxiliary
        return self._of(outputs, labels, weight, taught)

    def _of(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        weight: float,
        taught: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return (1 - a) cross-entropy + a T^2 KL, a the share of the teacher."""
        logits = logits.float()
        by_labels = self._cross_entropy(logits, labels, weight)
        if taught is None:
            return by_labels
        by_teacher = self._divergence(logits, taught.float(), labels, weight)
        return (1 - self.teacher_weight) * by_labels + self.teacher_weight * by_teacher

    def _cross_entropy(
        self, logits: torch.Tensor, labels: torch.Tensor, weight: float
    ) -> torch.Tensor:
        """Return sum_n w_y(n) loss_n / sum_n w_y(n), as torch does, also of mixed labels."""
        smoothing = self.smoothing
        if self.weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        whole = functional.cross_entropy(
            logits, labels, self.weights, label_smoothing=smoothing, reduction="sum"
        )
        return whole / weight

    def _divergence(
        self, logits: torch.Tensor, taught: torch.Tensor, labels: torch.Tensor, weight: float
    ) -> torch.Tensor:
        """Return T^2 sum_n w_n KL(softmax(t_n / T) || softmax(z_n / T)) / sum_n w_n.

        Gradients of the divergence fall as 1 / T^2, so T^2 keeps its share of them. Images count as
        they do for the labels: a mixed one by its classes' weights in the shares of the mixture.
        """
        ours, theirs = (
            functional.log_softmax(each / self.temperature, dim=1) for each in (logits, taught)
        )
        each = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
        if self.weights is None:
            return self.temperature**2 * each.mean()
        is_mixed = labels.dim() == 2
        counts = labels.to(self.weights) @ self.weights if is_mixed else self.weights[labels]
        return self.temperature**2 * (counts * each).sum() / weight


def balanced_weights(labels: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    """Return n / (k n_c) for each class c of k that have images; 0 for one that has none."""
    counts = np.bincount(labels, minlength=num_classes)
    each = len(labels) / np.count_nonzero(counts)
    weights = np.where(counts > 0, each / np.maximum(counts, 1), 0.0)
    return weights.astype(np.float32)
