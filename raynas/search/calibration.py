"""A score that learns from trainings: from what was read off a supernet to the evidence.

A Bayesian linear model over additive features (``raynas.search.features``) begins as the score and
departs from it only on evidence. Its mean and every draw of its weights are additive tables, so the
exact solver finds the best architecture of each within the limits at once.

Source: posterior sampling (Thompson 1933; Chapelle, Li 2011), taken apart: proposals maximise in
turns the mean (what is believed best) and only the deviation of a draw from it (where belief is
least sure). On NAS-Bench-Macro draws that add both, as published, rank worse for the same regret.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

import numpy as np

from raynas.costs.costs import CostTable, Limits
from raynas.errors import UserError
from raynas.search.exact import best, k_best
from raynas.search.experts import Expert, mixed
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.search.posterior import Observations, Posterior, fit
from raynas.search.stage_balance import centred, scaled
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

_ENDS = (0.05, 0.5, 0.95)  # of the interval of a prediction


class Calibration:
    """Learns from accuracies what candidates add, and proposes architectures."""

    def __init__(
        self,
        experts: Sequence[Expert],
        costs: CostTable,
        limits: Limits,
        space: SearchSpace,
        seed: int,
    ) -> None:
        """Begin as the experts' score.

        Args:
            experts: What the score is mixed of.
            costs: What candidates cost.
            limits: What a proposal may cost.
            space: The space, for its stages and the names of its operations.
            seed: Seed of the run.

        Raises:
            UserError: No architecture with a finite score keeps the limits.
        """
        self._experts = tuple(experts)
        self._prior = mixed(experts)
        self._costs = costs
        self._limits = limits
        best(self._prior, costs, limits)  # refuses what cannot be kept
        self._space = space
        self._features = [build_features(expert, space) for expert in experts]
        self._pairs = list(zip(self._experts, self._features, strict=True))
        self._rng = random_numbers(seed, Stream.CALIBRATION)
        self._proposals = 0
        self._observed: list[tuple[Architecture, float, float]] = []
        self._fitted: tuple[Posterior | None] | None = None

    @property
    def posterior(self) -> Posterior | None:
        """What is believed of the weights now; None: the evidence tells nothing apart."""
        if self._fitted is None:
            self._fitted = (self._fit(range(len(self._observed))),)
        return self._fitted[0]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the weights, ``expert/group:member``."""
        return tuple(f"{expert.name}/{name}" for expert, of in self._pairs for name in of.names)

    @property
    def observed(self) -> tuple[tuple[Architecture, float, float], ...]:
        """Architectures, accuracies in [0, 1] and weights, in the order in which they came."""
        return tuple(self._observed)

    def observe(self, architecture: Architecture, accuracy: float, weight: float = 1.0) -> None:
        """Take an accuracy that a trial reported.

        Args:
            architecture: What was trained.
            accuracy: In [0, 1].
            weight: 1 for a whole training, less for a shorter one or a rung on the way; the
                variance of the noise is in inverse proportion, and accuracies are compared with
                those of their weight.
        """
        assert 0 <= accuracy <= 1, f"got accuracy {accuracy}, wanted one in [0, 1]"
        assert weight > 0, f"got weight {weight}, wanted a positive one"
        self._observed.append((architecture, float(accuracy), float(weight)))
        self._fitted = None

    def propose(self, taken: Collection[Architecture] = ()) -> Architecture | None:
        """Return the next architecture to train, or None if no legal one is left.

        Without evidence the first is the score's best.

        Args:
            taken: Architectures that have been proposed, or are not wanted for another reason.
        """
        try:
            found = k_best(self.draw(), self._costs, self._limits, 1, excluded=sorted(set(taken)))
        except UserError:  # the limits can be kept, or __init__ had refused them
            return None
        return found[0][0]

    def draw(self) -> list[Array]:
        """Return the table T[l][i] whose sums over layers the next proposal maximises.

        In turns the mean, at first the score's, and a draw's deviation from the mean. Without
        evidence a draw is one of what is believed before any.
        """
        self._proposals += 1
        if self._proposals % 2:
            return self.table()
        if self.posterior is not None:
            expert, weights = self.posterior.draw(self._rng)
        else:
            expert, spread = 0, self._features[0].prior.spread
            weights = spread * self._rng.standard_normal(len(spread))
        return self._usable(self._features[expert].table(weights))

    def table(self) -> list[Array]:
        """Return the mean additive table; the score itself as long as there is no evidence."""
        return self._table(self.posterior)

    def predict(self, architectures: Iterable[Architecture]) -> tuple[Array, Array]:
        """Return means and standard deviations of scores (N each).

        Their unit is what the score is believed to make out among random architectures; 0 is an
        average one. They rank like accuracies, but are none.
        """
        listed = list(architectures)
        if self.posterior is not None:
            return self.posterior.project(self._rows(listed))
        mean = np.zeros(len(listed))
        variance = np.zeros(len(listed))
        for expert, features in self._pairs:
            mean += expert.share * (features.of(listed) @ features.prior.mean)
        for expert, features in self._pairs:
            x = features.of(listed)
            apart = (x @ features.prior.mean - mean) ** 2
            variance += expert.share * (apart + x**2 @ features.prior.spread**2)
        return mean, np.sqrt(variance)

    def accuracies(self, architectures: Iterable[Architecture], weight: float = 1.0) -> Array:
        """Return what trainings of networks would report.

        Args:
            architectures: N of them.
            weight: What kind of training is meant, by its weight; one must have been observed.

        Returns:
            N x 3, in [0, 1]: the 5th, 50th and 95th percentile; NaN as long as there is no
            evidence.
        """
        return self._accuracies(self.posterior, list(architectures), weight)

    def left_out(self) -> tuple[Array, Array]:
        """Return what is believed of each observation by the others alone.

        Returns:
            Scores (N) and accuracies (N x 3) as ``accuracies`` returns them.
        """
        scores, accuracies = [], []
        for at, (architecture, _, weight) in enumerate(self._observed):
            posterior = self._fit([each for each in range(len(self._observed)) if each != at])
            weights = self._weights(posterior)
            rows = self._rows([architecture])
            scores.append(sum(float(x[0] @ w) for x, w in zip(rows, weights, strict=True)))
            accuracies.append(self._accuracies(posterior, [architecture], weight)[0])
        return np.array(scores), np.array(accuracies).reshape(-1, len(_ENDS))

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table ``calibration`` that belong to the last observation."""
        architecture, accuracy, weight = self._observed[-1]
        return [
            {
                "trial_number": len(self._observed),
                "architecture": str(architecture),
                "accuracy": accuracy,
                "weight": weight,
                "feature": f"{expert.name}/{name}",
                "mean": float(mean),
                "standard_deviation": float(spread),
                "belief": belief,
            }
            for at, (expert, features) in enumerate(self._pairs)
            for belief, means, spreads in [self._moments(at)]
            for name, mean, spread in zip(features.names, means, spreads, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Return everything that ``restore`` needs, as plain data for JSON."""
        return {
            "observed": [[str(a), accuracy, weight] for a, accuracy, weight in self._observed],
            "proposals": self._proposals,
            "rng": self._rng.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Continue from a state; what was out is known to the caller alone."""
        self._observed = [(Architecture.parse(a), y, weight) for a, y, weight in state["observed"]]
        self._proposals = state["proposals"]
        self._rng.bit_generator.state = state["rng"]
        self._fitted = None
        return self

    def _moments(self, at: int) -> tuple[float, Array, Array]:
        """Return the belief in an expert, and means and deviations of its weights."""
        if self.posterior is not None:
            return self.posterior.moments(at)
        prior = self._features[at].prior
        return self._experts[at].share, prior.mean, prior.spread

    def _rows(self, architectures: Sequence[Architecture]) -> list[Array]:
        """Return each expert's features of architectures (N x F)."""
        return [features.of(architectures) for features in self._features]

    def _fit(self, chosen: Sequence[int]) -> Posterior | None:
        """Return the posterior of some of the observations."""
        seen = [self._observed[at] for at in chosen]
        weights = np.array([weight for _, _, weight in seen])
        architectures = [architecture for architecture, _, _ in seen]
        observed = Observations(
            np.array([accuracy for _, accuracy, _ in seen]),
            weights,
            self._biases(architectures, weights),
        )
        rows = zip(self._pairs, self._rows(architectures), strict=True)
        return fit([(expert.share, x, of.prior) for (expert, of), x in rows], observed)

    def _biases(self, architectures: Sequence[Architecture], weights: Array) -> Array:
        """Return what shorter trainings may favour: fewer or more MACs or layers (N x 2)."""
        is_short = weights < 1
        tables = ([np.array(row, float) for row in self._costs.macs], self._layers_taken())
        sums = [AdditiveScorer(scaled(centred(table)))(architectures) for table in tables]
        biases: Array = np.array(sums).T * is_short[:, None]
        return biases

    def _layers_taken(self) -> list[Array]:
        """Return 0 for an identity and 1 for any other candidate."""
        return [
            np.array([float(at != block.identity) for at in range(block.size)])
            for block in self._space.blocks
        ]

    def _weights(self, posterior: Posterior | None) -> list[Array]:
        """Return the mean of each expert's weights times the belief in it."""
        if posterior is not None:
            return [posterior.weights(at) for at in range(len(self._experts))]
        return [expert.share * features.prior.mean for expert, features in self._pairs]

    def _table(self, posterior: Posterior | None) -> list[Array]:
        if posterior is None:
            return self._prior
        weights = zip(self._features, self._weights(posterior), strict=True)
        tables = [features.table(mean) for features, mean in weights]
        return self._usable([np.sum(rows, axis=0) for rows in zip(*tables, strict=True)])

    def _usable(self, table: Sequence[Array]) -> list[Array]:
        """Return a table with -inf where a candidate has no score at all."""
        pairs = zip(self._prior, table, strict=True)
        return [np.where(np.isfinite(prior), row, -np.inf) for prior, row in pairs]

    def _accuracies(
        self, posterior: Posterior | None, architectures: Sequence[Architecture], weight: float
    ) -> Array:
        if posterior is None:
            return np.full((len(architectures), len(_ENDS)), np.nan)
        biases = self._biases(architectures, np.full(len(architectures), weight))
        return posterior.accuracies(self._rows(architectures), biases, weight, _ENDS)
