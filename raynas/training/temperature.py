"""Temperature scaling: one number by which logits are divided, so that confidences are honest.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2: the T that
minimises the negative log likelihood of the validation images. Answers stay as they are.
"""

import math
from collections.abc import Callable, Sequence

import torch
from scipy.optimize import brentq
from torch.nn import functional

from raynas.training.data_parallel_group import ALONE, DataParallelGroup

LEAST, MOST = 0.1, 10.0
"""Bounds of temperatures."""
_Z = 1.959963984540054  # standard errors that are more than noise: 95 of 100 cases
_TOLERANCE = 1e-4  # of log T
Batch = tuple[torch.Tensor, torch.Tensor]
"""Logits, N x classes, and labels, N."""


def fit_temperature(
    batches: Sequence[Batch], device: torch.device, group: DataParallelGroup = ALONE
) -> float | None:
    """Return the temperature of validation images; None where none helps by more than noise.

    It is kept where the negative log likelihood falls by more than 1.96 standard errors of its
    mean difference, paired over the images, and where the minimum lies within the bounds.

    Args:
        batches: Of this worker; none where another one saw them all.
        device: Where workers meet.
        group: The workers among whom the images were shared; all get the same result.
    """

    def over_all(*sums: torch.Tensor | float) -> list[float]:
        whole = torch.tensor([float(each) for each in sums], dtype=torch.float64, device=device)
        group.add_up([whole])
        found: list[float] = whole.tolist()
        return found

    def slope(log_t: float) -> float:
        return over_all(sum(_slope(*batch, math.exp(-log_t)) for batch in batches))[0]

    images = over_all(sum(len(labels) for _, labels in batches))[0]
    log_t = _root(slope) if images > 1 else None
    if log_t is None:
        return None
    temperature = math.exp(log_t)
    gains = [_gains(*batch, temperature) for batch in batches]
    total, squares = over_all(
        sum(each.sum() for each in gains), sum(each.square().sum() for each in gains)
    )
    mean = total / images
    variance = max(squares / images - mean**2, 0.0) / (images - 1)  # of the mean
    return temperature if mean > _Z * math.sqrt(variance) else None


def _root(slope: Callable[[float], float]) -> float | None:
    """Return log T where the likelihood is highest; None: at a bound, or anywhere."""
    low, high = math.log(LEAST), math.log(MOST)
    if not slope(low) > 0 > slope(high):
        return None
    return float(brentq(slope, low, high, xtol=_TOLERANCE))


def _slope(logits: torch.Tensor, labels: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the derivative of the negative log likelihood by b = 1 / T, summed over images.

    That is sum over i of E_p[z_i] - z_i,y with p = softmax(b z_i), which grows with b: the
    likelihood is concave in b, so it has one maximum at most.
    """
    logits = logits.double()
    expected = (logits.mul(scale).softmax(dim=1) * logits).sum(dim=1)
    return (expected - logits.gather(1, labels[:, None])[:, 0]).sum()


def _gains(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return by how much the negative log likelihood of each image falls."""
    logits = logits.double()
    before, after = (
        functional.cross_entropy(each, labels, reduction="none")
        for each in (logits, logits / temperature)
    )
    return before - after
