"""The Bayesian linear model of accuracies, one grid point at a time and averaged."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raynas.search import accuracy_scales, posterior
from raynas.search.features import Prior
from raynas.search.formulas import Array
from raynas.search.posterior import Observations, Posterior, fit

RNG = np.random.default_rng(0)
X, ACCURACIES = RNG.normal(size=(9, 4)), RNG.uniform(0.6, 0.9, 9)
PRIOR = Prior(np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 0.5, 2]))
NO_BIASES = np.zeros((9, 0))
POINT = {"_DEPARTURES": (0.5,), "_NOISES": (0.4,)}


def observations(weight: float = 0.7, biases: Array = NO_BIASES) -> Observations:
    """Return nine accuracies of one level."""
    return Observations(ACCURACIES, np.full(9, weight), biases)


def found(observed: Observations | None = None, experts: Any = ((1.0, X, PRIOR),)) -> Posterior:
    """Return a posterior, which there is."""
    result = fit(list(experts), observed or observations())
    assert result is not None
    return result


@pytest.fixture
def _one_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave one point of the grid and one scale, images per mistake."""
    for name, values in POINT.items():
        monkeypatch.setattr(posterior, name, values)
    monkeypatch.setattr(accuracy_scales, "POWERS", (-1,))
    monkeypatch.setattr(accuracy_scales, "SCALES", (2.0,))


def ridge(biases: Array = NO_BIASES) -> tuple[Array, Array]:
    """Return mean and covariance: (P + X'WX) w = X'Wr, with the offset hardly penalised."""
    y = 1 / (1 - ACCURACIES)
    r = (y - y.mean()) / (2.0 * y.std(ddof=1)) - X @ PRIOR.mean
    count = biases.shape[1]
    penalty = np.diag(
        np.r_[(0.5 * PRIOR.spread) ** -2.0, 100.0**-2, np.full(count, posterior._BIAS**-2.0)]
    )
    design = np.c_[X, np.ones(9), biases]
    covariance = np.linalg.inv(penalty + design.T @ design * 0.7 / 0.16)
    return covariance @ design.T @ r * 0.7 / 0.16, covariance


@pytest.mark.usefixtures("_one_point")
@pytest.mark.parametrize("biases", [NO_BIASES, RNG.normal(size=(9, 2))])
def test_one_point_of_the_grid_is_a_ridge_regression(biases: Array) -> None:
    """The noise's variance is in inverse proportion to weights, and biases are in no score."""
    believed = found(observations(biases=biases))
    solution, covariance = ridge(biases)
    mean, spread = believed.project([np.eye(4)])
    root = believed.components[0][0].root_of_weights()

    np.testing.assert_allclose(believed.weights(0), PRIOR.mean + solution[:4])
    np.testing.assert_allclose(mean, believed.weights(0))
    np.testing.assert_allclose(spread, np.sqrt(np.diag(covariance)[:4]))
    np.testing.assert_allclose(root @ root.T, covariance[:4, :4], atol=1e-9)
    belief, means, deviations = believed.moments(0)
    assert belief == pytest.approx(1)
    np.testing.assert_allclose((means, deviations), (mean, spread))


@pytest.mark.usefixtures("_one_point")
def test_intervals_are_those_of_the_regression_with_its_offset_and_a_trainings_noise() -> None:
    solution, covariance = ridge()
    y = 1 / (1 - ACCURACIES)
    x = np.array([[0.3, -1.0, 0.2, 0.5]])
    row = np.r_[x[0], 1.0]
    value = x[0] @ PRIOR.mean + row @ solution
    spread = np.sqrt(row @ covariance @ row + 0.16 / 0.7)
    ends = value + stats.norm.ppf([0.025, 0.525, 0.975]) * spread  # three of the twenty points
    expected = 1 - 1 / np.maximum(ends * 2.0 * y.std(ddof=1) + y.mean(), 1)

    np.testing.assert_allclose(
        found().accuracies([x], np.zeros((1, 0)), 0.7, (0.04, 0.52, 0.98))[0], expected
    )
    assert np.isnan(found().accuracies([x], np.zeros((1, 0)), 1.0, (0.5,))).all()


