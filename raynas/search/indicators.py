"""Block and layer indicators, and the scores made of them: F0 to F7, and balanced_saliency.

Source: BN-NAS (the block indicator), the paper's section 3.3 (the layer indicator),
``.docs/pages/method.md`` (formulas and their reasons). Symbols: ``c[l][i]`` is the
mean of |gamma| of candidate i's last batch norm in layer l, ``g[l]`` that of the batch norm
after the layer's identity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raynas.costs.costs import Rows
from raynas.errors import StageError
from raynas.search.experts import Expert, balanced_experts, mixed, single_expert
from raynas.search.formulas import FORMULAS, Array, Layer
from raynas.search.path_depth import path_table
from raynas.settings.search import SearchSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import Segment

_CLAMP = 1e-3  # g below this share of its stage's mean counts as that share


@dataclass(frozen=True)
class Indicators:
    """What the batch norms say after pretraining.

    Attributes:
        block: Per layer the candidates' indicators c[l]; NaN for an identity.
        layer: The layer indicators g, one per layer; NaN where there is none (reduction
            layers, fixed identities, or no layer indicator at all).
        taylor: Per layer the candidates' first-order importance, identities included; NaN where
            a candidate was never trained.
        saliency: The same of shifts as well as scales, weighted by their positions.
        relu_inputs: Per layer the numbers that each candidate rectifies; NaN where nobody counted.
    """

    block: tuple[Array, ...]
    layer: Array
    taylor: tuple[Array, ...]
    saliency: tuple[Array, ...]
    relu_inputs: tuple[Array, ...]


def score_experts(
    indicators: Indicators, space: SearchSpace, settings: SearchSettings
) -> tuple[Expert, ...]:
    """Return the readings that a score is mixed of, from which a calibration begins.

    Raises:
        UserError: As ``score_table``.
    """
    if settings.score == "balanced_saliency" and settings.path_bonus == 0:
        return balanced_experts(indicators.saliency, indicators.relu_inputs, space)
    return single_expert(score_table(indicators, space, settings))


def score_table(
    indicators: Indicators, space: SearchSpace, settings: SearchSettings
) -> list[Array]:
    """Return ``T[l][i]``, what candidate i of layer l adds to a score.

    A candidate without a finite value gets -inf: architectures that use it are never taken.

    Raises:
        UserError: There is a path bonus, and no layer that could be skipped is indicated.
    """
    layer = _clamped(indicators.layer, space)
    if settings.score == "balanced_saliency":
        experts = balanced_experts(indicators.saliency, indicators.relu_inputs, space)
        table = mixed(experts)
    else:
        table = _layer_by_layer(indicators, layer, space, settings)
    if settings.path_bonus == 0:
        return table
    paths = path_table(indicators.block, layer, space)  # S'(a) = S(a) + lambda mean log P_l(a)
    return [row + settings.path_bonus * path for row, path in zip(table, paths, strict=True)]


def _layer_by_layer(
    indicators: Indicators, layer: Array, space: SearchSpace, settings: SearchSettings
) -> list[Array]:
    """Return the table of a formula that looks at one layer at a time."""
    weight = _layer_weights(layer, space, settings.layer_weight_sign)
    formula = FORMULAS[settings.score]
    table = []
    for position, block in enumerate(space.blocks):
        known = np.isfinite(indicators.block[position])
        c = np.where(known, indicators.block[position], np.nan)
        if block.size == 1:  # a constant of the space, such as a fixed identity
            table.append(np.zeros(1))
            continue
        read = Layer(
            c,
            float(layer[position]),
            float(weight[position]),
            block.identity,
            indicators.taylor[position],
            indicators.saliency[position],
            settings.identity_weight,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            row = formula(read)
        table.append(np.where(np.isfinite(row), row, -np.inf))
    return table


def _clamped(layer: Array, space: SearchSpace) -> Array:
    """Return g with values near zero raised to a share of their stage's mean."""
    return np.maximum(layer, _CLAMP * _stage_means(layer, space))  # NaN where there is no g


def _layer_weights(layer: Array, space: SearchSpace, sign: int) -> Array:
    """Return w[l] = (g[l] / mean of g over the stage)^s; 1 where there is no g."""
    weight = (layer / _stage_means(layer, space)) ** sign
    return np.where(np.isfinite(weight), weight, 1.0)


def _stage_means(layer: Array, space: SearchSpace) -> Array:
    """Return for each layer the mean of g over the layers of its stage that have one."""
    stages = np.array(space.stages)
    means = np.full(len(layer), np.nan)
    for stage in np.unique(stages):
        values = layer[stages == stage]
        known = values[np.isfinite(values)]
        if known.size:
            means[stages == stage] = known.mean()
    return means


class AdditiveScorer:
    """Scores architectures by a sum of table entries, one per layer; higher is better."""

    def __init__(self, table: Sequence[Array]) -> None:
        """Pad the table to a rectangle so that many architectures are scored at once."""
        width = max(map(len, table))
        self._table = np.stack(
            [np.pad(row, (0, width - len(row)), constant_values=-np.inf) for row in table]
        )

    def __call__(self, architectures: Iterable[Architecture]) -> Array:
        """Return one score per architecture, ``S(a) = sum over l of T[l][a_l]``."""
        choices = np.array(list(architectures), dtype=np.int64).reshape(-1, len(self._table))
        scores: Array = self._table[np.arange(len(self._table)), choices].sum(axis=1)
        return scores


def read_indicators(  # noqa: PLR0913 - all that is read
    segments: Sequence[Segment],
    vector: npt.NDArray[np.float32],
    space: SearchSpace,
    taylor: Array,
    saliency: Array,
    relu_inputs: Rows | None = None,
) -> Indicators:
    """Read the indicators off the batch norms: the mean over channels of |gamma|.

    Args:
        segments: What the parts of the vector are.
        vector: The trained numbers.
        space: The space that was pretrained.
        taylor: L x max(sizes), mean first-order importance per update; NaN without one.
        saliency: The same of shifts as well as scales, weighted by their positions.
        relu_inputs: What candidates rectify, per layer; None: nobody counted.

    Raises:
        StageError: An indicator is not finite.
    """
    block = tuple(np.full(choice_block.size, np.nan) for choice_block in space.blocks)
    layer = np.full(space.num_layers, np.nan)
    for part in segments:
        if not part.is_indicator or part.layer is None:
            continue
        value = float(np.abs(vector[part.start : part.stop].astype(np.float64)).mean())
        if not np.isfinite(value):
            raise StageError(f"indicators: layer {part.layer} has the value {value}")
        if part.candidate in {None, space.blocks[part.layer].identity}:
            layer[part.layer] = value
        else:
            block[part.layer][part.candidate] = value
    rows = list(enumerate(space.blocks))
    counted = relu_inputs or [[np.nan] * each.size for each in space.blocks]
    return Indicators(
        block,
        layer,
        tuple(taylor[i, : each.size].copy() for i, each in rows),
        tuple(saliency[i, : each.size].copy() for i, each in rows),
        tuple(np.array(row, dtype=np.float64) for row in counted),
    )
