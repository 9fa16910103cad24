"""Which networks to train first, so that their accuracies tell most of what is not known.

Source: D-optimal design (Fedorov 1972), taken greedily: each network is the one whose score is
known least, given those taken before. No accuracy is needed, so all of them can be trained at once.
"""

from collections.abc import Sequence

import numpy as np

from raynas.costs.costs import CostTable, Limits
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.features import Features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace

_POOL = 400  # networks to choose from
_DROPPED = 0.25  # of what is drawn, the share that scores lowest
_LONG = 12  # layers, above which random networks differ little from each other
_DEPARTURE, _NOISE = 0.6, 0.3  # of the model that a design is made for


def design(features: Features, pool: Sequence[Architecture], count: int) -> list[Architecture]:
    """Return networks of the largest variance given those before them, most telling first.

    With the features' covariance C over the pool, taking j leaves C - C_j C_j' / (C_jj + n^2).

    Args:
        features: What is believed of architectures.
        pool: Those to choose from.
        count: How many to take; fewer if the pool is smaller.
    """
    x = features.of(pool) * (_DEPARTURE * features.prior.spread)
    covariance, taken = x @ x.T, list[int]()
    for _ in range(min(count, len(pool))):
        variance = np.diag(covariance).copy()
        variance[taken] = -np.inf
        at = int(np.argmax(variance))
        taken.append(at)
        row = covariance[at]
        covariance = covariance - np.outer(row, row) / (row[at] + _NOISE**2)
    return [pool[at] for at in taken]


def design_pool(  # noqa: PLR0913 - a space, what is wanted of it, and where chance comes from
    table: Sequence[Array],
    space: SearchSpace,
    sampler: LegalSampler,
    costs: CostTable,
    limits: Limits,
    rng: np.random.Generator,
) -> list[Architecture]:
    """Return networks within limits that are worth training, without the lowest quarter by score.

    In a long chain random networks are much alike, for what their layers add evens out; there half
    of the networks repeat one candidate through each stage, to a depth that is drawn uniformly.

    Args:
        table: T[l][i], the score; a candidate of -inf is in none of them.
        space: The space.
        sampler: Draws networks within the limits.
        costs: What candidates cost.
        limits: What a network may cost.
        rng: Source of what is drawn.
    """
    wanted = round(_POOL / (1 - _DROPPED))
    score = AdditiveScorer(table)
    found: dict[Architecture, float] = {}
    for draw in range(4 * wanted):
        is_tied = space.num_layers > _LONG and draw % 2 == 1
        drawn = _repeated(space, rng) if is_tied else sampler.draw(rng)
        if drawn is not None and limits.allow(costs.of(drawn)):
            scored = float(score([drawn])[0])
            if np.isfinite(scored):
                found[drawn] = scored
        if len(found) == wanted:
            break
    ranked = sorted(found, key=lambda each: (found[each], each))
    return ranked[int(len(ranked) * _DROPPED) :]


def _repeated(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Return a network that repeats one candidate through each stage, and then skips layers.

    A layer without a choice stays as it is.
    """
    choices: list[int] = []
    stages = np.array(space.stages)
    for stage in np.unique(stages):
        blocks = [space.blocks[layer] for layer in np.flatnonzero(stages == stage)]
        skips = [block.identity if block.size > 1 else None for block in blocks]
        least = sum(skip is None for skip in skips)
        depth = max(int(rng.integers(least, len(blocks) + 1)), 1)
        draw = rng.random()
        for at, (block, skip) in enumerate(zip(blocks, skips, strict=True)):
            kept = [each for each in range(block.size) if each != skip]
            repeated = kept[int(draw * len(kept))]
            choices.append(repeated if skip is None or at < depth else skip)
    return Architecture(choices)