def test_evidence_is_the_density_of_what_was_observed() -> None:
    """It is log N(r; 0, K) up to the constant that all grid points share."""
    y = RNG.normal(size=(9, 2))
    around, noise = 100.0**2 * np.ones((9, 9)), np.diag(np.full(9, 0.3**2 / 0.7))
    _, log = posterior._regress(X, PRIOR, 0.5, 0.3, y, around, observations())
    covariance = X * (0.5 * PRIOR.spread) ** 2 @ X.T + around + noise
    density = stats.multivariate_normal(np.zeros(9), covariance)

    for at in range(2):
        expected = density.logpdf(y[:, at] - X @ PRIOR.mean)
        assert log[at] - 4.5 * np.log(2 * np.pi) == pytest.approx(expected)


def test_points_of_the_grid_count_by_prior_share_times_evidence() -> None:
    """Of both experts, all departures and noises, and all scales with their Jacobians."""
    experts = [(0.8, X, PRIOR), (0.2, np.roll(X, 1, axis=0), PRIOR)]
    believed = found(experts=experts)
    constants, y = believed.targets.constants, believed.targets.y
    expected = []
    for share, x, prior in experts:
        for d, n in itertools.product((0.1, 0.3, 0.6, 1.2), (0.2, 0.5, 1.2, 3.0)):
            k = x * (d * prior.spread) ** 2 @ x.T + 100.0**2 + np.diag(np.full(9, n**2 / 0.7))
            density = stats.multivariate_normal(np.zeros(9), k)
            logs = density.logpdf((y - (x @ prior.mean)[:, None]).T) + constants
            expected.append(np.log(share) + logs)
    shares = np.exp(np.array(expected) - np.max(expected))
    shares /= shares.sum()

    np.testing.assert_allclose(np.concatenate(believed.shares), shares, atol=1e-9)
    assert believed.moments(0)[0] == pytest.approx(shares[:16].sum())


def test_the_mean_over_the_grid_is_that_of_the_experts_by_belief() -> None:
    experts = [(0.8, X, PRIOR), (0.2, np.roll(X, 1, axis=0), PRIOR)]
    believed = found(experts=experts)
    rows = [np.eye(4), 2 * np.eye(4)]
    mean, spread = believed.project(rows)
    moments = [believed.moments(at) for at in (0, 1)]

    np.testing.assert_allclose(
        mean, sum(b * m * by for (b, m, _), by in zip(moments, (1, 2), strict=True))
    )
    second = sum(b * by**2 * (s**2 + m**2) for (b, m, s), by in zip(moments, (1, 2), strict=True))
    np.testing.assert_allclose(spread**2 + mean**2, second)


def test_accuracies_that_are_all_noise_are_found_to_be() -> None:
    """So the grid reaches a noise that explains them without any feature."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(24, 1))
    prior = Prior(np.ones(1), np.full(1, 0.4))
    shares = []
    for accuracies in (0.8 + 0.02 * x[:, 0], 0.8 + 0.02 * rng.normal(size=24)):
        seen = Observations(accuracies, np.ones(24), np.zeros((24, 0)))
        parts = found(seen, [(1.0, x, prior)]).shares[0].sum(axis=1)
        shares.append(parts.reshape(4, 4).sum(axis=0))  # by noise

    assert shares[0][0] > 0.9
    assert shares[1][0] < 0.1


def test_equal_accuracies_leave_no_posterior() -> None:
    equal = Observations(np.full(9, 0.8), np.ones(9), NO_BIASES)

    assert fit([(1.0, X, PRIOR)], equal) is None
    assert fit([(1.0, X[:0], PRIOR)], Observations(*np.zeros((2, 0)), np.zeros((0, 0)))) is None
