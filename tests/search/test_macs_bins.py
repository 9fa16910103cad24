"""Paths whose MACs are spread over bins: shares, purity, what happens where nothing lies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.costs.costs import Cost, CostTable
from raynas.errors import UserError
from raynas.nets.cost import cost_table
from raynas.search.macs_bins import BinnedPaths, MacsBins
from raynas.search.sampling import fair_paths, uniform_paths
from raynas.search.step_paths import step_paths
from raynas.settings.pretrain import PretrainSettings
from tests.builders import shipped_space

MILLION = 10**6
PUBLISHED = MacsBins(290 * MILLION, 360 * MILLION, 10 * MILLION)
COSTS = CostTable(((10, 20, 40), (5,), (10, 30)), ((0, 0, 0), (0,), (0, 0)), Cost(100, 0))
"""MACs from 125 to 175, one layer without a choice among them."""


def test_spos_s_bins_spread_macs_as_its_supernet_was_trained_and_uniform_paths_do_not() -> None:
    space = shipped_space("shufflenet_v2")
    paths = BinnedPaths(PUBLISHED, cost_table(space, 224, 3, 1000))
    binned = paths.macs([paths(0, step)[0] for step in range(1500)])
    even = paths.macs([uniform_paths([4] * 20, 0, step)[0] for step in range(1500)])
    low, high = 300 * MILLION, 350 * MILLION

    assert np.mean(binned <= low) == pytest.approx(0.14, abs=0.03)
    assert np.mean(binned >= high) == pytest.approx(0.15, abs=0.03)
    assert np.mean(even <= low) == pytest.approx(0.012, abs=0.009)
    assert np.mean(even >= high) == pytest.approx(0.029, abs=0.013)


@given(
    seed=st.integers(0, 2**63 - 1),
    step=st.integers(0, 10**6),
    first=st.integers(100, 170),
    width=st.integers(5, 30),
    count=st.integers(1, 3),
)
def test_a_step_has_one_path_in_the_space_and_in_a_bin_unless_none_lies_there(
    seed: int, step: int, first: int, width: int, count: int
) -> None:
    bins = MacsBins(first, first + count * width, width)
    (path,) = BinnedPaths(bins, COSTS)(seed, step)
    reached = {100 + a + 5 + b for a in (10, 20, 40) for b in (10, 30)}
    filled = [any(low <= each <= low + width for each in reached) for low in bins.starts]
    macs = COSTS.of(path).macs

    assert macs in reached
    assert not all(filled) or bins.first <= macs <= bins.last
    assert BinnedPaths(bins, COSTS)(seed, step) == [path]


def test_all_bins_and_all_paths_of_a_bin_are_drawn_equally_often() -> None:
    paths = BinnedPaths(MacsBins(120, 180, 30), COSTS)  # 125 135 145 | 155 175 and 145 twice
    macs = [COSTS.of(paths(0, step)[0]).macs for step in range(2000)]

    assert np.mean(np.array(macs) <= 150) == pytest.approx(0.5, abs=0.04)
    assert sorted(set(macs)) == sorted({125, 135, 145, 155, 175})


def test_macs_are_those_of_the_table_of_costs() -> None:
    paths = BinnedPaths(PUBLISHED, COSTS)
    drawn = [uniform_paths([3, 1, 2], 0, step)[0] for step in range(20)]

    assert paths.macs(drawn).tolist() == [COSTS.of(path).macs for path in drawn]


@pytest.mark.parametrize(("first", "last"), [(176, 196), (60, 120)])
def test_bins_in_which_no_architecture_can_lie_are_refused_with_what_there_is(
    first: int, last: int
) -> None:
    MacsBins(100, 130, 10).refuse_beyond(COSTS)  # which some can
    with pytest.raises(UserError, match=r"no architecture lies there.* have 125 to 175 MACs; move"):
        MacsBins(first, last, 20).refuse_beyond(COSTS)


def test_fair_and_uniform_paths_are_what_their_functions_draw() -> None:
    sizes, settings = [3, 4, 4], PretrainSettings(extra="random")
    fair = step_paths(sizes, settings)
    uniform = step_paths(sizes, replace(settings, sampling="uniform"))

    assert [fair(3, step) for step in range(4)] == [
        fair_paths(sizes, 3, step, "random") for step in range(4)
    ]
    assert [uniform(3, step) for step in range(4)] == [
        uniform_paths(sizes, 3, step) for step in range(4)
    ]
