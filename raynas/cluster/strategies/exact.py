"""The best architectures that there are, or the exact front, by integer programming."""

from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.plan_text import front_words
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import (
    Scores,
    SearchStrategy,
    record_gap,
    settled,
    write_found,
)
from raynas.cluster.tune.searchers import ListSearcher
from raynas.search.exact import best, front, k_best
from raynas.settings.settings import Settings


def search(run: Run, scores: Scores) -> ListSearcher:
    """Return the searcher over the best architectures, or over the exact front."""
    table = scores.sums
    settings, costs, count = run.settings, run.plan.costs, run.settings.retrain.top_k
    if settings.search.goals:
        (kind,) = settings.search.goals
        found = front(table, costs, settings.limits, kind, count)
    else:
        distance, least = settings.winner_distance(len(table)), settings.search.min_distance
        found = k_best(table, costs, settings.limits, count, distance)
        while len(found) < count and distance > least:
            distance -= 1
            found = k_best(table, costs, settings.limits, count, distance)
    write_found(run, found, "exact")
    _, optimum = best(table, costs, settings.limits)
    record_gap(run, optimum)
    return ListSearcher(dict(found), settled(run))


def _plan_words(plan: Plan, settings: Settings) -> str:
    del plan
    score = settings.search.score_words
    return f"exactly, by integer programming, score {score}{front_words(settings)}"


STRATEGY = SearchStrategy(search, _plan_words)
