"""What a trained network answers, image by image, and how its confidences are calibrated."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from raynas.data.dataset import Dataset
from raynas.training.data_parallel_group import ALONE, DataParallelGroup
from raynas.training.evaluation import Evaluation, Look
from raynas.training.temperature import Batch, fit_temperature

Classes = npt.NDArray[np.int32]
Shares = npt.NDArray[np.float32]
Evaluate = Callable[[str, Look], Evaluation]
"""Evaluates a part, "val" or "test", and shows the logits."""


@dataclass(frozen=True)
class Answers:
    """Answers on N images, in their order.

    Attributes:
        label: N class indices.
        answer: N, the most probable classes.
        confidence: N, their probabilities, in [0, 1].
        label_probability: N, in [0, 1].
        scaled_confidence: N, with logits divided by the temperature; None without one.
    """

    label: Classes
    answer: Classes
    confidence: Shares
    label_probability: Shares
    scaled_confidence: Shares | None


@dataclass(frozen=True)
class LastLook:
    """What a network that was trained to its end makes of the images it did not learn from.

    Attributes:
        test: On the test images.
        answers: By part, "val" where there are such images and "test".
        temperature: Of its logits; None: they stay as they are.
    """

    test: Evaluation
    answers: dict[str, Answers]
    temperature: float | None


class AnswerSheet:
    """Takes answers down on the device as batches are shown; nothing waits for the host."""

    def __init__(self, images: int, device: torch.device, temperature: float | None) -> None:
        """Begin with an empty sheet for so many images."""
        self._temperature = temperature
        self._classes = torch.zeros(2, images, dtype=torch.int32, device=device)
        self._shares = torch.zeros(3, images, dtype=torch.float32, device=device)

    def __call__(self, first: int, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Take the answers to a batch down, whose first image has that number."""
        place = slice(first, first + len(labels))
        probabilities = logits.softmax(dim=1)
        answer = logits.argmax(dim=1)
        scaled = logits.div(self._temperature or 1.0).softmax(dim=1)
        self._classes[:, place] = torch.stack([labels, answer]).int()
        self._shares[0, place] = probabilities.gather(1, answer[:, None])[:, 0]
        self._shares[1, place] = probabilities.gather(1, labels[:, None])[:, 0]
        self._shares[2, place] = scaled.gather(1, answer[:, None])[:, 0]

    def gathered(self, group: DataParallelGroup) -> Answers:
        """Return the answers to the batches of all workers, on each of them."""
        group.add_up([self._classes, self._shares])  # where another worker saw an image it is 0
        label, answer = self._classes.cpu().numpy()
        confidence, label_probability, scaled = self._shares.cpu().numpy()
        has_scaled = self._temperature is not None
        return Answers(label, answer, confidence, label_probability, scaled if has_scaled else None)


def last_look(
    evaluate: Evaluate,
    dataset: Dataset,
    device: torch.device,
    group: DataParallelGroup = ALONE,
    temperature: float | None = None,
) -> LastLook:
    """Look at the validation images, if there are any, and once at the test's.

    Args:
        evaluate: Of the trained network, called on all workers at the same time.
        dataset: The images.
        device: Where the network is.
        group: The workers that share the images.
        temperature: Where nothing is left to fit one to: that of another training.
    """
    answers: dict[str, Answers] = {}
    if len(dataset.val):
        shown: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        evaluate("val", lambda first, logits, labels: shown.append((first, logits, labels)))
        batches: list[Batch] = [(logits, labels) for _, logits, labels in shown]
        temperature = fit_temperature(batches, device, group)
        sheet = AnswerSheet(len(dataset.val), device, temperature)
        for batch in shown:
            sheet(*batch)
        answers["val"] = sheet.gathered(group)
    sheet = AnswerSheet(len(dataset.test), device, temperature)
    test = evaluate("test", sheet)
    answers["test"] = sheet.gathered(group)
    return LastLook(test, answers, temperature)
