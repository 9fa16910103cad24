"""A search that begins as the indicator and learns from its trials, which retrain networks."""

import json
from typing import Any

from raynas.cluster.planning.plan import Plan
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import Scores, SearchStrategy, settled, write_found
from raynas.cluster.tune.calibrated_searcher import CalibratedSearcher
from raynas.recording.outcomes import SEARCH_STATE
from raynas.recording.rows import score_rows
from raynas.search.calibration import Calibration
from raynas.search.indicators import AdditiveScorer
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore


def search(run: Run, scores: Scores) -> CalibratedSearcher:
    """Return the searcher that begins as the indicator and learns from its trials."""
    table = scores.sums
    plan, settings, store = run.plan, run.settings, run.store
    calibration = Calibration(
        scores.experts, plan.costs, settings.limits, plan.chain, settings.seed
    )
    scorer = AdditiveScorer(table)

    def record(searcher: CalibratedSearcher) -> None:
        if searcher.num_observed:
            rows = calibration.rows()
            store.append("calibration", rows, part=f"{searcher.num_observed:06d}")
            _write_beliefs(run, calibration)
        sums = map(float, scorer(searcher.proposed))
        write_found(run, list(zip(searcher.proposed, sums, strict=True)), "calibrated")
        store.write_bytes(SEARCH_STATE, json.dumps(searcher.state()).encode())

    searcher = CalibratedSearcher(calibration, scorer, settings.retrain, record, settled(run))
    if store.has(SEARCH_STATE):
        state = json.loads(store.read_bytes(SEARCH_STATE))
        searcher.resume(state)
        if _lacks_observations(store, state):
            fresh = Calibration(
                scores.experts, plan.costs, settings.limits, plan.chain, settings.seed
            )
            _write_observations(store, fresh, state)
            record(searcher)
    else:
        _learn_from_check(run, calibration)
    return searcher


def _lacks_observations(store: RunStore, state: dict[str, Any]) -> bool:
    """Return whether tables that a calibrated search writes have lost something."""
    known = len(state["calibration"]["observed"])
    return (
        len(store.parts("calibration")) < known
        or "calibrated" not in store.parts("indicators")
        or store.table("architectures", ["order"]).num_rows < len(state["proposed"])
    )


def _write_observations(store: RunStore, fresh: Calibration, state: dict[str, Any]) -> None:
    """Write the table ``calibration`` by observing everything once more, in the same order."""
    observed = state["calibration"]["observed"]
    from_check = len(observed) - len(state["observed"])
    for place, (text, accuracy, weight) in enumerate(observed):
        fresh.observe(Architecture.parse(text), accuracy, weight)
        number = place - from_check + 1
        part = f"{number:06d}" if number > 0 else f"check-{text}"
        store.append("calibration", fresh.rows(), part=part)


def _learn_from_check(run: Run, calibration: Calibration) -> None:
    """Show a calibration the short trainings, if there were any."""
    weight = run.settings.short_weight
    rows = [row for row in run.store.rows("checks") if row["status"] == "finished"]
    for row in sorted(rows, key=lambda row: str(row["architecture"])):
        calibration.observe(Architecture.parse(row["architecture"]), row["val_accuracy"], weight)
        run.store.append("calibration", calibration.rows(), part=f"check-{row['architecture']}")
    _write_beliefs(run, calibration)


def _write_beliefs(run: Run, calibration: Calibration) -> None:
    step = run.plan.num_steps - 1  # beside the indicators after the last step of pretraining
    rows = score_rows(run.plan.chain, calibration.table(), step, "calibrated")
    run.store.append("indicators", rows, part="calibrated")


def _plan_words(plan: Plan, settings: Settings) -> str:
    del plan
    score = settings.search.score_words
    return f"begins as score {score} and learns from the retraining trials"


STRATEGY = SearchStrategy(search, _plan_words)
