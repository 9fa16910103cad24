"""No search: the architectures that a person has named are what is trained."""

import math

from raynas.cluster.planning.plan import Plan
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Scores, SearchStrategy, settled, write_found
from raynas.cluster.tune.searchers import ListSearcher
from raynas.settings.settings import Settings


def search(run: Run, scores: Scores) -> ListSearcher:
    """Return the searcher over the named architectures, which have no score.

    Args:
        run: The run.
        scores: None: nothing was scored.
    """
    del scores
    found = dict.fromkeys(run.plan.named, math.nan)
    write_found(run, list(found.items()), "given")
    return ListSearcher(found, settled(run))


def _plan_words(plan: Plan, settings: Settings) -> str:
    del settings
    count = len(plan.named)
    return f"none, {count} architecture{'s are' if count > 1 else ' is'} named"


STRATEGY = SearchStrategy(search, _plan_words)
