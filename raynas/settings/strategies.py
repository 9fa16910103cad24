"""The search strategies: their names, what they are, and what they need.

A new strategy has its name and its line here, and a module of that name in
``raynas/cluster/strategies`` that plans, forecasts and does its search. Settings, refusals, tables,
the report and comparisons read this list.
"""

from dataclasses import dataclass
from typing import Literal

StrategyName = Literal["evolution", "exact", "calibrated", "differentiable", "given"]


@dataclass(frozen=True)
class Strategy:
    """What is to be known of a strategy before it searches.

    Attributes:
        text: What it is.
        is_differentiable: Whether gates learn inside a network of cells that holds all operations;
            nothing is pretrained then, no score is computed, and each seed ends in one network.
        maximises_score: Whether a score says which networks are better before they are trained.
        needs_sums: Whether it needs scores that are sums over layers.
        learns_from_trials: Whether the trials that retrain change what it believes of candidates.
        keeps_distance: Whether what it finds differs in ``min_distance`` layers, unless a front is
            asked for.
        most_costs: The number of costs that it can minimise beside the score.
        no_front: Why it finds no front, or not every front, and what to do instead.
        tables: Those that it alone writes.
    """

    text: str
    is_differentiable: bool = False
    maximises_score: bool = True
    needs_sums: bool = False
    learns_from_trials: bool = False
    keeps_distance: bool = False
    most_costs: int = 3
    no_front: str = ""
    tables: tuple[str, ...] = ()


STRATEGIES: dict[StrategyName, Strategy] = {
    "evolution": Strategy("evolution of a population (SPOS)"),
    "exact": Strategy(
        "integer programming",
        needs_sums=True,
        keeps_distance=True,
        most_costs=1,
        no_front="an exact front has one cost beside the score and keeps no distances; leave one "
        "of the costs and the distance out, or use --search evolution",
    ),
    "calibrated": Strategy(
        "the score, corrected by what retraining trials say",
        needs_sums=True,
        learns_from_trials=True,
        most_costs=0,
        no_front="it learns what is most accurate within limits, not a front; use --search "
        "evolution or exact, or a limit such as --max-macs",
        tables=("calibration",),
    ),
    "differentiable": Strategy(
        "gates that learn in a network of all operations (DARTS, PC-DARTS, PR-DARTS)",
        is_differentiable=True,
        maximises_score=False,
        most_costs=0,
        no_front="a search ends in one network, not in a front; give a limit such as --max-macs, "
        "or use --search evolution",
        tables=("gates", "search_epochs"),
    ),
    "given": Strategy(
        "none: exactly the architectures that --architecture names",
        maximises_score=False,
        most_costs=0,
        no_front="named architectures are retrained whatever they cost; leave --objectives out",
    ),
}
"""All strategies by name, in the order in which ``--help`` lists them."""
