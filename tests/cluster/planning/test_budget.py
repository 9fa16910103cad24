"""What a budget makes of a run: never above it, monotone in it, in the order that is stated."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.cluster.planning.budget import budget_words, fitting, shorter
from raynas.costs.budget import Budget, parse_budget
from raynas.errors import UserError
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.storage.usage import StageUsage, Usage
from tests.cluster.planning.test_plan import by_gates

ASKED = Settings(budget="2h", trainings=16)


def lengths(settings: Settings) -> tuple[float, ...]:
    """Return what is shortened, in the order in which it is."""
    retrain = settings.retrain
    return (
        settings.num_trainings,
        retrain.epochs,
        settings.pretrain.epochs,
        settings.training_epochs,
        settings.num_winners,
    )


def seconds_of(settings: Settings) -> float:
    """Return what a run takes of which everything takes a second an epoch."""
    trainings, epochs, pretraining, each, networks = lengths(settings)
    return trainings * each + pretraining + networks * epochs


def forecast(seconds: Callable[[Settings], float]) -> Callable[[Settings], Usage]:
    """Return a forecast whose high end is that many seconds."""
    return lambda settings: Usage(
        {"all": StageUsage(seconds=1, gpu_hours=1, low_seconds=0, high_seconds=seconds(settings))}
    )


def within(seconds: float, asked: Settings = ASKED, beside: float = 0) -> Settings:
    found, taken = fitting(Budget(seconds), shorter(asked), forecast(seconds_of), lambda _: beside)
    assert taken == seconds_of(found) + beside <= seconds
    return found


LEAST = min(map(seconds_of, shorter(ASKED)))
MOST = seconds_of(ASKED)


def test_the_order_is_that_of_the_setting_s_text_and_each_goes_as_far_as_it_says() -> None:
    chain = [lengths(each) for each in shorter(ASKED)]
    trainings, epochs, pretraining, each, networks = chain[0]
    firsts = [next(i for i, now in enumerate(chain) if now[k] < chain[0][k]) for k in range(5)]

    assert firsts == sorted(firsts)  # one after the other
    assert all(a >= b for one, two in pairwise(chain) for a, b in zip(one, two, strict=True))
    assert chain[-1] == pytest.approx(
        (8, math.ceil(epochs / 3), 0.34 * pretraining, 1, 1), rel=1e-3
    )
    assert (trainings, each, networks) == (16, 3, 3)


@given(st.floats(LEAST, 1.2 * MOST), st.floats(0, 0.2 * MOST))
def test_a_larger_budget_never_gets_less_of_anything(seconds: float, more: float) -> None:
    small, large = lengths(within(seconds)), lengths(within(seconds + more))

    assert all(a <= b for a, b in zip(small, large, strict=True))


@given(st.data())
def test_no_budget_is_exceeded_and_none_gets_less_whatever_the_forecast_says(
    data: st.DataObject,
) -> None:
    chain = list(shorter(ASKED))
    times = [data.draw(st.floats(1, 100)) for _ in chain]
    usage = forecast(lambda settings: times[chain.index(settings)])
    budget, more = data.draw(st.floats(min(times), 100)), data.draw(st.floats(0, 50))
    found, taken = fitting(Budget(budget), chain, usage, lambda _: 0)
    larger, _ = fitting(Budget(budget + more), chain, usage, lambda _: 0)

    assert times[chain.index(found)] == taken <= budget
    assert chain.index(larger) <= chain.index(found)


def test_what_fits_is_left_as_it_was_asked_for_and_never_made_longer() -> None:
    assert within(MOST) == ASKED
    assert within(100 * MOST) == ASKED


def test_trainings_go_before_epochs_and_epochs_before_pretraining() -> None:
    by_trainings = within(MOST - 24)  # a network's short training is three epochs
    assert lengths(by_trainings) == (8, *lengths(ASKED)[1:])
    by_epochs = within(MOST - 24 - 6)
    assert lengths(by_epochs) == (8, ASKED.retrain.epochs - 2, *lengths(ASKED)[2:])


def test_trainings_that_follow_from_epochs_are_fixed_before_these_are_shortened() -> None:
    settings = replace(ASKED, trainings=None)
    shortened = list(shorter(settings))[1:]

    assert {each.trainings for each in shortened} == {8}
    assert settings.num_trainings == 8  # a third more than half of the retraining


def test_a_supernet_that_is_taken_over_keeps_its_epochs() -> None:
    epochs = {each.pretrain.epochs for each in shorter(ASKED, is_pretrained=True)}

    assert epochs == {ASKED.pretrain.epochs}


def retrained(**retrain: Any) -> Settings:
    return replace(ASKED, retrain=RetrainSettings(**retrain))


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        (replace(ASKED, trainings=4), {"trainings": 4}),
        (replace(ASKED, trainings=0), {"trainings": 0, "training_epochs": 3}),
        (retrained(warmup_epochs=6.5), {"epochs": 7}),
        (retrained(scheduler="asha", asha_grace_epochs=9), {"epochs": 9}),
        (retrained(epochs=1, top_k=1), {"epochs": 1, "top_k": 1}),
        (retrained(on="all", final_k=2), {"top_k": 2}),
        (by_gates(seeds=2), {"top_k": 1}),
    ],
)
def test_nothing_is_shortened_beyond_what_can_work(
    settings: Settings, least: dict[str, int]
) -> None:
    last = list(shorter(settings))[-1]
    found = {
        "trainings": last.num_trainings,
        "training_epochs": last.training_epochs,
        "epochs": last.retrain.epochs,
        "top_k": last.num_winners,
    }

    assert {name: found[name] for name in least} == least


def test_networks_that_a_person_names_are_all_trained() -> None:
    named = replace(ASKED, architecture=("000000", "111111"))

    assert {each.num_winners for each in shorter(named)} == {2}


def test_a_budget_below_the_least_is_refused_with_what_the_least_takes() -> None:
    with pytest.raises(UserError) as refusal:
        within(LEAST - 1)
    assert str(refusal.value) == (
        f"--budget {Budget(LEAST - 1).text}: by its forecast the run takes up to {MOST:.0f} s as "
        f"asked for, and up to {LEAST:.0f} s "
        f"with 8 trainings (of 16), 5 epochs (of 15), "
        f"{0.34 * ASKED.pretrain.epochs:g} epochs of pretraining (of "
        f"{ASKED.pretrain.epochs:g}), 1 epoch a training (of 3), 1 network (of 3); raise it, or "
        "ask for less"
    )


def test_exports_and_what_is_spent_already_count() -> None:
    assert seconds_of(within(MOST, beside=24)) == MOST - 24


def test_gpu_hours_are_a_budget_of_their_own() -> None:
    usage = forecast(seconds_of)  # a GPU-hour for each second of its high end
    hours = Budget(MOST - 24, is_gpu_hours=True)
    found, taken = fitting(hours, shorter(ASKED), usage, lambda _: 1e9)

    assert found == within(MOST - 24)
    assert taken == MOST - 24


def test_the_plan_says_what_was_shortened_and_what_it_takes() -> None:
    budget = parse_budget("2h")
    retrain = replace(ASKED.retrain, epochs=12)
    settings = replace(ASKED, trainings=8, retrain=retrain)

    assert budget_words(budget, ASKED, settings, 6840) == (
        "2h: 8 trainings (of 16), 12 epochs (of 15); up to 114.0 min with planning and exports"
    )
    assert budget_words(budget, ASKED, ASKED, None) == "2h: all as asked for; as the run began"
    assert budget_words(parse_budget("8gpuh"), ASKED, ASKED, 7.5) == (
        "8gpuh: all as asked for; up to 7.5 GPU-hours"
    )
