"""What an export says of where a network comes from: its images, and how it was found."""

import json
from typing import Any

from raynas.settings.settings import Settings
from raynas.storage.outcome_rows import is_on_all
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import NEW_WEIGHTS, START
from raynas.storage.uris import name_of

Row = dict[str, Any]
_PATHS = ("data", "space", "method", "recipe", "start")  # settings that may be paths


def data_of(facts: PlanFacts, settings: Settings) -> Row:
    """Return the name and the numbers of the images that a network was trained on.

    Args:
        facts: What the run recorded of its images.
        settings: Of the run.
    """
    return {
        "name": _public(settings.data),
        **{part: getattr(facts, part) for part in ("train", "val", "test")},
        "skipped": len(facts.skipped),
        "class_counts": facts.class_counts,
    }


def found_by(run: Row, settings: Settings, outcome: Row, networks: int) -> Row:
    """Return how a network was found; of paths it says the last name.

    Args:
        run: Of the table ``runs``.
        settings: Of the run.
        outcome: Of the network.
        networks: That were trained in the run.
    """
    paths = {name: getattr(settings, name) for name in _PATHS}
    names = {name: _public(path) for name, path in paths.items() if path is not None}
    search = settings.search
    return {
        "run": run["run"],
        "method": names["method"],
        "score": search.score if search.traits.maximises_score else None,
        "search": search.strategy,
        "seed": run["seed"],
        "rank": outcome["rank"],
        "networks": networks,
        "trained_on": "all" if is_on_all(outcome) else "train",
        "epochs": outcome["epochs"],
        "begun_from": _begun_from(outcome, names.get("start")),
        "git_commit": run["git_commit"],
        "versions": json.loads(run["versions"]),
        "settings": json.loads(settings.to_json()) | names,
    }


def _begun_from(outcome: Row, start: str | None) -> str | None:
    """Return whose weights the training of a network began from; None: from new ones."""
    told = outcome.get("begun_from", START)  # winners begin from the start, where there is one
    if told == START:
        return start
    return None if told == NEW_WEIGHTS else told


def _public(location: str) -> str:
    """Return the name of data, space, method or recipe without the folders above it."""
    return name_of(location.rstrip("/")) or location
