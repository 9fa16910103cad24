"""How a run finds what it retrains: by evolution, exactly, by learning from trials, or by gates.

Every strategy ends in a Tune searcher whose trials are retrainings. What it scored is in the
table ``architectures``; where it stood, in the run folder's checkpoints.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.run import Run
from raynas.cluster.tune.calibrated_searcher import CalibratedSearcher
from raynas.cluster.tune.differentiable_search import search_by_gates
from raynas.cluster.tune.score_check import check_score
from raynas.cluster.tune.scoring_trials import run_scoring
from raynas.cluster.tune.searchers import EvolutionSearcher, ListSearcher
from raynas.errors import StageError
from raynas.recording.outcomes import SEARCH_STATE, Chronicle, Outcomes, known_scores
from raynas.recording.rows import architecture_rows, calibrated_rows
from raynas.search.breeding import Child
from raynas.search.calibration import Calibration
from raynas.search.evolution import Evolution, Scored
from raynas.search.exact import best, front, k_best
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer, score_table
from raynas.spaces.architecture import Architecture
from raynas.storage.run_store import RunStore
from raynas.training.gradients import Vector
from raynas.training.pretraining import Pretraining
from raynas.training.scoring import Remembered, Scorer, make_score

Table = list[Array]
"""T[l][i], what candidate i of layer l adds to a score."""


class Winners(Protocol):
    """A Tune searcher over the architectures that are worth training."""

    @property
    def exhausted(self) -> bool:
        """Whether none is left to train."""

    def score_of(self, architecture: Architecture) -> float:
        """Return the score of an architecture that was suggested."""


def find_winners(run: Run, supernet: Pretraining | None) -> Winners:
    """Search, and return the Tune searcher whose trials are to be trained.

    Writes the tables ``architectures`` and, where it is asked for, ``checks``.

    Args:
        run: The run.
        supernet: With what was trained, and its importance; None where nothing was pretrained.
    """
    plan, settings = run.plan, run.settings
    if settings.search.by_gates:
        winners = search_by_gates(run)
        _record_seconds(run)
        return winners
    done = Outcomes(run.store, plan.costs, settings.search.goals).settled()
    vector = supernet.vector.numpy() if supernet else np.zeros(0, np.float32)
    if settings.search.by_trials:  # trials score each architecture
        with run.spending("search", plan.scorers * plan.gpus_per_worker):
            searcher: Winners = make_searcher(run, None, vector, done)
        check_score(run, None)
    else:
        assert supernet, "indicators are read off a supernet"
        table = score_table(supernet.indicators(), plan.chain, settings.search)
        check_score(run, table)  # before the search, which may learn from it
        with run.spending("search"):
            searcher = make_searcher(run, table, vector, done)
        if settings.search.strategy != "calibrated":
            _record_gap(run, table)
    _record_seconds(run)
    return searcher


def _record_seconds(run: Run) -> None:
    run.update(search_seconds=json.loads(run.row["spent"])["search"]["seconds"])


def _record_gap(run: Run, table: Table) -> None:
    """Record the best score that the search found beside the best one that there is."""
    scores = run.store.table("architectures", ["score"])["score"].to_pylist()
    _, optimum = best(table, run.plan.costs, run.settings.limits)
    run.update(best_score=max(scores), optimal_score=optimum)


def make_searcher(
    run: Run, table: Table | None, vector: Vector, done: Sequence[Architecture]
) -> Any:
    """Return the Tune searcher of the run's strategy (``Winners``), continued where it stood.

    Args:
        run: The run.
        table: What candidates add to a score; None: trials score each architecture.
        vector: The supernet's trained numbers, for scores by trials.
        done: What needs no training any more.
    """
    if table is None:
        return _scored_by_trials(run, vector, done)
    strategies: dict[str, Callable[[Run, Table, Sequence[Architecture]], Any]] = {
        "evolution": _evolution,
        "exact": _exact,
        "calibrated": _calibrated,
    }
    return strategies[run.settings.search.strategy](run, table, done)


def _evolution(run: Run, table: Table, done: Sequence[Architecture]) -> EvolutionSearcher:
    evolution, chronicle = _continued(run)
    top_k = run.settings.retrain.top_k
    searcher = EvolutionSearcher(evolution, AdditiveScorer(table), top_k, chronicle, done)
    searcher.evolve()  # at once, so that it is known how long it takes
    return searcher


def _scored_by_trials(run: Run, vector: Vector, done: Sequence[Architecture]) -> EvolutionSearcher:
    """Score the whole evolution by trials, and return the searcher over its winners.

    Raises:
        StageError: No architecture could be scored.
    """
    own = known_scores(run.store)  # of this run, in case the state of its search is lost
    evolution, chronicle = _continued(run)
    if not evolution.finished:
        space, dataset, settings = run.plan.space, run.dataset, run.settings
        cpus, gpus = settings.pretrain.cpus_per_worker, run.plan.gpus_per_worker

        known = (run.earlier.scores() if run.earlier else {}) | own

        def make() -> Scorer:
            device = "cuda" if gpus else "cpu"
            return Remembered(known, lambda: make_score(space, dataset, settings, vector, device))

        scoring = EvolutionSearcher(evolution, None, 0, chronicle)
        errors = run_scoring(scoring, on_fit_nodes(make, run.demands), cpus, gpus, run.plan.scorers)
        if errors:
            run.stages.print(f"warning: {len(errors)} scores failed; the first one by: {errors[0]}")
        if not evolution.finished:
            raise StageError("search: it ended early; run the same command again to continue")
        if not evolution.history:
            raise StageError("search: no architecture could be scored")
    return EvolutionSearcher(evolution, None, run.settings.retrain.top_k, chronicle, done)


def _continued(run: Run) -> tuple[Evolution, Chronicle]:
    """Return the run's evolution as far as it has come, and what records it."""
    settings = run.settings.search
    evolution = Evolution(run.plan.sampler, settings, run.settings.seed)
    generations = run.stages.stage("search", settings.generations, "generations")
    chronicle = Chronicle(run.store, run.plan.costs, generations)
    if run.store.has(SEARCH_STATE):
        evolution.restore(json.loads(run.store.read_bytes(SEARCH_STATE)))
        generations(evolution.generation, "continued")
        if run.store.table("architectures", ["order"]).num_rows < len(evolution.history):
            chronicle(evolution)
    return evolution, chronicle


