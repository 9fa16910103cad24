"""Settings of differentiable searches: the published numbers, the temperature, what is refused."""

import re
from typing import Any

import pytest

from raynas.errors import UserError
from raynas.settings.differentiable import DifferentiableSettings
from tests.settings.published import DARTS, PCDARTS, PRDARTS


def test_the_presets_have_the_published_numbers() -> None:
    assert (PRDARTS.cells, PRDARTS.channels, PRDARTS.epochs, PRDARTS.batch) == (6, 16, 200, 250)
    assert (PRDARTS.skip_weight, PRDARTS.group_weight, PRDARTS.path_weight) == (0.01, 0.005, 0.005)
    assert (PRDARTS.low, PRDARTS.high, PRDARTS.operation_dropout) == (-0.1, 1.1, 0.4)
    assert (DARTS.cells, DARTS.epochs, DARTS.batch, DARTS.weight_decay) == (8, 50, 64, 3e-4)
    assert (PCDARTS.partial, PCDARTS.warmup, PCDARTS.learning_rate) == (4, 15, 0.1)
    assert {(each.gates, each.genotype) for each in (DARTS, PCDARTS)} == {("softmax", "edges")}


def test_the_temperature_falls_linearly_from_the_first_epoch_to_the_last() -> None:
    settings = DifferentiableSettings(epochs=4)

    assert [settings.temperature(epoch) for epoch in range(4)] == pytest.approx([1, 0.7, 0.4, 0.1])
    assert DifferentiableSettings(epochs=1).temperature(0) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"low": 0.1}, "--differentiable.low: got 0.1, wanted less than 0"),
        ({"high": 1.0}, "--differentiable.high: got 1.0, wanted more than 1"),
        ({"last_temperature": 0.0}, "--differentiable.last-temperature: got 0.0, wanted more than"),
        (
            {"operation_dropout": 1.0},
            "--differentiable.operation-dropout: got 1.0, wanted a number",
        ),
        ({"channels": 12, "partial": 4}, "--differentiable.partial 4: got 12 channels, wanted a"),
        ({"warmup": 9, "epochs": 9}, "--differentiable.warmup 9: got 9 epochs in all, wanted more"),
        ({"gates": "softmax"}, "--differentiable.gates softmax: got weights of what open gates"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence_that_names_the_flag(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        DifferentiableSettings(**given)
