"""A search that learns from the trials that it starts: from the indicator to the evidence.

A Bayesian linear model over additive features (``raynas.search.features``) begins as the pure
indicator and departs from it only on evidence. Its mean and every draw of its weights are additive
tables, so the exact solver finds the best architecture of each within the limits at once.

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
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.posterior import Observation, Posterior, fit
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace


class Calibration:
    """Proposes architectures and learns from their accuracies; several may be out at once."""

    def __init__(
        self,
        table: Sequence[Array],
        costs: CostTable,
        limits: Limits,
        space: SearchSpace,
        seed: int,
    ) -> None:
        """Begin as the pure indicator.

        Args:
            table: T[l][i] as of ``score_table``; a candidate of -inf is never proposed.
            costs: What candidates cost.
            limits: What a proposal may cost.
            space: The space, for the names of its operations.
            seed: Seed of the run.

        Raises:
            UserError: No architecture with a finite score keeps the limits.
        """
        self._indicator = [np.where(np.isfinite(row), row, -np.inf) for row in table]
        self._costs = costs
        self._limits = limits
        best(self._indicator, costs, limits)  # refuses what cannot be kept
        self._features = build_features(self._indicator, space)
        self._rng = random_numbers(seed, Stream.CALIBRATION)
        self._proposals = 0
        self._observed: list[tuple[Architecture, float, float]] = []
        self._posterior: Posterior | None = None

    @property
    def posterior(self) -> Posterior:
        """What is believed of the weights now; those of ``features``."""
        if self._posterior is None:
            observations = [
                Observation(x, accuracy, weight)
                for x, (_, accuracy, weight) in zip(
                    self._features.of([a for a, _, _ in self._observed]),
                    self._observed,
                    strict=True,
                )
            ]
            self._posterior = fit(self._features.prior, observations)
        return self._posterior

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the weights."""
        return self._features.names

    def observe(self, architecture: Architecture, accuracy: float, weight: float = 1.0) -> None:
        """Take an accuracy that a trial reported.

        Args:
            architecture: What was trained.
            accuracy: In [0, 1].
            weight: 1 for a whole training, less for a rung on the way; the variance of the noise
                is in inverse proportion, and accuracies are compared with those of their weight.
        """
        assert 0 <= accuracy <= 1, f"got accuracy {accuracy}, wanted one in [0, 1]"
        assert weight > 0, f"got weight {weight}, wanted a positive one"
        self._observed.append((architecture, float(accuracy), float(weight)))
        self._posterior = None

    def propose(self, taken: Collection[Architecture] = ()) -> Architecture | None:
        """Return the next architecture to train, or None if no legal one is left.

        Without evidence the first is the indicator's best.

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

        In turns the mean, at first the indicator's, and a draw's deviation from the mean.
        """
        self._proposals += 1
        if self._proposals % 2:
            return self.table()
        return self._features.table(self.posterior.draw(self._rng))

    def table(self) -> list[Array]:
        """Return the mean additive table; the indicator itself as long as there is no evidence."""
        if not self._observed:
            return self._indicator
        return self._features.table(self.posterior.mean)

    def predict(self, architectures: Iterable[Architecture]) -> tuple[Array, Array]:
        """Return means and standard deviations of scores (N each).

        Their unit is what the indicator is believed to make out among random architectures; 0 is
        an average one. They rank like accuracies, but are none.
        """
        return self.posterior.project(self._features.of(list(architectures)))

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table ``calibration`` that belong to the last observation."""
        architecture, accuracy, weight = self._observed[-1]
        posterior = self.posterior
        means, spreads = posterior.project(np.eye(len(self.features)))
        return [
            {
                "trial_number": len(self._observed),
                "architecture": str(architecture),
                "accuracy": accuracy,
                "weight": weight,
                "feature": name,
                "mean": float(mean),
                "standard_deviation": float(spread),
            }
            for name, mean, spread in zip(self.features, means, spreads, strict=True)
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
        self._posterior = None
        return self
