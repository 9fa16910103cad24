"""The stages between a pretrained supernet and its winners: scores, and the search."""

import numpy as np

from raynas.benchmark.recorded import recorded_table
from raynas.cluster.learning import learn
from raynas.cluster.run import Run
from raynas.cluster.strategies.evolution import score_by_trials
from raynas.cluster.strategies.strategy import Scores, Winners, load_strategy
from raynas.recording.rows import score_rows, winner_rows
from raynas.recording.warm_start import SCORE
from raynas.search.experts import single_expert
from raynas.search.formulas import Array
from raynas.search.indicators import score_experts, score_table
from raynas.training.pretraining import Pretraining
from raynas.training.starts.inheriting import start_errors


def score(run: Run, supernet: Pretraining | None) -> Scores:
    """Read off the supernet what candidates add to a score, or let trials score architectures.

    A score of the weights that the run begins from is read off these. Where no score is maximised,
    nothing is scored.

    Args:
        run: The run.
        supernet: With what was trained, and its importance; None where nothing was pretrained.

    Raises:
        StageError: The trials ended early, or no architecture could be scored.
    """
    plan, settings = run.plan, run.settings.search
    if not settings.traits.maximises_score:
        return Scores()
    if settings.scores_by_trials:
        vector = supernet.vector.numpy() if supernet else np.zeros(0, np.float32)
        with run.spending("search", plan.scorers * plan.gpus_per_worker):
            return Scores(evolution=score_by_trials(run, vector))
    if settings.reads_start:
        with run.spending("search"):
            table = _read_start(run)
        return Scores(table, single_expert(table))
    assert supernet, "indicators are read off a supernet"
    indicators = supernet.indicators()
    table = score_table(indicators, plan.chain, settings)
    rows = score_rows(plan.chain, table, plan.num_steps - 1, SCORE)
    run.store.append("indicators", rows, part=SCORE)
    return Scores(table, score_experts(indicators, plan.chain, settings))


def _read_start(run: Run) -> list[Array]:
    """Return minus the feature errors of candidates, measured once and then recorded."""
    chain, store = run.plan.chain, run.store
    if SCORE in store.parts("indicators"):
        return recorded_table(store.rows("indicators"), chain, SCORE)
    if run.earlier and run.earlier.features:
        table = recorded_table(run.earlier.features.rows("indicators"), chain, SCORE)
    else:
        assert run.start, "refused before"
        run.stages.print("score     every candidate is fitted to the features of the start")
        errors = start_errors(chain, run.dataset, run.settings.seed, run.start)
        table = [-row for row in errors]
    store.append("indicators", score_rows(chain, table, 0, SCORE), part=SCORE)
    return table


def search(run: Run, scores: Scores) -> Winners:
    """Search within the limits, and return the Tune searcher whose trials are to be trained.

    Writes the table ``architectures``.

    Args:
        run: The run.
        scores: What ``score`` or ``learn`` returned.

    Raises:
        StageError: The search ended early.
    """
    strategy = load_strategy(run.settings.search.strategy)
    with run.spending("search", strategy.gpus(run.plan)):
        winners = strategy.search(run, scores)
        if scores.calibration:
            rows = winner_rows(scores.calibration, winners.winners())
            run.store.append("predictions", rows, part="winners")
    run.update(search_seconds=run.spent.stages["search"].seconds)
    return winners


def find_winners(run: Run, supernet: Pretraining | None) -> Winners:
    """Score, learn and search: the three stages at once.

    Args:
        run: The run.
        supernet: What ``pretrain`` returned.
    """
    return search(run, learn(run, score(run, supernet)))
