"""What a budget makes of a run: of ever shorter settings, the first whose forecast fits.

The order in which settings are shortened is a list that the budget does not enter, so a larger
budget never gets less of anything, however the forecast behaves, and none is ever exceeded by it.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from raynas.costs.budget import Budget
from raynas.errors import UserError
from raynas.settings.settings import Settings
from raynas.storage.usage import Usage

FEWEST_TRAININGS = 8
"""Short trainings that are left; fewer teach nothing."""
_SHARE = 3  # one in so many epochs is left of a training
_PARTS = 100  # of a pretraining's epochs, which need not be whole


class Fit(NamedTuple):
    """Settings that a budget may allow.

    Attributes:
        settings: What is left of those that were asked for.
        taken: The most that they take, in the budget's unit.
    """

    settings: Settings
    taken: float


def fitting(
    budget: Budget,
    candidates: Iterable[Settings],
    forecast: Callable[[Settings], Usage],
    beside_seconds: Callable[[Settings], float],
) -> Fit:
    """Return the first settings whose forecast fits.

    Args:
        budget: What the whole run may take.
        candidates: Settings, those that were asked for first.
        forecast: Returns what a run of them takes; its high end counts.
        beside_seconds: Returns what it takes beside its forecast.

    Raises:
        UserError: None fits; it says what the least of them takes.
    """
    tried: list[Fit] = []
    for settings in candidates:
        fit = Fit(settings, budget.taken(forecast(settings), beside_seconds(settings)))
        if budget.allows(fit.taken):
            return fit
        tried.append(fit)
    asked, least = tried[0], min(tried, key=lambda each: each.taken)
    shortened = ", ".join(shortened_words(asked.settings, least.settings)) or "no less to do"
    raise UserError(
        f"--budget {budget.text}: by its forecast the run takes up to {budget.show(asked.taken)} "
        f"as asked for, and up to {budget.show(least.taken)} with {shortened}; raise it, or ask "
        "for less"
    )


def shorter(settings: Settings, is_pretrained: bool = False) -> Iterator[Settings]:
    """Yield what was asked for, and then ever less of it, in the order that ``--budget`` states.

    Args:
        settings: What was asked for.
        is_pretrained: Whether the supernet is taken over, so that its epochs take no time.
    """
    yield settings
    if settings.num_trainings:  # which follow from the epochs unless they are set
        settings = replace(settings, trainings=settings.num_trainings)
    rungs = [_fewer_trainings, _fewer_epochs, _less_pretraining, _briefer_trainings, _fewer_winners]
    for rung in rungs:
        if rung is _less_pretraining and is_pretrained:
            continue
        for shortened in rung(settings):
            settings = shortened
            yield settings


def _fewer_trainings(settings: Settings) -> Iterator[Settings]:
    for count in range(settings.num_trainings - 1, FEWEST_TRAININGS - 1, -1):
        yield replace(settings, trainings=count)


def _fewer_epochs(settings: Settings) -> Iterator[Settings]:
    """Shorten the retraining to a third, and to no less than its warm-up and ASHA's grace."""
    retrain = settings.retrain
    grace = retrain.asha_grace_epochs if retrain.scheduler == "asha" else 1
    least = max(math.ceil(retrain.epochs / _SHARE), math.floor(retrain.warmup_epochs) + 1, grace)
    for epochs in range(retrain.epochs - 1, least - 1, -1):
        yield replace(settings, retrain=replace(retrain, epochs=epochs))


def _less_pretraining(settings: Settings) -> Iterator[Settings]:
    pretrain = settings.pretrain
    if not pretrain.epochs:
        return
    for parts in range(_PARTS - 1, math.ceil(_PARTS / _SHARE) - 1, -1):
        epochs = float(f"{pretrain.epochs * parts / _PARTS:.4g}")
        yield replace(settings, pretrain=replace(pretrain, epochs=epochs))


def _briefer_trainings(settings: Settings) -> Iterator[Settings]:
    for epochs in range(settings.training_epochs - 1, 0, -1) if settings.num_trainings else ():
        yield replace(settings, training_epochs=epochs)


def _fewer_winners(settings: Settings) -> Iterator[Settings]:
    """Retrain fewer networks, unless a person has named them or wants several in the end."""
    retrain = settings.retrain
    least = retrain.final_k if retrain.on == "all" else 1
    for count in (
        range(settings.num_winners - 1, least - 1, -1) if not settings.architecture else ()
    ):
        yield replace(settings, retrain=replace(retrain, top_k=count))


def refuse_budget(settings: Settings) -> None:
    """Refuse a budget in settings of which nobody wants a forecast, by which it would choose."""
    if settings.budget is not None:
        raise UserError(
            f"--budget {settings.budget} with --skip-forecast: what fits is chosen by the "
            "forecast; leave one of the two out"
        )


def budget_words(budget: Budget, asked: Settings, settings: Settings, taken: float | None) -> str:
    """Return what a budget has made of settings, for the plan.

    Args:
        budget: What the run may take.
        asked: The settings that were asked for.
        settings: What is left of them.
        taken: The most that this takes; None: it was chosen when the run began.
    """
    shortened = ", ".join(shortened_words(asked, settings)) or "all as asked for"
    beside = "" if budget.is_gpu_hours else " with planning and exports"
    when = "as the run began" if taken is None else f"up to {budget.show(taken)}{beside}"
    return f"{budget.text}: {shortened}; {when}"


def shortened_words(asked: Settings, settings: Settings) -> list[str]:
    """Return what is shorter than what was asked for, such as ``12 epochs (of 15)``."""
    pairs = (
        ("training", "", asked.num_trainings, settings.num_trainings),
        ("epoch", "", asked.retrain.epochs, settings.retrain.epochs),
        ("epoch", " of pretraining", asked.pretrain.epochs, settings.pretrain.epochs),
        ("epoch", " a training", asked.training_epochs, settings.training_epochs),
        ("network", "", asked.num_winners, settings.num_winners),
    )
    return [
        f"{now:g} {what}{'s' * (now != 1)}{of} (of {before:g})"
        for what, of, before, now in pairs
        if before != now
    ]
