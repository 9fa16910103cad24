"""How architectures are found: the settings of ``[search]``.

The text under each field is its ``--help``.
"""

import difflib
from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.costs.costs import KINDS, Kind
from raynas.errors import UserError
from raynas.settings.ranges import Interval
from raynas.settings.scores import SCORES, ScoreName, is_sum
from raynas.settings.strategies import STRATEGIES, Strategy, StrategyName

_OBJECTIVES = ("score", *KINDS)


@dataclass(frozen=True)
class SearchSettings:
    """How architectures are found, and the score that is maximised."""

    strategy: StrategyName = "evolution"
    """SPOS evolution, integer programming, learning from the trials, gates of a network of cells
    that holds all operations (PR-DARTS), or none where --architecture names networks; --search X
    for short."""
    score: ScoreName = "balanced_saliency"
    """Sums of indicators (F0 to F7, balanced_saliency), of what layers lose of the features of
    --start (feature_error), accuracy of subnets, or a zero-cost score (launch/METHODS.md)."""
    layer_weight_sign: Literal[-1, 0, 1] = 1
    """Sign s of the layer weight in layer_weighted and zscore."""
    identity_weight: Annotated[float, Interval("(-inf, inf)")] = 1.0
    """Weight lambda of the layer indicator in additive."""
    path_bonus: Annotated[float, Interval("[0, inf)")] = 0.0
    """Weight, in the score's unit, of the mean log-probability of the layers that are skipped and
    those that are not (path depth, after PR-DARTS): a reconstruction for F0 to F7; 0: off."""
    generations: Annotated[int, Interval("[1, inf)")] = 20
    """Generations of the evolution."""
    population: Annotated[int, Interval("[1, inf)")] = 50
    """Architectures scored in each generation."""
    parents: Annotated[int, Interval("[1, inf)")] = 10
    """Best architectures so far that breed the next generation."""
    breeding: Literal["generational", "steady_state"] = "generational"
    """Breed a generation once all of one is scored, or one child whenever one is asked for."""
    objectives: str = "score"
    """What is best, with commas between: score alone, or the front of score and some of macs,
    params and latency, along which networks are retrained; --objectives X for short."""
    mutations: Annotated[int, Interval("[0, inf)")] = 25
    """Children by mutation in each generation."""
    crossovers: Annotated[int, Interval("[0, inf)")] = 25
    """Children by crossover in each generation."""
    mutation_probability: Annotated[float, Interval("[0, 1]")] = 0.1
    """Probability that a mutation redraws a layer's candidate."""
    min_distance: Annotated[int, Interval("[1, inf)")] = 1
    """Layers in which the networks that are retrained differ from each other at least, where there
    are such; by a learned score and by feature_error a fifth of the layers at least."""
    recalibration_batches: Annotated[int, Interval("[1, inf)")] = 20
    """Training batches that give a subnet's batch norms their statistics before its accuracy."""
    recalibration_batch: Annotated[int, Interval("[2, inf)")] | None = None
    """Images in each of these batches; unset: as many as a step of the pretraining has."""
    score_images: Annotated[int, Interval("[1, inf)")] = 2000
    """Validation images of an accuracy, the same ones for all architectures."""
    concurrent: Annotated[int, Interval("[1, inf)")] | None = None
    """Scoring trials at a time; unset: as many as the cluster has resources for."""

    @property
    def traits(self) -> Strategy:
        """What is to be known of the strategy."""
        return STRATEGIES[self.strategy]

    @property
    def scores_by_trials(self) -> bool:
        """Whether a trial scores each architecture; otherwise scores are sums over layers."""
        return self.traits.maximises_score and not is_sum(self.score)

    @property
    def reads_start(self) -> bool:
        """Whether the score is read off trained weights that the run begins from."""
        return self.traits.maximises_score and SCORES[self.score].needs_start

    @property
    def score_words(self) -> str:
        """The score as tables name it, with its path bonus if there is one."""
        return self.score + (f" + {self.path_bonus:g} path" if self.path_bonus else "")

    @property
    def goals(self) -> tuple[Kind, ...]:
        """The costs that are minimised beside the score; none: the score is all that counts."""
        return goals_of(self.objectives)


def goals_of(objectives: str) -> tuple[Kind, ...]:
    """Return the costs among the objectives in their order.

    Args:
        objectives: As ``SearchSettings.objectives``.

    Raises:
        UserError: The first is not the score, or one is unknown or given twice.
    """
    names = tuple(name.strip() for name in objectives.split(","))
    for name in names:
        if name not in _OBJECTIVES:
            near = difflib.get_close_matches(name, _OBJECTIVES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_OBJECTIVES)}"
            raise UserError(f"--objectives {objectives}: no objective {name!r}; {hint}")
    if names[0] != "score" or len(set(names)) < len(names):
        raise UserError(
            f"--objectives {objectives}: wanted score first, and each once, such as score,macs"
        )
    return tuple(kind for name in names for kind in KINDS if kind == name)
