"""The loss of a retraining: soft labels, weighted classes, two heads, workers, a teacher."""

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


TAUGHT = torch.randn(9, 3, generator=torch.Generator().manual_seed(1)) * 3


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_a_teacher_s_share_is_the_divergence_of_two_softened_answers(
    weights: torch.Tensor | None, is_mixed: bool
) -> None:
    """By the definition, sum_c p_c log(p_c / q_c), in double precision and image by image."""
    one_hot = functional.one_hot(LABELS, 3).float()
    labels = 0.3 * one_hot + 0.7 * one_hot.roll(1, 0) if is_mixed else LABELS
    share, temperature = 0.3, 2.5
    loss = TrainingLoss(0.1, weights=weights, teacher_weight=share, temperature=temperature)
    p, q = (torch.softmax(each.double() / temperature, 1) for each in (TAUGHT, LOGITS))
    each = (p * (p / q).log()).sum(1)
    counts = torch.ones(9) if weights is None else weights
    of_image = counts if weights is None else (labels if is_mixed else one_hot) @ counts
    divergence = (of_image * each).sum() / of_image.sum()
    by_labels = TrainingLoss(0.1, weights=weights)(LOGITS, labels, SUM)
    wanted = (1 - share) * by_labels + share * temperature**2 * divergence

    assert loss(LOGITS, labels, SUM, TAUGHT).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_without_a_share_or_without_a_teacher_the_loss_is_that_of_the_labels_to_the_bit() -> None:
    plain = TrainingLoss(0.1)(LOGITS, LABELS, 9.0)

    assert torch.equal(TrainingLoss(0.1, teacher_weight=0.0)(LOGITS, LABELS, 9.0, TAUGHT), plain)
    assert torch.equal(TrainingLoss(0.1, teacher_weight=0.9)(LOGITS, LABELS, 9.0), plain)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_towards_a_teacher_is_that_of_the_softened_answers_apart(
    temperature: float,
) -> None:
    """d(T^2 KL)/dz = T (softmax(z / T) - softmax(t / T)), a mean over the images."""
    logits = LOGITS.clone().requires_grad_()
    loss = TrainingLoss(teacher_weight=1.0, temperature=temperature)
    loss(logits, LABELS, 9.0, TAUGHT).backward()
    ours, theirs = (torch.softmax(each / temperature, 1) for each in (LOGITS, TAUGHT))

    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, temperature * (ours - theirs) / 9)
    same = LOGITS.clone().requires_grad_()
    assert loss(same, LABELS, 9.0, LOGITS).item() == pytest.approx(0.0, abs=1e-6)


def test_both_heads_learn_from_a_teacher() -> None:
    loss, other = TrainingLoss(0.1, 0.4, teacher_weight=0.5, temperature=2.0), LOGITS.flip(0)
    wanted = loss(LOGITS, LABELS, 1.0, TAUGHT) + 0.4 * loss(other, LABELS, 1.0, TAUGHT)

    assert torch.equal(loss((LOGITS, other), LABELS, 1.0, TAUGHT), wanted)
