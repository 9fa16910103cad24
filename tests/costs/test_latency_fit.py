"""Latencies that add up: found where networks tell them, and never against what was measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.latency_fit import (
    Array,
    counts_of,
    fit,
    relative_errors,
    spread_networks,
)
from tests.builders import build_space

SEEDS = st.integers(0, 1000)
PARTS = 12


def planted(seed: int, networks: int, noise: float = 0.0) -> tuple[Array, Array, Array, Array]:
    """Return counts, isolated latencies, true ones, and networks measured with relative noise."""
    rng = np.random.default_rng(seed)
    counts = np.c_[np.ones(networks), rng.integers(0, 4, (networks, PARTS - 1))]
    true = rng.uniform(0.1, 3.0, PARTS)
    isolated = 0.8 * true * rng.uniform(0.7, 1.4, PARTS)
    measured = counts @ true * (1 + noise * rng.normal(size=networks))
    return counts, isolated, true, measured


@given(SEEDS)
def test_enough_networks_without_noise_tell_every_latency(seed: int) -> None:
    counts, isolated, true, measured = planted(seed, 60)
    found = fit(counts, isolated, measured)

    assert found == pytest.approx(true, abs=0.03)  # of up to 3: the isolated ones pull a little
    assert np.abs(relative_errors(counts @ found, measured)).max() < 0.001


@pytest.mark.slow
def test_with_noise_sums_come_nearer_to_new_networks_than_isolated_latencies_do() -> None:
    medians = []
    for seed in range(100):
        counts, isolated, _, measured = planted(seed, 60, noise=0.03)
        found = fit(counts[:40], isolated, measured[:40])
        medians.append(
            [
                np.median(np.abs(relative_errors(counts[40:] @ each, measured[40:])))
                for each in (found, isolated)
            ]
        )
    fitted, by_isolated = np.array(medians).T

    assert fitted.max() < 0.05
    assert (fitted < by_isolated).mean() > 0.97  # isolated ones may be right by luck
    assert np.median(fitted) < 0.3 * np.median(by_isolated)


@given(SEEDS)
def test_no_latency_is_negative_however_wild_the_measurements_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, isolated, _, _ = planted(seed, 20)

    assert (fit(counts, isolated, rng.uniform(0.1, 50.0, 20)) >= 0).all()


@given(SEEDS)
def test_a_part_that_no_network_has_is_as_much_slower_as_all_others_are(seed: int) -> None:
    counts, isolated, _, _ = planted(seed, 40)
    counts[:, -1] = 0
    found = fit(counts, isolated, counts @ (1.3 * isolated))

    assert found[-1] == pytest.approx(1.3 * isolated[-1], rel=0.02)


def test_too_few_networks_leave_the_isolated_latencies_as_they_are() -> None:
    counts, isolated, _, measured = planted(0, 9)

    assert fit(counts, isolated, measured) is isolated
    assert fit(counts[:0], isolated, measured[:0]) is isolated


def test_parts_are_counted_network_by_network() -> None:
    assert counts_of([[0, 2, 2], [1]], 4).tolist() == [[1, 0, 2, 0], [0, 1, 0, 0]]
    assert counts_of([], 4).shape == (0, 4)


@given(SEEDS, st.integers(1, 60))
def test_networks_are_different_ones_of_the_space_and_the_same_for_a_seed(
    seed: int, count: int
) -> None:
    space = build_space("RNNNNRNN", identity=True)
    networks = spread_networks(space, count, seed)

    assert len(set(networks)) == len(networks) == count
    assert [space.check(each) for each in networks] == networks
    assert spread_networks(space, count, seed) == networks


def test_a_space_with_fewer_networks_than_wanted_gives_those_that_it_has() -> None:
    assert sorted(spread_networks(build_space("R"), 10, 0)) == [(0,), (1,), (2,)]


def test_shallow_networks_are_among_them_and_deep_ones_too() -> None:
    space = build_space("R" + "N" * 15, identity=True)
    depths = [sum(i != 3 for i in each[1:]) for each in spread_networks(space, 100, 0)]

    assert min(depths) <= 3
    assert max(depths) >= 14
