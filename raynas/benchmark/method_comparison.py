"""A comparison of methods as rows: one for each run, and what its runs say of each method.

Source: the columns of Table 2 of the paper (arXiv 2307.02263): what a method costs, how well its
score ranks, and what it finds.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from raynas.benchmark import ranking
from raynas.benchmark.recorded import recorded_scores
from raynas.benchmark.truths.truth import Truth
from raynas.costs.costs import Cost
from raynas.reporting.rank_correlation import checked
from raynas.reporting.rivals import trained
from raynas.settings.scores import is_sum
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.outcome_rows import known_accuracy, networks_of
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.rival_names import RANDOM
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown
from raynas.storage.usage import Usage

Row = dict[str, Any]
MEASURES = (
    "ms_per_step",
    "ms_per_path",
    "pretrain_seconds",
    "search_seconds",
    "tau",
    "best_val_accuracy",
    "best_test_accuracy",
    "true_accuracy",
    "regret",
    "macs",
    "params",
    "search_gpu_days",
    "search_hours",
)
_SEARCHING = ("pretrain", "search", "learn", "check")
_UNEXPLAINED = "it ended early"


class Spread(NamedTuple):
    """The mean over seeds, and their standard deviation where there are several."""

    mean: float
    deviation: float | None


def run_row(
    store: RunStore, settings: Settings, error: str | None = None, truth: Truth | None = None
) -> Row:
    """Return the row of ``comparison`` for a run that has ended, well or not.

    Args:
        store: Its run folder, empty if it failed at once.
        settings: What it was asked to do.
        error: Why it stopped; None: it went through.
        truth: True accuracies of the space's networks, where they are known.
    """
    run = next(iter(store.rows("runs")), {})
    outcomes = store.rows("outcomes")
    failures = [row["error"] for row in outcomes if row["status"] == "failed"]
    is_finished = run.get("finished") is not None
    traits = settings.search.traits
    why = None if is_finished else error or next(iter(failures), _UNEXPLAINED)
    row = {
        "method": settings.method,
        "seed": settings.seed,
        "space": settings.space,
        "data": shown(settings.data),
        "run": store.uri,
        "score": None if traits.is_differentiable else settings.search.score,
        "status": "finished" if is_finished else "failed",
        "error": why,
        "search_seconds": run.get("search_seconds"),
    }
    row |= _search_cost(run)
    row |= _pretraining(store, settings, run.get("plan")) | _best(outcomes, settings, truth)
    return row | (_tau(store, settings, truth) if is_finished else {})


def rival_rows(store: RunStore, settings: Settings) -> list[Row]:
    """Return a row of ``comparison`` for each network that a run has trained beside its winners.

    Args:
        store: The run folder.
        settings: What it was asked to do.
    """
    return [
        {
            "method": row["rival"] if row["rival"] == RANDOM else row["network"],
            "is_rival": True,
            "seed": settings.seed,
            "data": shown(settings.data),
            "run": store.uri,
            "status": row["status"],
            "error": row["error"],
            **{name: row[name] for name in ("macs", "params")},
            "best_val_accuracy": row["val_accuracy"],
            "best_test_accuracy": row["test_accuracy"],
        }
        for row in trained(store.rows("rivals"))
    ]


def _search_cost(run: Row) -> Row:
    """Return what finding the networks took: of the supernet that was taken over, too."""
    stages = dict(Usage.from_json(run.get("spent")).stages)
    source = run.get("pretrained")
    if source:
        earlier = next(iter(RunStore(source).rows("runs")), {})
        stages |= {
            name: used
            for name, used in Usage.from_json(earlier.get("spent")).stages.items()
            if name == "pretrain"
        }
    used = [stages[name] for name in _SEARCHING if name in stages]
    gpu_days = math.fsum(each.gpu_hours for each in used) / 24
    return {
        "search_gpu_days": gpu_days or None,
        "search_hours": math.fsum(each.seconds for each in used) / 3600 if used else None,
    }


def _pretraining(store: RunStore, settings: Settings, plan: str | None) -> Row:
    """Return what was pretrained and how long that took; nothing for a method without.

    Args:
        store: The run folder.
        settings: What it was asked to do.
        plan: The plan as the run recorded it.
    """
    pretrain = settings.pretrain
    if not pretrain.epochs:
        learnt = {"trainable": "gates"} if settings.search.traits.is_differentiable else {}
        return {"pretrain_seconds": 0.0} | learnt
    found: Row = {
        "initialisation": pretrain.initialisation,
        "trainable": pretrain.trainable,
        "trains_classifier": pretrain.trains_classifier,
        "trained_numbers": PlanFacts.from_json(plan).trained_numbers,
        "sampling": pretrain.sampling,
        "layer_indicator": pretrain.layer_indicator,
    }
    steps = store.table("steps", ["seconds", "images_per_second"])
    if not steps.num_rows:
        return found
    seconds = steps["seconds"].to_numpy()
    paths = steps["images_per_second"][0].as_py() * seconds[0] / pretrain.batch
    ms = 1000 * float(np.median(seconds))
    return found | {
        "ms_per_step": ms,
        "ms_per_path": ms / round(paths),
        "pretrain_seconds": math.fsum(seconds),
    }


def _best(outcomes: Sequence[Row], settings: Settings, truth: Truth | None) -> Row:
    """Return the best network by validation, and how far the truth says it is from the best."""
    ended = networks_of(outcomes)
    if not ended:
        return {}
    best = ended[0]
    found = {name: best[name] for name in ("architecture", "macs", "params")}
    found["best_val_accuracy"] = known_accuracy(best, outcomes)
    found["best_test_accuracy"] = best["test_accuracy"]
    architecture = Architecture.parse(best["architecture"])
    if truth is None or architecture not in truth.architectures:
        return found
    reached = truth.accuracy[truth.network[truth.architectures.index(architecture)]]
    if settings.max_latency is not None or truth.macs is None or truth.params is None:
        return found | {"true_accuracy": reached / 100}  # which ones keep the limits is not known
    costs = map(Cost, truth.macs, truth.params)
    allowed = np.fromiter(map(settings.limits.allow, costs), np.bool_)
    highest = truth.accuracy[allowed].max(initial=reached)
    return found | {"true_accuracy": reached / 100, "regret": (highest - reached) / 100}


def _tau(store: RunStore, settings: Settings, truth: Truth | None) -> Row:
    """Return how well the score ranks networks: those of the truth, or those trained briefly."""
    if truth is not None and not settings.search.traits.is_differentiable:
        scores = recorded_scores(store, settings.search, truth)
        known = np.isfinite(scores)
        seen = truth.only(known) if known.any() else None
        if seen is not None and len(seen.accuracy) >= ranking.FEWEST:
            tau = ranking.tau(seen.merged(scores[known]), seen.accuracy)
            return _ranked(tau, "truth", len(seen.accuracy))
    check = checked(store.rows("checks"), store.rows("predictions"))
    return _ranked(check.best.tau, "check", check.num_trained) if check else {}


def _ranked(tau: float, source: str, networks: int) -> Row:
    known = tau if math.isfinite(tau) else None
    return {"tau": known, "tau_source": source, "tau_networks": networks}


def is_biased(row: Row) -> bool:
    """Return whether tau is of visited networks alone, mostly such as the score prefers."""
    return row.get("tau_source") == "truth" and not is_sum(row["score"])


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each method, in their order."""
    methods: dict[str, list[Row]] = {}
    for row in rows:
        methods.setdefault(row["method"], []).append(row)
    return methods


def over_seeds(rows: Sequence[Row]) -> dict[str, Spread]:
    """Return each measure of a method over those of its runs that have it."""
    found = {}
    for name in MEASURES:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            deviation = statistics.stdev(values) if len(values) > 1 else None
            found[name] = Spread(statistics.fmean(values), deviation)
    return found