def _exact(run: Run, table: Table, done: Sequence[Architecture]) -> ListSearcher:
    """Return the searcher over the best architectures that there are, or over the exact front."""
    settings, costs, count = run.settings, run.plan.costs, run.settings.retrain.top_k
    if settings.search.goals:
        (kind,) = settings.search.goals
        found = front(table, costs, settings.limits, kind, count)
    else:
        found = k_best(table, costs, settings.limits, count, settings.search.min_distance)
    _write(run, found, "exact")
    return ListSearcher(dict(found), done)


def _calibrated(run: Run, table: Table, done: Sequence[Architecture]) -> CalibratedSearcher:
    """Return the searcher that begins as the indicator and learns from its trials."""
    plan, settings, store = run.plan, run.settings, run.store
    calibration = Calibration(table, plan.costs, settings.limits, plan.chain, settings.seed)
    scorer = AdditiveScorer(table)

    def record(searcher: CalibratedSearcher) -> None:
        if searcher.num_observed:
            rows = calibration.rows()
            store.append("calibration", rows, part=f"{searcher.num_observed:06d}")
            _write_beliefs(run, calibration)
        scores = map(float, scorer(searcher.proposed))
        _write(run, list(zip(searcher.proposed, scores, strict=True)), "calibrated")
        store.write_bytes(SEARCH_STATE, json.dumps(searcher.state()).encode())

    searcher = CalibratedSearcher(calibration, scorer, settings.retrain, record, done)
    if store.has(SEARCH_STATE):
        state = json.loads(store.read_bytes(SEARCH_STATE))
        searcher.resume(state)
        if _lacks_observations(store, state):
            fresh = Calibration(table, plan.costs, settings.limits, plan.chain, settings.seed)
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
    """Show a calibration the short trainings of the self-check, if there were any."""
    short, long = run.settings.check_epochs, run.settings.retrain.epochs
    weight = short / (short + long)  # below 1, and hardly that of a rung
    rows = [row for row in run.store.rows("checks") if row["status"] == "finished"]
    for row in sorted(rows, key=lambda row: str(row["architecture"])):
        calibration.observe(Architecture.parse(row["architecture"]), row["val_accuracy"], weight)
        run.store.append("calibration", calibration.rows(), part=f"check-{row['architecture']}")
    _write_beliefs(run, calibration)


def _write_beliefs(run: Run, calibration: Calibration) -> None:
    step = run.plan.num_steps - 1  # beside the indicators after the last step of pretraining
    rows = calibrated_rows(run.plan.chain, calibration.table(), step)
    run.store.append("indicators", rows, part="calibrated")


def _write(run: Run, found: Sequence[tuple[Architecture, float]], origin: str) -> None:
    """Write architectures that no evolution has bred, in their order."""
    scored = [
        Scored(0, Child(architecture, origin, order=order), score)
        for order, (architecture, score) in enumerate(found)
    ]
    rows = architecture_rows(scored, run.plan.costs)
    run.store.append("architectures", rows, part="000000")
