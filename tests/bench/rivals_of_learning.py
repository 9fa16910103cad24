"""Searches without a supernet, which train one network after another from a table of truths.

Where one proposes what is not in the table or breaks the limit, the nearest untried architecture
that does neither is trained, and that is what it is told.
"""

from collections.abc import Callable, Sequence

import numpy as np
import optuna

from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from tests.bench.macro import Replay
from tests.bench.uses import Use

POPULATION, SAMPLE = 8, 3  # of regularised evolution; small, for the budgets are
_HANDED_OUT = 3

Propose = Callable[[list[Architecture], list[float]], Sequence[int]]
Begin = Callable[[Replay, int], Propose]


def regrets(
    truth: Replay, begin: Begin, seed: int, budgets: Sequence[int], max_macs: float, noise: float
) -> list[float]:
    """Return the regret of the best of the three that were seen to be best, at each budget.

    Args:
        truth: What is trained.
        begin: Begins a search.
        seed: Of the search and of its trainings.
        budgets: Trainings, ascending.
        max_macs: What networks may cost.
        noise: Deviation of a training's accuracy, in [0, 1].
    """
    rng = random_numbers(seed, Stream.BENCH, Use.TRAININGS)
    propose = begin(truth, seed)
    choices, legal = np.array(truth.architectures), truth.macs <= max_macs
    tried, seen, found = list[int](), list[float](), list[float]()
    while len(tried) < max(budgets):
        wanted = propose([truth.architectures[at] for at in tried], seen)
        distance = (choices != np.array(wanted)).sum(axis=1) + rng.random(len(choices)) / 2
        distance[~legal] = np.inf
        distance[tried] = np.inf
        tried.append(int(np.argmin(distance)))
        seen.append(float(truth.accuracies[tried[-1]] + noise * rng.normal()))
        if len(tried) in budgets:
            first = [tried[at] for at in np.argsort(seen)[::-1][:_HANDED_OUT]]
            lost = truth.accuracies[legal].max() - truth.accuracies[first].max()
            found.append(float(100 * lost))
    return found


def uniform(truth: Replay, seed: int) -> Propose:
    """Return random search."""
    rng = random_numbers(seed, Stream.BENCH, Use.UNIFORM)
    return lambda _tried, _seen: _drawn(truth, rng)


def evolution(truth: Replay, seed: int) -> Propose:
    """Return regularised evolution: a mutated layer of the best of a sample of the youngest.

    Source: Real et al. 2019 (arXiv 1802.01548).
    """
    rng = random_numbers(seed, Stream.BENCH, Use.EVOLUTION)

    def propose(tried: list[Architecture], seen: list[float]) -> Sequence[int]:
        if len(tried) < POPULATION:
            return _drawn(truth, rng)
        alive = np.arange(len(tried))[-POPULATION:]
        sample = rng.choice(alive, SAMPLE, replace=False)
        child = list(tried[max(sample, key=lambda at: seen[at])])
        layer = int(rng.integers(len(child)))
        size = truth.space.blocks[layer].size
        child[layer] = (child[layer] + int(rng.integers(1, size))) % size
        return child

    return propose


def tpe(truth: Replay, seed: int) -> Propose:
    """Return Optuna's TPE with its defaults, the sampler of Ray Tune's OptunaSearch."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    space: dict[str, optuna.distributions.BaseDistribution] = {
        str(layer): optuna.distributions.CategoricalDistribution(tuple(range(block.size)))
        for layer, block in enumerate(truth.space.blocks)
    }

    def propose(tried: list[Architecture], seen: list[float]) -> Sequence[int]:
        if tried:
            params = {str(layer): choice for layer, choice in enumerate(tried[-1])}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=space, value=seen[-1])
            )
        asked = study.ask(space)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)  # the trained one is told instead
        return [asked.params[name] for name in space]

    return propose


def _drawn(truth: Replay, rng: np.random.Generator) -> list[int]:
    return [int(rng.integers(block.size)) for block in truth.space.blocks]
