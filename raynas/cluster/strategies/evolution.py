"""The evolution of SPOS: architectures bred by their scores, which are sums or trials of their own.

Source: SPOS (Guo et al. 2020), section 3.4.
"""

import json
import math

import numpy as np

from raynas.cluster.planning.forecast import TUNE_SECONDS, num_scored, stage
from raynas.cluster.planning.node_requirements import on_fit_nodes
from raynas.cluster.planning.plan import Plan
from raynas.cluster.planning.plan_text import front_words
from raynas.cluster.planning.probe import ProbeTask, by_size, certain_if_fails, seconds_of
from raynas.cluster.planning.speeds import Speeds
from raynas.cluster.run import Run
from raynas.cluster.strategies.strategy import (
    Scores,
    SearchStrategy,
    forecast_of_sums,
    record_gap,
    settled,
)
from raynas.cluster.tune.scoring_trials import run_scoring
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.data.dataset import Dataset
from raynas.errors import StageError
from raynas.recording.outcomes import SEARCH_STATE, SearchLog, known_scores
from raynas.search.evolution import Evolution
from raynas.search.exact import best
from raynas.search.indicators import AdditiveScorer
from raynas.settings.scores import SCORES
from raynas.settings.settings import Settings
from raynas.storage.usage import StageUsage
from raynas.training.gradients import Vector, build_supernet
from raynas.training.scoring import Remembered, Scorer, make_score

_TRIAL_SECONDS = 0.07  # that Tune takes to start and end a trial on an actor that is there


def search(run: Run, scores: Scores) -> EvolutionSearcher:
    """Evolve by sums of a table, or take the evolution that trials have scored already."""
    top_k = run.settings.retrain.top_k
    min_distance = run.settings.winner_distance(len(run.plan.space.blocks))
    if scores.table is None:
        assert scores.evolution, "trials have scored it"
        return EvolutionSearcher(scores.evolution, None, top_k, done=settled(run))
    evolution, search_log = _continued(run)
    scorer = AdditiveScorer(scores.table)
    searcher = EvolutionSearcher(evolution, scorer, top_k, search_log, settled(run), min_distance)
    searcher.evolve()  # at once, so that it is known how long it takes
    _, optimum = best(scores.table, run.plan.costs, run.settings.limits)
    record_gap(run, optimum)
    return searcher


def score_by_trials(run: Run, vector: Vector) -> Evolution:
    """Return the evolution at its end, all that it bred scored by trials.

    Args:
        run: The run, continued where its folder stands.
        vector: The supernet's trained numbers; empty where nothing was pretrained.

    Raises:
        StageError: The trials ended early, or no architecture could be scored.
    """
    own = known_scores(run.store)  # of this run, in case the state of its search is lost
    evolution, search_log = _continued(run)
    if evolution.finished:
        return evolution
    space, dataset, settings, store = run.plan.space, run.dataset, run.settings, run.store
    cpus, gpus = settings.pretrain.cpus_per_worker, run.plan.gpus_per_worker
    known = (run.earlier.scores() if run.earlier else {}) | own

    def make() -> Scorer:
        task = space, dataset, settings, vector, "cuda" if gpus else "cpu"
        return Remembered(known, lambda: make_score(*task, store))

    scoring = EvolutionSearcher(evolution, None, 0, search_log)
    errors = run_scoring(scoring, on_fit_nodes(make, run.demands), cpus, gpus, run.plan.scorers)
    if errors:
        run.stages.print(f"warning: {len(errors)} scores failed; the first one by: {errors[0]}")
    if not evolution.finished:
        raise StageError("search: it ended early; run the same command again to continue")
    if not evolution.history:
        raise StageError("search: no architecture could be scored")
    return evolution


def _continued(run: Run) -> tuple[Evolution, SearchLog]:
    """Return the run's evolution as far as it has come, and what records it."""
    settings = run.settings.search
    evolution = Evolution(run.plan.sampler, settings, run.settings.seed)
    generations = run.stages.stage("search", settings.generations, "generations")
    search_log = SearchLog(run.store, run.plan.costs, generations)
    if run.store.has(SEARCH_STATE):
        evolution.restore(json.loads(run.store.read_bytes(SEARCH_STATE)))
        generations(evolution.generation, "continued")
        if run.store.table("architectures", ["order"]).num_rows < len(evolution.history):
            search_log(evolution)
    return evolution, search_log


def _plan_words(plan: Plan, settings: Settings) -> str:
    search, score = settings.search, settings.search.score_words
    words = f"{search.generations} generations of {search.population}, score {score}"
    words += front_words(settings)
    return f"{words} by trials, {plan.scorers} at a time" if search.scores_by_trials else words


def _probe_task(plan: Plan, settings: Settings) -> ProbeTask | None:
    if not settings.search.scores_by_trials:
        return None
    cpus, gpus = settings.pretrain.cpus_per_worker, plan.gpus_per_worker
    return ProbeTask(_probe_score, plan.scorers, cpus, gpus)


def _probe_score(
    plan: Plan, dataset: Dataset, settings: Settings, device: str
) -> tuple[float, int]:
    """Return the seconds of a score; the supernet's numbers do not matter to them."""
    vector = np.zeros(0, np.float32)
    if SCORES[settings.search.score].needs_supernet:
        frozen = build_supernet(plan.chain, settings.pretrain, dataset, settings.seed)
        vector = frozen.vector.numpy()
    score = make_score(plan.space, dataset, settings, vector, device)
    median, slow = by_size(plan, settings.seed)
    with certain_if_fails(lambda: score(slow)):
        return seconds_of(lambda: score(median)), 0


def _forecast(plan: Plan, settings: Settings, speeds: Speeds) -> StageUsage:
    if not settings.search.scores_by_trials:
        return forecast_of_sums(plan, settings, speeds)
    waves = math.ceil(num_scored(plan, settings) / plan.scorers)
    seconds = speeds.start + TUNE_SECONDS + waves * (speeds.search + _TRIAL_SECONDS)
    return stage(seconds, plan.scorers * plan.gpus_per_worker)


STRATEGY = SearchStrategy(search, _plan_words, _probe_task, _forecast)
