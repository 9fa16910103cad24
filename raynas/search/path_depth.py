"""The path-depth bonus of a score: how probable it is which layers an architecture skips.

Source: PR-DARTS (Zhou et al. 2020, arXiv 2006.16537), which rewards deep paths by a product of the
probabilities that hard-concrete gates are open.

The rest is our reconstruction, for PR-DARTS learns its gates and knows no indicators. Each layer
with an identity to choose has one gate, block against identity. Its log-odds are those of the batch
norms: the mean indicator of the layer's blocks over the layer indicator. An architecture is worth
the probability of its own pattern of gates, or the term would be one constant for all of them.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raynas.errors import UserError
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.chain import SearchSpace

Array = npt.NDArray[np.float64]
_PRDARTS = DifferentiableSettings()
_SHIFT = _PRDARTS.last_temperature * math.log(-_PRDARTS.low / _PRDARTS.high)  # tau ln(-a/b), 11.3
_TINY = 1e-12


def path_table(block: Sequence[Array], layer: Array, space: SearchSpace) -> list[Array]:
    """Return ``B[l][i]``, whose sum over layers is an architecture's mean log-probability.

    What is ranked by it is depth, where a layer counts more the stronger its blocks are: up to a
    constant the sum is the mean over the gates of the open ones' log-odds. The blocks of a layer
    gain the same, so it says nothing about which of them to choose.

    Args:
        block: Per layer the candidates' indicators c[l]; NaN for an identity.
        layer: The layer indicators g, one per layer; NaN where there is none.
        space: The space; layers that cannot be skipped have no gate and add 0.

    Raises:
        UserError: No layer has both an identity to choose and a layer indicator.
    """
    gates = {
        at: each.identity
        for at, each in enumerate(space.blocks)
        if each.identity is not None and np.isfinite(layer[at])
    }
    if not gates:
        raise UserError(
            f"--search.path-bonus with {space.name}: no layer has both an identity to choose and a "
            "layer indicator, so it would change no ranking; pretrain with "
            "--pretrain.layer-indicator path, or leave it at 0"
        )
    table = [np.zeros(each.size) for each in space.blocks]
    for at, identity in gates.items():
        opened, closed = _log_probabilities(np.delete(block[at], identity), layer[at])
        table[at][:] = opened / len(gates)  # log P_l, if a block is chosen
        table[at][identity] = closed / len(gates)  # log (1 - P_l), if identity is
    return table


def _log_probabilities(blocks: Array, layer: float) -> tuple[float, float]:
    """Return log P and log (1 - P) of a gate, P = sigmoid(log(cbar / g) - tau ln(-a/b))."""
    mean = float(np.mean(blocks[np.isfinite(blocks)])) if np.isfinite(blocks).any() else 0.0
    log_odds = math.log(max(mean, _TINY) / max(layer, _TINY)) - _SHIFT
    return -float(np.logaddexp(0, -log_odds)), -float(np.logaddexp(0, log_odds))
