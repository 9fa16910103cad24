"""The loss of a retraining: soft labels, weighted classes, an auxiliary head, several workers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from raynas.training.losses import TrainingLoss, balanced_weights

LOGITS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2])
WEIGHTS = torch.tensor(balanced_weights(LABELS.numpy(), 3))
SUM = float(WEIGHTS[LABELS].sum())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_balanced_classes_weigh_the_same_together_and_images_one_on_the_mean(
    labels: list[int],
) -> None:
    weights = balanced_weights(np.array(labels), 5)
    counts = np.bincount(labels, minlength=5)

    assert weights[counts > 0] * counts[counts > 0] == pytest.approx(
        len(labels) / len(set(labels)), rel=1e-6
    )
    assert weights[labels].sum() == pytest.approx(len(labels), rel=1e-6)
    assert not weights[counts == 0].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_classes_are_those_of_torch(smoothing: float) -> None:
    found = TrainingLoss(smoothing, weights=WEIGHTS)(LOGITS, LABELS, SUM)
    wanted = functional.cross_entropy(LOGITS, LABELS, WEIGHTS, label_smoothing=smoothing)

    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_mixed_label_is_the_mixture_of_both_losses(weights: torch.Tensor | None) -> None:
    """The loss is linear in the labels, and a mixture leaves the sum of the weights alone."""
    loss, other = TrainingLoss(0.1, weights=weights), LABELS.roll(1)
    one_hot = functional.one_hot(LABELS, 3).float()
    mixed = 0.3 * one_hot + 0.7 * one_hot.roll(1, 0)
    wanted = 0.3 * loss(LOGITS, LABELS, SUM) + 0.7 * loss(LOGITS, other, SUM)

    assert loss(LOGITS, mixed, SUM).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_parts_of_a_batch_add_up_to_its_loss_however_their_classes_are_spread() -> None:
    loss = TrainingLoss(0.1, weights=WEIGHTS)
    parts = [(slice(0, 6), 6 / 9), (slice(6, 9), 3 / 9)]
    found = sum(
        share * loss(LOGITS[part], LABELS[part], share * SUM).item() for part, share in parts
    )

    assert found == pytest.approx(loss(LOGITS, LABELS, SUM).item(), rel=1e-6)


def test_an_auxiliary_head_counts_by_its_weight() -> None:
    loss, other = TrainingLoss(0.1, auxiliary=0.4), LOGITS.flip(0)
    wanted = loss(LOGITS, LABELS, 1.0) + 0.4 * loss(other, LABELS, 1.0)

    assert torch.equal(loss((LOGITS, other), LABELS, 1.0), wanted)
