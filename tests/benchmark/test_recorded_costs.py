"""Costs of networks from those that a search has scored: looked up, added up, or not known."""

import itertools
from typing import Any

import numpy as np

from raynas.benchmark.recorded_costs import recorded_costs
from raynas.spaces.architecture import Architecture

EVERY = [Architecture(choices) for choices in itertools.product(range(3), repeat=4)]
TABLE = np.random.default_rng(0).integers(1, 10**8, size=(4, 3))


def cost(architecture: Architecture) -> int:
    return 12_345 + int(TABLE[range(4), architecture].sum())


def rows_of(architectures: list[Architecture]) -> list[dict[str, Any]]:
    return [{"architecture": str(each), "macs": cost(each)} for each in architectures]


def test_costs_of_scored_networks_are_those_that_were_recorded() -> None:
    found = recorded_costs(rows_of(EVERY[:5]), EVERY[2:4], "macs")

    assert found is not None
    assert found.tolist() == [cost(each) for each in EVERY[2:4]]


def test_enough_scored_networks_tell_what_all_others_cost_to_the_digit() -> None:
    scored = np.random.default_rng(1).choice(len(EVERY), 20, replace=False)
    found = recorded_costs(rows_of([EVERY[index] for index in scored]), EVERY, "macs")

    assert found is not None
    assert found.tolist() == [cost(each) for each in EVERY]


def test_a_candidate_that_no_scored_network_has_is_not_known() -> None:
    scored = [each for each in EVERY if each[3] != 2]

    assert recorded_costs(rows_of(scored), EVERY, "macs") is None
    assert recorded_costs([], EVERY, "macs") is None
    assert recorded_costs([{"architecture": "0-0-0-0", "macs": None}], EVERY[:1], "macs") is None
