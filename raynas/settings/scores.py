"""The scores by which architectures are ranked: their names, what they are, and what they need.

A new score has its name and its line here, and the function that computes it: in
``raynas.search.formulas`` if it is a sum of what each layer says by itself, in
``raynas.nets.proxies`` if it looks at an untrained network, in ``raynas.nets.feature_errors`` if
it looks at the weights that a run begins from. Settings, refusals, the report and comparisons read
this list.
"""

from dataclasses import dataclass
from typing import Literal, get_args

IndicatorScore = Literal[
    "bnnas",
    "identity_ratio",
    "layer_weighted",
    "log_ratio",
    "zscore",
    "additive",
    "taylor",
    "saliency",
    "balanced_saliency",
]
"""Names of sums over layers, read off the pretrained batch norms (F0 to F7, and a mix)."""
StartScore = Literal["feature_error"]
"""Names of sums over layers, read off the trained weights that a run begins from."""
SingleScore = Literal[
    "accuracy",
    "random",
    "naswot",
    "synflow",
    "snip",
    "grad_norm",
    "jacob_cov",
    "zico",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
]
"""Names of scores that a trial of its own computes for each architecture."""
ScoreName = IndicatorScore | StartScore | SingleScore


@dataclass(frozen=True)
class Score:
    """What is to be known of a score before it is computed.

    Attributes:
        text: What it is.
        needs_supernet: Whether it reads or runs a pretrained supernet.
        needs_start: Whether it reads trained weights that the run begins from.
        layer_indicator: Whether it reads the layer indicators: never, as a weight of layers that
            a sign of 0 switches off, or always.
    """

    text: str
    needs_supernet: bool = True
    needs_start: bool = False
    layer_indicator: Literal["never", "weight", "always"] = "never"


SCORES: dict[ScoreName, Score] = {
    "bnnas": Score("F0: block indicators, as BN-NAS adds them up"),
    "identity_ratio": Score("F1: block indicators over layer indicators", layer_indicator="always"),
    "layer_weighted": Score("F2: block indicators, layers weighted", layer_indicator="weight"),
    "log_ratio": Score("F3: logarithms of F1's ratios", layer_indicator="always"),
    "zscore": Score("F4: standardised block indicators, weighted", layer_indicator="weight"),
    "additive": Score("F5: F0, and layer indicators of identities", layer_indicator="always"),
    "taylor": Score("F6: first-order importance of scales"),
    "saliency": Score("F7: roots of the importance of scales and shifts"),
    "balanced_saliency": Score("importance and ReLU inputs, as shares of their stage"),
    "feature_error": Score(
        "how much of the start's features a layer loses", needs_supernet=False, needs_start=True
    ),
    "accuracy": Score("validation accuracy with the supernet's weights (SPOS)"),
    "random": Score("a random number", needs_supernet=False),
    "naswot": Score("patterns of activations differ between images", needs_supernet=False),
    "synflow": Score("flow through absolute weights", needs_supernet=False),
    "snip": Score("loss that single weights would cost", needs_supernet=False),
    "grad_norm": Score("size of the gradient", needs_supernet=False),
    "jacob_cov": Score("gradients differ between images", needs_supernet=False),
    "zico": Score("gradients agree between batches", needs_supernet=False),
    "az_expressivity": Score("channels vary in many directions (AZ-NAS)", needs_supernet=False),
    "az_progressivity": Score("they do in more, layer by layer (AZ-NAS)", needs_supernet=False),
    "az_trainability": Score("layers keep the size of gradients (AZ-NAS)", needs_supernet=False),
}
"""All scores by name, in the order in which ``--help`` lists them."""

INDICATOR_SCORES: tuple[IndicatorScore, ...] = get_args(IndicatorScore)
SUMS: tuple[IndicatorScore | StartScore, ...] = (*INDICATOR_SCORES, *get_args(StartScore))
ZERO_COST_SCORES: frozenset[str] = frozenset(
    name for name, score in SCORES.items() if not (score.needs_supernet or score.needs_start)
)


def is_sum(name: str) -> bool:
    """Return whether a score is a sum over layers, not computed by a trial for each network."""
    return name in SUMS
