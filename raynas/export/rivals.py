"""Exports of networks that stood beside the winners: those that are ahead of them."""

from collections.abc import Mapping
from typing import Any

from raynas.nets.rivals import RANDOM, Rival
from raynas.reporting.rivals import verdict
from raynas.spaces.architecture import Architecture
from raynas.storage.outcome_rows import rival_file
from raynas.storage.run_store import RunStore

Row = dict[str, Any]


def winning_rivals(store: RunStore) -> list[Row]:
    """Return the rival that is more accurate than all winners, as an outcome, or nothing.

    Args:
        store: The run folder.
    """
    found = verdict(store)
    if found is None or not found.rival_wins:
        return []
    return [found.rival | {"architecture": rival_file(found.rival["rival"]), "rank": None}]


def is_rival(outcome: Mapping[str, Any]) -> bool:
    """Return whether an outcome is of a network that is not of the search space."""
    return outcome.get("rival") not in {None, RANDOM}


def chosen_network(outcome: Mapping[str, Any]) -> Architecture | Rival:
    """Return which network an outcome is of."""
    if is_rival(outcome):
        return Rival.parse(outcome["network"])
    return Architecture.parse(outcome.get("network") or outcome["architecture"])
