"""The learning rate of a retraining, step by step."""

import math
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.settings.retrain import RetrainSettings
from raynas.training.schedules import learning_rate

EPOCHS, STEPS = 8, 5
Schedule = Literal["cosine", "linear", "exponential"]


def rates(schedule: Schedule, warmup: float = 0.0, peak: float = 0.4) -> list[float]:
    settings = RetrainSettings(
        epochs=EPOCHS,
        learning_rate=peak,
        schedule=schedule,
        warmup_epochs=warmup,
        schedule_decay=0.5,
    )
    return [learning_rate(settings, step, STEPS) for step in range(EPOCHS * STEPS)]


def test_without_a_warm_up_every_schedule_begins_at_its_peak_and_is_what_its_name_says() -> None:
    steps = range(EPOCHS * STEPS)

    assert rates("linear") == pytest.approx([0.4 * (1 - step / 40) for step in steps])
    assert rates("cosine") == [0.4 * 0.5 * (1 + math.cos(math.pi * (s / 40))) for s in steps]
    assert rates("exponential") == [0.4 * 0.5 ** (step // STEPS) for step in steps]


@given(st.sampled_from(["cosine", "linear", "exponential"]), st.floats(0.1, 7.9))
def test_a_warm_up_rises_along_a_line_and_leaves_the_rest_to_the_schedule(
    schedule: Schedule, warmup: float
) -> None:
    found = rates(schedule, warmup)
    rising = [step for step in range(EPOCHS * STEPS) if step < warmup * STEPS]
    falling = found[len(rising) :]

    assert [found[step] for step in rising] == pytest.approx(
        [0.4 * step / (warmup * STEPS) for step in rising]
    )
    assert all(a >= b for a, b in pairwise(falling))
    assert 0 < max(found) <= 0.4


def test_after_a_warm_up_of_whole_epochs_the_schedule_is_that_of_the_epochs_left() -> None:
    for schedule in ("cosine", "linear", "exponential"):
        shorter = RetrainSettings(
            epochs=EPOCHS - 3, learning_rate=0.4, schedule=schedule, schedule_decay=0.5
        )
        wanted = [learning_rate(shorter, step, STEPS) for step in range((EPOCHS - 3) * STEPS)]

        assert rates(schedule, warmup=3.0)[3 * STEPS :] == pytest.approx(wanted)


def test_a_step_beyond_the_last_one_has_no_negative_rate() -> None:
    settings = RetrainSettings(epochs=EPOCHS, schedule="linear")

    assert learning_rate(settings, 10 * EPOCHS * STEPS, STEPS) == 0.0
