"""Scores as Ray Tune trials: one trial scores one architecture on a long-lived actor.

Source: SPOS (Guo et al. 2020), section 3.4. An actor builds its supernet once and serves one
trial after another (``reuse_actors``); a trial that fails costs its architecture alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from ray import tune

from raynas.cluster.tune.experiment import run_experiment
from raynas.cluster.tune.searchers import EvolutionSearcher
from raynas.cluster.tune.trial_silence import WorkTime
from raynas.cluster.tune.trial_watchdog import TRIES, Watch, WatchedSearcher
from raynas.spaces.architecture import Architecture
from raynas.training.scoring import Remembered, Scorer

MakeScore = Callable[[], Scorer]


class ScoringTrial(tune.Trainable):
    """Scores ``config["architecture"]`` in one step; the actor outlives its trials."""

    def setup(  # type: ignore[override]  # with_parameters adds the rest
        self, config: dict[str, Any], make_score: MakeScore, threads: int
    ) -> None:
        """Build what scores, once per actor."""
        del config
        self._work = WorkTime()
        torch.set_num_threads(threads)
        self._score = make_score()

    def step(self) -> dict[str, Any]:
        """Return the score; the trial is done."""
        architecture = Architecture.parse(self.config["architecture"])
        known = isinstance(self._score, Remembered) and architecture in self._score
        found = {"score": self._score(architecture), tune.result.DONE: True}
        return found if known else found | self._work.told()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's architecture, and keep what scores."""
        self.config = new_config
        self._work.begin()
        return True


def run_scoring(
    searcher: EvolutionSearcher, make_score: MakeScore, cpus: int, gpus: float, concurrent: int
) -> list[str]:
    """Score what the searcher suggests to its end; return the errors of failed trials.

    Args:
        searcher: Takes the scores in.
        make_score: Builds what scores, on each actor.
        cpus: Of an actor, and its threads.
        gpus: Of an actor.
        concurrent: Actors.
    """
    watch = Watch()
    trainable = tune.with_parameters(ScoringTrial, make_score=make_score, threads=cpus)
    return run_experiment(
        trainable,
        {"cpu": cpus, "gpu": gpus},
        [watch],
        TRIES,
        metric="score",
        mode="max",
        search_alg=WatchedSearcher(searcher, watch),
        num_samples=-1,
        max_concurrent_trials=concurrent,
        reuse_actors=True,
    )
