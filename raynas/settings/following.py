"""Settings that follow from the data or from a forecast: worked out when a run is planned.

A run records them as they were worked out, so whoever reads its settings needs to know nothing of
this, and beside them in its plan what was asked for in their place (``PlanFacts.asked``): the same
command is known by that when it continues the run, and takes what was recorded.
"""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from raynas.errors import UserError
from raynas.settings.deciding import flat
from raynas.settings.settings import Settings

LENGTHS = ("epochs", "seen", "least-steps")
"""Settings of ``[retrain]`` that say how long it takes."""


def by_images(settings: Settings, num_images: int) -> Settings:
    """Return settings whose epochs follow from ``retrain.seen`` and ``retrain.least_steps``.

    Epochs are ceil(seen / training images) where ``seen`` is given, 1 at least, and as many as
    make the least steps of ceil(training images / batch) an epoch.

    Args:
        settings: What was asked for.
        num_images: Training images.

    Raises:
        UserError: So few epochs that the rate never falls after its warm-up.
    """
    retrain = settings.retrain
    steps = math.ceil(num_images / retrain.batch)
    shown = retrain.epochs if retrain.seen is None else math.ceil(retrain.seen / num_images)
    epochs = max(shown, math.ceil(retrain.least_steps / steps), 1)
    if retrain.seen is not None and retrain.warmup_epochs >= epochs:
        raise UserError(
            f"--retrain.seen {retrain.seen:,}: of {num_images:,} training images these are no more "
            f"epochs ({epochs}) than --retrain.warmup-epochs {retrain.warmup_epochs:g}; raise it, "
            "or lower the warm-up"
        )
    return dataclasses.replace(settings, retrain=dataclasses.replace(retrain, epochs=epochs))


def with_length(settings: Settings, named: Collection[str], where: str) -> Settings:
    """Return settings in which a length that somebody names counts, not one of somewhere else.

    Epochs take the place of images seen, and either of the two that of the least steps.

    Args:
        settings: They have the values that are named, or are to get them.
        named: Settings of ``[retrain]`` that one file or command line names.
        where: That file or command line, as errors start.

    Raises:
        UserError: It names both.
    """
    if {"epochs", "seen"} <= set(named):
        raise UserError(
            f"{where}: got epochs and seen of retrain, which both say how long it takes; leave one "
            "of the two out"
        )
    retrain = settings.retrain
    if "epochs" in named:
        retrain = dataclasses.replace(retrain, seen=None)
    if {"epochs", "seen"} & set(named) and "least-steps" not in named:
        retrain = dataclasses.replace(retrain, least_steps=0)
    return dataclasses.replace(settings, retrain=retrain)


def what_follows(asked: Settings, settings: Settings) -> dict[str, Any]:
    """Return what was asked for in the place of each setting that was worked out, by its name."""
    before, now = (flat(json.loads(each.to_json())) for each in (asked, settings))
    return {name: value for name, value in before.items() if value != now[name]}


def as_asked(recorded: str, asked: Mapping[str, Any]) -> str:
    """Return a run's settings as they were asked for, as ``Settings.to_json`` makes them.

    Args:
        recorded: As the run recorded them.
        asked: What ``what_follows`` found.
    """
    tree = json.loads(recorded or "{}")
    for group, values in _by_group(asked).items():
        (tree.setdefault(group, {}) if group else tree).update(values)
    return json.dumps(tree, sort_keys=True)


def as_recorded(settings: Settings, recorded: str, asked: Mapping[str, Any]) -> Settings:
    """Return settings of a command with what a run has recorded of those that follow.

    Args:
        settings: Of the command, the same as those that were asked for when the run began.
        recorded: As the run recorded them.
        asked: What ``what_follows`` found when it began.
    """
    found = flat(json.loads(recorded or "{}"))
    groups = _by_group({name: found[name] for name in asked})
    alone = groups.pop("", {})
    inner = {
        group: dataclasses.replace(getattr(settings, group), **values)
        for group, values in groups.items()
    }
    return dataclasses.replace(settings, **alone, **inner)


def _by_group(named: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings by the names of their fields, by that of their stage; empty: of none."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in named.items():
        group, _, field = name.replace("-", "_").rpartition(".")
        groups.setdefault(group, {})[field] = value
    return groups
