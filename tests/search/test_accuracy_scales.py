"""Powers of the error as scales of accuracy, and what makes their evidences comparable."""

import numpy as np
import pytest

from raynas.search import accuracy_scales
from raynas.search.accuracy_scales import POWERS, SCALES, Targets, on_scales
from raynas.search.formulas import Array

ACCURACIES = np.array([0.71, 0.83, 0.64, 0.9, 0.78, 0.52, 0.6])
ONE_LEVEL = np.ones((7, 1))
TWO_LEVELS = np.eye(2)[[0, 0, 0, 1, 1, 1, 1]]


def scales(accuracies: Array = ACCURACIES, levels: Array = ONE_LEVEL) -> Targets:
    """Return accuracies on all scales."""
    found = on_scales(accuracies, levels)
    assert found is not None
    return found


def raw(targets: Targets, levels: Array) -> Array:
    """Return the powers of errors themselves (N x Q)."""
    return targets.y * targets.units + levels @ targets.centres


@pytest.mark.parametrize("levels", [ONE_LEVEL, TWO_LEVELS])
def test_values_are_logarithms_and_powers_of_the_error(levels: Array) -> None:
    found, errors = raw(scales(levels=levels), levels), 1 - ACCURACIES

    assert len(POWERS) * len(SCALES) == found.shape[1]
    np.testing.assert_allclose(found[:, 0], -np.log(errors))
    np.testing.assert_allclose(found[:, len(SCALES)], 1 / errors)
    np.testing.assert_allclose(found[:, -1], errors**-2)


@pytest.mark.parametrize("levels", [ONE_LEVEL, TWO_LEVELS])
def test_values_vary_by_one_over_the_scale_within_levels(levels: Array) -> None:
    found = scales(levels=levels)
    free = 7 - levels.shape[1]

    np.testing.assert_allclose(levels.T @ found.y, 0, atol=1e-9)
    np.testing.assert_allclose(
        np.sqrt((found.y**2).sum(axis=0) / free), 1 / np.array(SCALES * len(POWERS))
    )


@pytest.mark.parametrize("levels", [ONE_LEVEL, TWO_LEVELS])
def test_constants_turn_densities_of_values_into_densities_of_accuracies(levels: Array) -> None:
    """By a change of variables, dy / d accuracy taken numerically.

    Each level's mean is free, so of n logarithms of it n - 1 count, the mean one's excepted.
    """
    step = 1e-6
    above, below = (raw(scales(ACCURACIES + way * step, levels), levels) for way in (1, -1))
    slopes = np.log((above - below) / (2 * step))  # N x Q, and dy_i / d accuracy_j is diagonal
    jacobian = slopes.sum(axis=0) - (levels.T @ slopes / levels.sum(axis=0)[:, None]).sum(axis=0)
    found = scales(levels=levels)
    free = 7 - levels.shape[1]

    np.testing.assert_allclose(found.constants, jacobian - free * np.log(found.units), rtol=1e-6)


def test_accuracies_come_back_from_all_scales() -> None:
    found = scales(levels=TWO_LEVELS)
    for level in (0, 1):
        at = np.flatnonzero(TWO_LEVELS[:, level])
        back = found.accuracies(found.y[at].T, level)

        np.testing.assert_allclose(back, np.tile(ACCURACIES[at], (15, 1)))


@pytest.mark.parametrize(("value", "end"), [(1e9, 1.0), (-1e9, 0.0)])
def test_values_out_of_reach_end_at_0_and_1(value: float, end: float) -> None:
    np.testing.assert_allclose(scales().accuracies(np.full((15, 1), value), 0), end, atol=0.01)


def test_a_perfect_accuracy_counts_as_one_error_in_a_thousand() -> None:
    perfect, nearly = ACCURACIES.copy(), ACCURACIES.copy()
    perfect[0], nearly[0] = 1.0, 0.999

    np.testing.assert_allclose(scales(perfect).y, scales(nearly).y)


def test_equal_accuracies_tell_nothing_apart_nor_do_lone_ones() -> None:
    assert on_scales(np.full(7, 0.8), ONE_LEVEL) is None
    assert on_scales(np.array([0.8]), np.ones((1, 1))) is None
    assert on_scales(np.array([0.8, 0.4]), np.eye(2)) is None
    assert on_scales(np.array([0.8, 0.8, 0.4]), np.eye(2)[[0, 0, 1]]) is None


def test_a_lone_accuracy_of_a_level_changes_nothing() -> None:
    levels = np.zeros((8, 2))
    levels[:7, 0], levels[7, 1] = 1, 1
    alone, beside = scales(), scales(np.append(ACCURACIES, 0.2), levels)

    np.testing.assert_allclose(beside.y[:7], alone.y)
    np.testing.assert_allclose(beside.y[7], 0, atol=1e-9)
    np.testing.assert_allclose(beside.constants, alone.constants)


def test_all_powers_are_negative_or_the_logarithm() -> None:
    """So that better accuracies have higher values."""
    assert max(accuracy_scales.POWERS) == 0
    order = np.argsort(ACCURACIES)

    assert (np.diff(scales().y[order], axis=0) > 0).all()
