"""Temperature scaling: the maximum of the likelihood, kept where it is more than chance."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from raynas.training.temperature import fit_temperature

CPU = torch.device("cpu")


def honest(images: int, seed: int = 0, classes: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits whose probabilities are those of the labels that are drawn by them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("true", [0.4, 2.5])
def test_it_minimises_the_negative_log_likelihood_and_undoes_what_scaled_the_logits(
    true: float,
) -> None:
    logits, labels = honest(3000)
    logits = logits * true
    found = fit_temperature([(logits[:1000], labels[:1000]), (logits[1000:], labels[1000:])], CPU)
    assert found is not None
    oracle = minimize_scalar(
        lambda log_t: float(functional.cross_entropy(logits.double() / np.exp(log_t), labels)),
        bounds=(np.log(0.1), np.log(10)),
        method="bounded",
        options={"xatol": 1e-7},
    )

    assert found == pytest.approx(np.exp(oracle.x), rel=1e-3)
    assert found == pytest.approx(true, rel=0.1)


def test_honest_logits_keep_their_temperature_in_nearly_all_cases() -> None:
    kept = [fit_temperature([honest(300, seed)], CPU) for seed in range(40)]

    assert sum(each is not None for each in kept) <= 4


def test_where_all_answers_are_right_no_temperature_is_the_best_one() -> None:
    """The likelihood rises without end as T falls; one mistake later would cost all of it."""
    logits = 3 * functional.one_hot(torch.arange(4), 4).float()

    assert fit_temperature([(logits, torch.arange(4))], CPU) is None


def test_no_images_or_one_image_have_none() -> None:
    logits, labels = honest(1)

    assert fit_temperature([], CPU) is None
    assert fit_temperature([(logits, labels)], CPU) is None
