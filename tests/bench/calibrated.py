"""What the calibrated search reaches with few trials, beside searches without an indicator.

    python -m tests.bench.calibrated [--seeds N] [--first-seed N]

Replays NAS-Bench-Macro's development table; a trial reports its accuracy with noise of 0.3 points.
"Self-check" spreads the same number of trials over the scores instead of searching with them.
Kendall's tau is that of the calibrated table over all 1,500 architectures, regret (in points) that
of the trial that was seen to be best. Rivals at equal budgets: the indicator's best in order,
random search, regularised evolution (Real et al. 2019) and Optuna's TPE by ask and tell, the
sampler of Ray Tune's OptunaSearch unless told otherwise, without the time that Tune's trials take.
Where one of them proposes what is not in the table or breaks the limit, the nearest untried
architecture that does neither is trained, and that is what it is told. The last line is a JSON
object. It measures and asserts nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import tyro

from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from tests.bench.macro import SALIENCY, TAYLOR, End, Replay, checked, load_replay, planted, replay
from tests.bench.uses import Use

BUDGETS = (8, 16, 32)
LIMITS = (40_000_000, 50_000_000, 60_000_000, 70_000_000, None)
POPULATION, SAMPLE = 8, 3  # of regularised evolution; small, for the budgets are

Propose = Callable[[list[Architecture], list[float]], Sequence[int]]
Search = Callable[[int | None, int], list[End]]  # of a limit and a seed


@dataclass(frozen=True)
class Command:
    """What the calibrated search reaches with few trials."""

    seeds: int = 20
    """Repetitions of each search."""
    first_seed: int = 0
    """Seed of the first repetition."""


def main() -> None:
    """Run all searches and print tables."""
    command = tyro.cli(Command)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seeds = range(command.first_seed, command.first_seed + command.seeds)
    table = load_replay()
    indicators: dict[str, Callable[[int], list[Array]]] = {
        "planted 0.62": lambda seed: planted(table, 0.62, seed),
        "planted 0.75": lambda seed: planted(table, 0.75, seed),
        "measured taylor": lambda _: list(TAYLOR),
        "measured saliency": lambda _: list(SALIENCY),
    }
    report: dict[str, Any] = {}
    for name, make in indicators.items():
        tables = {seed: make(seed) for seed in seeds}
        print(name)
        start = float(np.mean([table.tau(each) for each in tables.values()]))
        report[f"calibrated, {name}"] = {"tau at 0": round(start, 3)} | study(
            calibrated(table, tables), seeds
        )
        report[f"indicator alone, {name}"] = study(in_order(table, tables), seeds)
        taus = [[checked(table, tables[seed], n, seed) for seed in seeds] for n in BUDGETS]
        report[f"self-check, {name}"] = {"tau": np.mean(taus, axis=1).round(3).tolist()}
        print("self-check", report[f"self-check, {name}"], flush=True)
    rivals = {"random": uniform, "regularised evolution": evolution, "TPE": tpe}
    for name, begin in rivals.items():
        print(name)
        report[name] = study(blind(table, begin), seeds)
    print(json.dumps(report))


def study(search: Search, seeds: range) -> dict[str, Any]:
    """Return mean tau and regret of a search, and print them as they come."""
    found: dict[str, Any] = {}
    for limit in LIMITS:
        ends = [search(limit, seed) for seed in seeds]
        name = f"{limit // 10**6} M" if limit else "any"
        found[name] = {
            "tau": [round(float(np.mean([e[i].tau for e in ends])), 3) for i in range(3)],
            "regret": [round(float(np.mean([e[i].regret for e in ends])), 2) for i in range(3)],
        }
        if np.isnan(found[name]["tau"][0]):
            del found[name]["tau"]
        print(name, found[name], flush=True)
    return found


def rival(table: Replay, propose: Propose, max_macs: int | None, seed: int) -> list[End]:
    """Run a search without a ranking of its own; each proposal becomes the nearest of the table."""
    rng = random_numbers(seed, Stream.BENCH, Use.TRAININGS)
    choices, legal = np.array(table.architectures), table.legal(max_macs)
    tried: list[int] = []
    seen: list[float] = []
    ends: list[End] = []
    while len(tried) < max(BUDGETS):
        wanted = propose([table.architectures[at] for at in tried], seen)
        distance = (choices != np.array(wanted)).sum(axis=1) + rng.random(len(choices)) / 2
        distance[~legal] = np.inf
        distance[tried] = np.inf
        tried.append(int(np.argmin(distance)))
        seen.append(table.train(tried[-1], rng))
        if len(tried) in BUDGETS:
            ends.append(End(len(tried), table.regret(tried, seen, max_macs)))
    return ends


def calibrated(table: Replay, indicators: dict[int, list[Array]]) -> Search:
    """Return the calibrated search."""
    return lambda limit, seed: replay(table, indicators[seed], limit, seed, BUDGETS)


def blind(table: Replay, begin: Callable[[int], Propose]) -> Search:
    """Return a search that begins without an indicator."""
    return lambda limit, seed: rival(table, begin(seed), limit, seed)


def in_order(table: Replay, indicators: dict[int, list[Array]]) -> Search:
    """Return the search that takes the indicator's best, one after another."""

    def search(limit: int | None, seed: int) -> list[End]:
        scores = AdditiveScorer(indicators[seed])(table.architectures)
        order = [at for at in np.argsort(-scores) if table.legal(limit)[at]]
        return rival(table, lambda tried, _: table.architectures[order[len(tried)]], limit, seed)

    return search


def uniform(seed: int) -> Propose:
    """Return random search."""
    rng = random_numbers(seed, Stream.BENCH, Use.UNIFORM)
    return lambda _tried, _seen: tuple(map(int, rng.integers(3, size=8)))


def evolution(seed: int) -> Propose:
    """Return regularised evolution: a mutated layer of the best of a sample of the youngest."""
    rng = random_numbers(seed, Stream.BENCH, Use.EVOLUTION)

    def propose(tried: list[Architecture], seen: list[float]) -> Sequence[int]:
        if len(tried) < POPULATION:
            return tuple(map(int, rng.integers(3, size=8)))
        alive = np.arange(len(tried))[-POPULATION:]
        sample = rng.choice(alive, SAMPLE, replace=False)
        child = list(tried[max(sample, key=lambda at: seen[at])])
        layer = int(rng.integers(8))
        child[layer] = (child[layer] + int(rng.integers(1, 3))) % 3
        return child

    return propose


def tpe(seed: int) -> Propose:
    """Return Optuna's TPE with its defaults."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    space: dict[str, optuna.distributions.BaseDistribution] = {
        str(layer): optuna.distributions.CategoricalDistribution((0, 1, 2)) for layer in range(8)
    }

    def propose(tried: list[Architecture], seen: list[float]) -> Sequence[int]:
        if tried:
            params = {str(layer): choice for layer, choice in enumerate(tried[-1])}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=space, value=seen[-1])
            )
        asked = study.ask(space)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)  # the trained one is told instead
        return [asked.params[str(layer)] for layer in range(8)]

    return propose


if __name__ == "__main__":
    main()
