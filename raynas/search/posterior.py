"""A Bayesian linear model of few, noisy accuracies, averaged over what cannot be known beforehand.

For each expert a grid runs over how much architectures differ (s), on which power of the error
effects add up, how far the expert is off (d) and how noisy a training is (n); each point of it
counts by its evidence, and each expert by its share:

    y = offset of its level + X w + bias + e,   w ~ N(m, d^2 V),   e ~ N(0, n^2 / weight).

Source: Bayesian linear regression (Bishop 2006, sections 3.3 and 3.4), in the form of a Gaussian
process (Rasmussen, Williams 2006, section 2.2), for observations are fewer than features.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from raynas.search.accuracy_scales import Targets, on_scales
from raynas.search.features import Prior

Array = npt.NDArray[np.float64]

_DEPARTURES = (0.1, 0.3, 0.6, 1.2)  # d
_NOISES = (0.2, 0.5, 1.2, 3.0)  # n; 3: these accuracies are all noise
_OFFSET = 100.0  # prior deviation of a level's offset: anything goes
_BIAS = 0.6  # prior deviation of what a bias of short trainings makes out
_NEVER = 1e-300  # of a reading that the evidence rules out, so that its weights have moments
_QUANTILES = (np.arange(20) + 0.5) / 20  # of a normal distribution, to mix intervals of


@dataclass(frozen=True)
class Observations:
    """Accuracies and what is known of how they came about (N each).

    Attributes:
        accuracies: In [0, 1].
        weights: 1 for a whole training, less for a shorter one, whose noise has the variance
            n^2 / weight. Those of one weight are a level: compared with each other alone.
        biases: N x B; what shorter trainings may favour, 0 for whole ones. It counts in what such a
            training is predicted to report, and in no score.
    """

    accuracies: Array
    weights: Array
    biases: Array

    @property
    def levels(self) -> Array:
        """Which observations are of which level (N x R), of the least weight first."""
        members: Array = (self.weights[:, None] == np.unique(self.weights)).astype(float)
        return members


@dataclass(frozen=True)
class _Component:
    """What is believed by one expert, of one departure and one noise.

    Attributes:
        x: N x F.
        variance: F; of the weights, before the evidence.
        prior: F; the mean of the weights, before the evidence.
        root: N x N, lower triangular; the covariance K of the observations is root root'.
        solved: N x Q; K^-1 (y - X m).
        noise: Deviation of a whole training's accuracy, and of what features do not explain.
        members: N x R.
        biases: N x B.
    """

    x: Array
    variance: Array
    prior: Array
    root: Array = field(repr=False)
    solved: Array = field(repr=False)
    members: Array = field(repr=False)
    biases: Array = field(repr=False)
    noise: float

    def means(self, shares: Array) -> Array:
        """Return the mean of the weights over shares of the Q scales (F)."""
        mean: Array = self.prior * shares.sum() + self.variance * (self.x.T @ self.solved @ shares)
        return mean

    def spread(self, x: Array, kind: "_Kind | None" = None) -> Array:
        """Return deviations of X w (M), or of what a kind of training would report."""
        crossed = self.x * self.variance @ x.T  # N x M
        own = (x**2 * self.variance).sum(axis=1)
        if kind is not None:
            crossed = crossed + self._beside(kind)
            own = own + _OFFSET**2 + _BIAS**2 * (kind.biases**2).sum(axis=1)
            own = own + self.noise**2 / kind.weight
        lost = linalg.solve_triangular(self.root, crossed, lower=True)
        spread: Array = np.sqrt(np.maximum(own - (lost**2).sum(axis=0), 0))
        return spread

    def root_of_weights(self) -> Array:
        """Return a root R of the weights' covariance V - V X' K^-1 X V = R R' (F x F)."""
        known = linalg.solve_triangular(self.root, self.x * self.variance, lower=True)
        values, vectors = np.linalg.eigh(np.diag(self.variance) - known.T @ known)
        root: Array = vectors * np.sqrt(np.maximum(values, 0))
        return root

    def _beside(self, kind: "_Kind") -> Array:
        """Return the covariance of what comes neither from features nor from noise (N x M)."""
        shared: Array = _OFFSET**2 * self.members[:, [kind.level]]
        return shared + _BIAS**2 * self.biases @ kind.biases.T

    def values(self, x: Array, kind: "_Kind") -> Array:
        """Return means of what a kind of training would report (Q x M)."""
        crossed = self.x * self.variance @ x.T + self._beside(kind)
        values: Array = x @ self.prior + self.solved.T @ crossed
        return values


@dataclass(frozen=True)
class _Kind:
    """The trainings that are predicted: their weight, its level, and their biases (M x B)."""

    weight: float
    level: int
    biases: Array


