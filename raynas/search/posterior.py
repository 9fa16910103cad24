"""A Bayesian linear model of few, noisy accuracies, averaged over its unknown scales.

Every weight has a prior of its own; what cannot be known beforehand (how much architectures
differ, how noisy a training is, how far the prior is off, on which scale effects add up) runs
over a grid, and each point of it counts by its evidence:

    y = offset of its level + s (X w + e),   w ~ N(m, d^2 V),   e ~ N(0, n^2 / weight).

Source: Bayesian linear regression (Bishop 2006, sections 3.3 and 3.4); y is a power of the error
(Box, Cox 1964), so that accuracies near the ceiling keep their differences.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import linalg

Array = npt.NDArray[np.float64]

_POWERS = (0, -1)  # of the error: its logarithm, and images per mistake
_SCALES = (0.35, 0.7, 1.4, 2.8, 5.6)  # s, in standard deviations of y
_DEPARTURES = (0.1, 0.3, 0.6, 1.2)  # d
_NOISES = (0.05, 0.15, 0.4, 1.0)  # n
_OFFSET = 100.0  # prior standard deviation of a level's offset: anything goes
_TINY = 1e-9
_FLOOR = 1e-3  # an error below this counts as this


@dataclass(frozen=True)
class Prior:
    """What is believed of the weights before any evidence (F each)."""

    mean: Array
    spread: Array


@dataclass(frozen=True)
class Observation:
    """An accuracy in [0, 1] of features x (F); its noise has the variance n^2 / weight."""

    x: Array
    accuracy: float
    weight: float


@dataclass(frozen=True)
class Posterior:
    """A mixture of P x Q normal distributions of the weights.

    Attributes:
        shares: P x Q, summing to 1.
        means: P x Q x F.
        roots: P x F x C; covariance p is the product of root p and its transpose.
    """

    shares: Array
    means: Array
    roots: Array = field(repr=False)

    @property
    def mean(self) -> Array:
        """The mean of the weights (F)."""
        mean: Array = np.einsum("pq,pqf->f", self.shares, self.means)
        return mean

    def project(self, x: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of X w for rows of features (N x F)."""
        mean = x @ self.mean
        between = np.einsum("pq,pqn->n", self.shares, (self.means @ x.T - mean) ** 2)
        rooted = np.einsum("pfg,nf->png", self.roots, x)
        within = np.einsum("p,png->n", self.shares.sum(axis=1), rooted**2)
        return mean, np.sqrt(between + within)

    def draw(self, rng: np.random.Generator) -> Array:
        """Return by how much a drawn vector of weights deviates from its normal's mean (F)."""
        root = self.roots[rng.choice(len(self.roots), p=self.shares.sum(axis=1))]
        deviation: Array = root @ rng.standard_normal(root.shape[1])
        return deviation


def fit(prior: Prior, observations: Sequence[Observation]) -> Posterior:
    """Return the posterior of the weights; without evidence it is the prior.

    Observations of one weight share an unknown level: those of an early rung of a schedule are
    compared with each other, never with those of finished trainings.
    """
    num_features, count = len(prior.mean), len(observations)
    x = np.array([o.x for o in observations]).reshape(count, num_features)
    weight = np.array([o.weight for o in observations])
    levels = (weight[:, None] == np.unique(weight)).astype(float)  # N x R
    errors = np.array([1 - o.accuracy for o in observations])
    y, constant = _targets(errors, levels)  # N x Q, Q
    residual = y - (x @ prior.mean)[:, None]
    columns = np.hstack([x, levels])
    logs, means, roots = [], [], []
    for departure, noise in itertools.product(_DEPARTURES, _NOISES):
        variance = np.r_[(departure * prior.spread) ** 2, np.full(levels.shape[1], _OFFSET**2)]
        log, change, root = _regress(columns, residual, variance, noise**2 / weight)
        logs.append(log + constant)
        means.append(prior.mean + change[:, :num_features])
        roots.append(root[:num_features])
    return Posterior(_softmax(np.array(logs)), np.array(means), np.array(roots))


def _regress(
    columns: Array, residual: Array, variance: Array, noise: Array
) -> tuple[Array, Array, Array]:
    """Return log evidence (Q), means (Q x C) and covariance's root (C x C) of a ridge regression.

    A = diag(1/variance) + X' diag(1/noise) X;   mean = A^-1 b,  b = X' diag(1/noise) r;
    log evidence = -1/2 (r' diag(1/noise) r - b' mean + log|A| + sum log variance + log noise).
    """
    weighted = columns / noise[:, None]
    precision = np.diag(1 / variance) + columns.T @ weighted
    lower = linalg.cholesky(precision, lower=True)
    b = weighted.T @ residual  # C x Q
    mean = linalg.cho_solve((lower, True), b)
    quadratic = (residual**2 / noise[:, None]).sum(axis=0) - (b * mean).sum(axis=0)
    volume = 2 * np.log(np.diag(lower)).sum() + np.log(variance).sum() + np.log(noise).sum()
    root = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True, trans="T")
    return -0.5 * (quadratic + volume), mean.T, root


def _targets(errors: Array, levels: Array) -> tuple[Array, Array]:
    """Return y / s for each power and scale (N x Q), and the logs of their Jacobians (Q)."""
    errors = np.maximum(errors, _FLOOR)
    free = levels.shape[0] - levels.shape[1]  # each level's offset takes a degree of freedom
    kept = 1 - levels @ (1 / levels.sum(axis=0))  # so a lone observation says nothing at all
    targets, constants = [], []
    for power in _POWERS:
        y = -np.log(errors) if power == 0 else errors**power
        y = y - levels @ (levels.T @ y / levels.sum(axis=0))
        spread = float(np.sqrt((y**2).sum() / max(free, 1)))
        spread = spread if spread > _TINY else 1.0  # all are equal
        for scale in _SCALES:
            targets.append(y / (scale * spread))
            jacobian = (power - 1) * float(kept @ np.log(errors))
            constants.append(jacobian - free * np.log(scale * spread))
    return np.array(targets).T, np.array(constants)


def _softmax(logs: Array) -> Array:
    shares = np.exp(logs - logs.max())
    normalised: Array = shares / shares.sum()
    return normalised
