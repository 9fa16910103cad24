"""What a score learns from few trainings, on two truths, beside searches without a supernet.

    python -m tests.bench.calibrated [--draws N] [--first-seed N] [--weight W]

Replays the development tables of NAS-Bench-Macro and of Accel-NASBench without squeeze-excitation.
Kendall's tau is taken over the networks that were not trained. Regret, in points, is that of the
best of three proposals: of the learned table, or of what a rival saw to be best; trainings are
taken within the limit, and the mean is over limits at the quartiles of MACs and none. +- is the
standard error over draws. The last line is a JSON object. It measures and asserts nothing.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import optuna
import tyro

from raynas.search.formulas import Array
from raynas.settings.settings import Settings
from tests.bench.accel import load_accel
from tests.bench.macro import Replay, load_replay
from tests.bench.replayed import Policy, Study, limits_of, random_saliency
from tests.bench.rivals_of_learning import Begin, evolution, regrets, tpe, uniform

TRUTHS: dict[str, Callable[[], Replay]] = {"NAS-Bench-Macro": load_replay, "Accel": load_accel}
RIVALS: dict[str, Begin] = {"random": uniform, "evolution": evolution, "TPE": tpe}
BUDGETS = (0, 4, 8, 16, 32, 64)
SEARCHED = (0, 8, 16, 32)
NOISES = (0.003, 0.012, 0.024)


@dataclass(frozen=True)
class Command:
    """What a score learns from few trainings."""

    draws: int = 24
    """Repetitions of each."""
    first_seed: int = 0
    """Seed of the first repetition."""
    weight: float = Settings().short_weight
    """How much a training counts: 1 for a whole one; by default as much as a short one of raynas'
    defaults, of which size may explain a part by itself."""


@dataclass
class Report:
    """Prints lines as they come, and keeps them."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, budgets: Sequence[int], values: Array) -> None:
        """Take values of draws (D x budgets)."""
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
        self.rows.append(
            {
                "name": name,
                "trainings": list(budgets),
                "mean": mean.round(3).tolist(),
                "error": error.round(3).tolist(),
            }
        )
        columns = zip(budgets, mean, error, strict=True)
        print(
            f"{name:<58}", "  ".join(f"{n}: {m:.3f} +- {e:.3f}" for n, m, e in columns), flush=True
        )


def main() -> None:
    """Run all studies and print what they reach."""
    command = tyro.cli(Command)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seeds = range(command.first_seed, command.first_seed + command.draws)
    report = Report()
    for name, load in TRUTHS.items():
        truth = load()
        whole(report, name, truth, seeds, command.weight)
        limited(report, name, truth, seeds, command.weight)
    print(json.dumps(report.rows))


def whole(report: Report, name: str, truth: Replay, seeds: range, weight: float) -> None:
    """Report tau without a limit, of designs and of runs, of a supernet and of random numbers."""
    experts = {
        "supernet": [truth.experts()] * len(seeds),
        "random numbers": [truth.experts(random_saliency(truth, seed)) for seed in seeds],
    }
    policies: tuple[Policy, ...] = ("last_quarter", "design")
    for policy, (kind, each), noise in itertools.product(policies, experts.items(), NOISES):
        pairs = zip(each, seeds, strict=True)
        ends = [Study(truth, e, noise, policy, weight=weight).ends(s, BUDGETS) for e, s in pairs]
        report.add(f"{name}, tau, {policy}, {kind}, noise {noise}", BUDGETS, np.array(ends)[..., 0])


def limited(report: Report, name: str, truth: Replay, seeds: range, weight: float) -> None:
    """Report what policies and rivals reach within limits."""
    limits, experts = limits_of(truth), truth.experts()
    for policy in get_args(Policy):
        studies = [
            Study(truth, experts, policy=policy, max_macs=limit, weight=weight) for limit in limits
        ]
        ends = np.array([[study.ends(seed, SEARCHED) for study in studies] for seed in seeds])
        report.add(f"{name}, tau within limits, {policy}", SEARCHED, ends[..., 0].mean(axis=1))
        report.add(f"{name}, regret, {policy}", SEARCHED, ends[..., 1].mean(axis=1))
    for rival, begin in RIVALS.items():
        found = np.array(
            [
                [regrets(truth, begin, seed, SEARCHED[1:], limit, NOISES[0]) for limit in limits]
                for seed in seeds
            ]
        )
        report.add(f"{name}, regret, {rival}", SEARCHED[1:], found.mean(axis=1))


if __name__ == "__main__":
    main()