@dataclass(frozen=True)
class Posterior:
    """A mixture of normal distributions of the weights of several experts' features.

    Attributes:
        components: For each expert, those of the grid's departures and noises.
        shares: For each expert, one of each component and scale (P x Q); 1 in all.
        targets: The scales.
        levels: The weight of each level, ascending.
    """

    components: tuple[tuple[_Component, ...], ...] = field(repr=False)
    shares: tuple[Array, ...]
    targets: Targets = field(repr=False)
    levels: tuple[float, ...]

    def weights(self, expert: int) -> Array:
        """Return the mean of an expert's weights times the belief in it (F)."""
        pairs = zip(self.components[expert], self.shares[expert], strict=True)
        mean: Array = np.sum([each.means(shares) for each, shares in pairs], axis=0)
        return mean

    def moments(self, expert: int) -> tuple[float, Array, Array]:
        """Return the belief in an expert, and means and deviations of its weights (F each)."""
        parts, shares = self.components[expert], self.shares[expert]
        belief = max(float(shares.sum()), _NEVER)
        mean = self.weights(expert) / belief
        eye, variance = np.eye(len(mean)), np.zeros(len(mean))
        for part, share in zip(parts, shares, strict=True):
            found = part.prior[:, None] + part.variance[:, None] * (part.x.T @ part.solved)
            variance += (found - mean[:, None]) ** 2 @ share + share.sum() * part.spread(eye) ** 2
        return belief, mean, np.sqrt(variance / belief)

    def project(self, xs: Sequence[Array]) -> tuple[Array, Array]:
        """Return mean and deviation of X w for rows of features (N x F) of each expert."""
        mean = np.sum([x @ self.weights(at) for at, x in enumerate(xs)], axis=0)
        variance = np.zeros(len(mean))
        for x, parts, shares in zip(xs, self.components, self.shares, strict=True):
            for part, share in zip(parts, shares, strict=True):
                found = part.prior[:, None] + part.variance[:, None] * (part.x.T @ part.solved)
                variance += ((x @ found - mean[:, None]) ** 2) @ share
                variance += share.sum() * part.spread(x) ** 2
        return mean, np.sqrt(variance)

    def accuracies(
        self, xs: Sequence[Array], biases: Array, weight: float, shares: Sequence[float]
    ) -> Array:
        """Return quantiles of the accuracies that trainings would report (N x quantiles).

        Args:
            xs: Rows of features of each expert.
            biases: What shorter trainings may favour (N x B).
            weight: Of the kind of training that is meant; NaN is returned for one never observed.
            shares: Quantiles, in (0, 1).
        """
        if weight not in self.levels:
            return np.full((len(xs[0]), len(shares)), np.nan)
        kind = _Kind(weight, self.levels.index(weight), biases)
        normal = special.ndtri(_QUANTILES)
        values, weights = [], []
        for x, parts, share in zip(xs, self.components, self.shares, strict=True):
            for part, of_scales in zip(parts, share, strict=True):
                means, spread = part.values(x, kind), part.spread(x, kind)
                for q in normal:
                    values.append(self.targets.accuracies(means + q * spread, kind.level))
                    weights.append(of_scales)
        return _quantiles(np.concatenate(values), np.concatenate(weights), shares)

    def draw(self, rng: np.random.Generator) -> tuple[int, Array]:
        """Return an expert, and by how much drawn weights deviate from their normal's mean (F)."""
        beliefs = np.concatenate([shares.sum(axis=1) for shares in self.shares])
        at = int(rng.choice(len(beliefs), p=beliefs / beliefs.sum()))
        parts = [(e, part) for e, of in enumerate(self.components) for part in of]
        expert, part = parts[at]
        return expert, part.root_of_weights() @ rng.standard_normal(len(part.variance))


def fit(experts: Sequence[tuple[float, Array, Prior]], observed: Observations) -> Posterior | None:
    """Return the posterior, or None where the evidence tells nothing apart.

    Observations of one weight share an unknown level: those of an early rung of a schedule are
    compared with each other, never with those of finished trainings.

    Args:
        experts: For each the share that it is believed before the evidence, the features of what
            was observed (N x F), and the prior of their weights.
        observed: The evidence.
    """
    levels = observed.levels
    targets = on_scales(observed.accuracies, levels) if len(levels) else None
    if targets is None:
        return None
    around = _OFFSET**2 * levels @ levels.T + _BIAS**2 * observed.biases @ observed.biases.T
    components, logs = [], []
    for share, x, prior in experts:
        found = [
            _regress(x, prior, departure, noise, targets.y, around, observed)
            for departure, noise in itertools.product(_DEPARTURES, _NOISES)
        ]
        components.append(tuple(part for part, _ in found))
        logs.append(np.array([log for _, log in found]) + targets.constants + np.log(share))
    most = max(float(each.max()) for each in logs)
    whole = sum(float(np.exp(each - most).sum()) for each in logs)
    shares = tuple(np.exp(each - most) / whole for each in logs)
    return Posterior(tuple(components), shares, targets, tuple(np.unique(observed.weights)))


def _regress(  # noqa: PLR0913 - a point of the grid, and what it explains
    x: Array,
    prior: Prior,
    departure: float,
    noise: float,
    y: Array,
    around: Array,
    observed: Observations,
) -> tuple[_Component, Array]:
    """Return a component and its log evidence on each scale (Q), up to what all share.

    K = d^2 X V X' + what does not come from the features;   r = y - X m;
    mean = m + d^2 V X' K^-1 r;   log evidence = -1/2 (r' K^-1 r + log |K|).
    """
    variance = (departure * prior.spread) ** 2
    own = np.diag(noise**2 / observed.weights)
    root = linalg.cholesky(x * variance @ x.T + around + own, lower=True)
    residual = y - (x @ prior.mean)[:, None]
    solved = linalg.cho_solve((root, True), residual)
    log = -0.5 * (residual * solved).sum(axis=0) - np.log(np.diag(root)).sum()
    return _Component(
        x, variance, prior.mean, root, solved, observed.levels, observed.biases, noise
    ), log


def _quantiles(values: Array, weights: Array, shares: Sequence[float]) -> Array:
    """Return weighted quantiles of the columns of values (K x N): N x quantiles."""
    order = np.argsort(values, axis=0)
    summed = np.cumsum(weights[order], axis=0)
    at = [(summed < share * summed[-1]).sum(axis=0).clip(0, len(values) - 1) for share in shares]
    ordered = np.take_along_axis(values, order, axis=0)
    found: Array = np.stack([ordered[row, np.arange(values.shape[1])] for row in at], axis=1)
    return found
