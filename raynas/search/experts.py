"""Readings of candidates that a score is mixed of, each believed to a share before any training.

Source of the two readings: the saliency of batch norms (F6, F7: Molchanov et al. 2019, arXiv
1906.10771) and the units that naswot compares (Mellor et al. 2021, arXiv 2006.04647).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raynas.errors import UserError
from raynas.search.formulas import Array
from raynas.search.stage_balance import balanced, centred, scaled
from raynas.spaces.chain import SearchSpace

SALIENCY_SHARE = 0.8  # of the score before any training; ReLU inputs have the rest


@dataclass(frozen=True)
class Expert:
    """One reading of the candidates.

    Attributes:
        name: What is read.
        share: How far it is believed before any training; shares add up to 1.
        x: ``x[l][i]``, what candidate i of layer l has.
        table: What it adds to the score: sums over layers have mean 0 and variance 1 over
            architectures drawn uniformly.
    """

    name: str
    share: float
    x: tuple[Array, ...]
    table: tuple[Array, ...]


def balanced_experts(
    saliency: Sequence[Array], relu_inputs: Sequence[Array], space: SearchSpace
) -> tuple[Expert, Expert]:
    """Return saliency and ReLU inputs, each as shares of its stage.

    Args:
        saliency: Importance of candidates, before its root. That of an identity is its own batch
            norm's; one without has none.
        relu_inputs: As ``raynas.nets.relu_inputs`` counts them.
        space: The space.

    Raises:
        UserError: Nobody counted ReLU inputs.
    """
    if not all(np.isfinite(row).all() for row in relu_inputs):
        raise UserError(
            "score balanced_saliency: the indicators have no ReLU inputs, for an older raynas "
            "recorded them; take --score saliency, or pretrain again"
        )
    read = []
    for row, block in zip(saliency, space.blocks, strict=True):
        kept = row.copy()
        if block.identity is not None and not np.isfinite(kept[block.identity]):
            kept[block.identity] = 0.0
        read.append(kept if block.size > 1 else np.zeros(1))
    counted = [np.asarray(row, dtype=np.float64) for row in relu_inputs]
    return (
        _expert("saliency", SALIENCY_SHARE, read, balanced(read, space.stages)),
        _expert("relu_inputs", 1 - SALIENCY_SHARE, counted, balanced(counted, space.stages)),
    )


def single_expert(table: Sequence[Array]) -> tuple[Expert]:
    """Return the one reading that any score is which is a sum over layers.

    Args:
        table: T[l][i]; a candidate that is never taken has -inf.
    """
    known = [np.where(np.isfinite(row), row, np.nan) for row in table]
    return (_expert("score", 1.0, known, scaled(centred(known))),)


def mixed(experts: Sequence[Expert]) -> list[Array]:
    """Return the score before any training: the experts' tables by their shares.

    A candidate of which some reading is not known gets -inf.
    """
    rows = [sum(each.share * each.table[at] for each in experts) for at in range(len(experts[0].x))]
    return [np.where(np.isfinite(row), row, -np.inf) for row in rows]


def _expert(name: str, share: float, x: Sequence[Array], table: Sequence[Array]) -> Expert:
    return Expert(name, share, tuple(x), tuple(table))
