"""What a score learns of real short trainings, on a truth of raynas' own.

    python -m tests.bench.real_trainings TRUTH --runs RUN... [--draws N] [--seen accuracy]

TRUTH is what ``tests/bench/own_truth.py --table`` writes, the runs are supernets of its space and
images, a seed each. It tells, first, how far short trainings agree with long ones, and whom they
favour; then Kendall's tau of the learned score over the networks that were not trained, and by how
much it is above parameters, MACs and depth on the same networks, after trainings of each length.
Networks to train are drawn at random, or taken as a run's design takes them of a random three
quarters. Intervals hold 95 percent when networks and supernets are drawn again. The last line is a
JSON object. It measures and asserts nothing.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import tyro

from raynas.benchmark.recorded import recorded_indicators
from raynas.costs.costs import CostTable, Limits
from raynas.nets.cost import cost_table
from raynas.search.calibration import Calibration
from raynas.search.design import design
from raynas.search.experts import Expert, balanced_experts
from raynas.search.features import build_features
from raynas.search.formulas import Array
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.storage.run_store import RunStore
from tests.bench.own_truth import truth_space
from tests.bench.uses import Use

Chosen = Literal["random", "design"]
YARDSTICKS = ("params", "macs", "depth")
_BUDGETS = (0, 4, 8, 16, 32)
_POOL = 0.75  # of the networks, the share that a design chooses among
_RESAMPLES = 1000


@dataclass(frozen=True)
class Command:
    """Learn from real short trainings."""

    truth: Annotated[str, tyro.conf.Positional]
    """Parquet file of trainings."""
    runs: tuple[str, ...]
    """Run folders of supernets of the same space and images."""
    space: str = "small_mobile"
    """Their space."""
    resolution: int = 32
    """Pixels."""
    draws: int = 40
    """Choices of what is trained, of each supernet."""
    seen: Literal["val_accuracy", "accuracy"] = "val_accuracy"
    """What is learned from: the accuracy on validation images, as in a run, or on the many test
    images, as if there were as many to validate on."""


@dataclass(frozen=True)
class Trained:
    """Networks, and what their trainings reached.

    Attributes:
        space: Their space.
        costs: Of its candidates.
        architectures: N of them.
        truth: N; mean test accuracy of the long trainings.
        seen: Epochs to N accuracies of one training each.
        repeats: Test accuracies of long trainings (seeds x N).
        sizes: Yardsticks (N each).
    """

    space: SearchSpace
    costs: CostTable
    architectures: list[Architecture]
    truth: Array
    seen: Mapping[int, Array]
    repeats: Array
    sizes: Mapping[str, Array]


class Case(NamedTuple):
    """Scores after some trainings.

    Attributes:
        supernet: Which one.
        rest: The networks that were not trained.
        scores: Of all networks (N).
    """

    supernet: int
    rest: Array
    scores: Array


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    trained = load_trained(command)
    supernets = [load_experts(run, trained.space) for run in command.runs]
    rows = [*agreements(trained), *learning(trained, supernets, command.draws)]
    for row in rows:
        print(line(row))
    print(json.dumps(rows))


def load_trained(command: Command) -> Trained:
    """Read the trainings; networks whose trainings are not complete are left out."""
    space, table = truth_space(command.space), pd.read_parquet(command.truth)
    long, first = table.epochs.max(), table[table.seed == 0]
    seen = first.pivot_table(command.seen, "architecture", "epochs").dropna()
    repeats = table[table.epochs == long].pivot_table("accuracy", "seed", "architecture")
    names = [name for name in repeats.columns[repeats.notna().all()] if name in seen.index]
    seen, repeats = seen.loc[names], repeats[names]
    architectures = [space.parse(name) for name in names]
    costs = cost_table(space, command.resolution, space.in_channels, space.num_classes)
    each = [costs.of(architecture) for architecture in architectures]
    skips = [block.identity for block in space.blocks]
    depth = [sum(c != s for c, s in zip(a, skips, strict=True)) for a in architectures]
    return Trained(
        space,
        costs,
        architectures,
        repeats.mean().to_numpy(),
        {epochs: seen[epochs].to_numpy() for epochs in map(int, table.epochs.unique())},
        repeats.to_numpy(),
        {
            "params": np.array([float(cost.params) for cost in each]),
            "macs": np.array([float(cost.macs) for cost in each]),
            "depth": np.array(depth, dtype=np.float64),
        },
    )


def load_experts(run: str, space: SearchSpace) -> tuple[Expert, ...]:
    """Return the readings of a supernet."""
    found = recorded_indicators(RunStore(run).rows("indicators"), space)
    return balanced_experts(found.saliency, found.relu_inputs, space)


def signs(values: Array) -> Array:
    """Return which of two networks has more (N x N)."""
    found: Array = np.sign(values[:, None] - values)
    return found


def weighted_tau(a: Array, b: Array, counts: Array) -> float:
    """Return tau-b of two matrices of signs, where each network stands so many times."""
    pairs = np.outer(counts, counts)
    scale = np.sqrt((pairs * a**2).sum() * (pairs * b**2).sum())
    return float((pairs * a * b).sum() / scale)


def resampled(count: int) -> Iterator[Array]:
    """Yield how often each of some things stands when they are drawn again; once each at first."""
    rng = random_numbers(0, Stream.BENCH, Use.AGAIN)
    yield np.ones(count)
    for _ in range(_RESAMPLES):
        yield np.bincount(rng.integers(count, size=count), minlength=count).astype(float)


def estimate(values: Sequence[float] | Array) -> list[float]:
    """Return the first value, and where 95 percent of the others lie."""
    return [round(float(each), 3) for each in (values[0], *np.percentile(values[1:], (2.5, 97.5)))]


def agreements(trained: Trained) -> Iterator[dict[str, Any]]:
    """Yield tau of trainings and yardsticks with the truth, and what short ones favour."""
    order = signs(trained.truth)
    named = {f"trained for {epochs}": seen for epochs, seen in trained.seen.items()}
    for name, values in {**named, **trained.sizes}.items():
        signed = signs(values)
        taus = [weighted_tau(signed, order, counts) for counts in resampled(len(order))]
        yield {"what": name, "tau": estimate(taus)}
    pair = [signs(each) for each in trained.repeats[:2]]
    taus = [weighted_tau(pair[0], pair[1], counts) for counts in resampled(len(order))]
    yield {"what": "one long training and another", "tau": estimate(taus)}
    for epochs in sorted(trained.seen)[:-1]:
        yield {"what": f"favoured after {epochs}", **favoured(trained, trained.seen[epochs])}


def favoured(trained: Trained, seen: Array) -> dict[str, list[float]]:
    """Return what MACs and depth explain of short trainings beside the truth, in deviations.

    seen = a + b truth + c MACs + d depth, all of mean 0 and deviation 1.
    """
    columns = [trained.truth, trained.sizes["macs"], trained.sizes["depth"], seen]
    table = np.array([(each - each.mean()) / each.std() for each in columns])
    fits = []
    for counts in resampled(len(seen)):
        root = np.sqrt(counts)
        x = np.vstack([np.ones_like(root), table[:3]]).T * root[:, None]
        fits.append(np.linalg.lstsq(x, table[3] * root, rcond=None)[0])
    names = ("truth", "macs", "depth")
    return {name: estimate(np.array(fits)[:, at + 1]) for at, name in enumerate(names)}


def learning(
    trained: Trained, supernets: Sequence[tuple[Expert, ...]], draws: int
) -> Iterator[dict[str, Any]]:
    """Yield what is reached after trainings of each length and number."""
    kinds: tuple[Chosen, ...] = ("random", "design")
    for chosen, epochs, count in itertools.product(kinds, trained.seen, _BUDGETS):
        if count < len(trained.truth) * _POOL:
            cases = [
                learned(trained, experts, at, seed, Study(chosen, epochs, count))
                for at, experts in enumerate(supernets)
                for seed in range(draws)
            ]
            yield {"what": f"{count} of {epochs} epochs, {chosen}", **above(trained, cases)}


class Study(NamedTuple):
    """Which networks are trained, for how many epochs, and how many of them."""

    chosen: Chosen
    epochs: int
    number: int


def learned(
    trained: Trained, experts: tuple[Expert, ...], supernet: int, seed: int, study: Study
) -> Case:
    """Return scores after trainings of some networks."""
    rng = random_numbers(seed, Stream.BENCH, Use.POOL)
    size, longest = len(trained.truth), max(trained.seen)
    pool = rng.permutation(size)[: int(size * _POOL)]
    if study.chosen == "design":
        places = {trained.architectures[at]: int(at) for at in pool}
        features = build_features(experts[0], trained.space)
        pool = np.array([places[a] for a in design(features, list(places), study.number)], int)
    taken = pool[: study.number]
    calibration = Calibration(experts, trained.costs, Limits(), trained.space, seed)
    weight = 1.0 if study.epochs == longest else study.epochs / (study.epochs + longest)
    for at in taken:
        accuracy = float(trained.seen[study.epochs][at])
        calibration.observe(trained.architectures[at], accuracy, weight)
    scores = AdditiveScorer(calibration.table())(trained.architectures)
    rest = np.ones(size)
    rest[taken] = 0
    return Case(supernet, rest, scores)


def above(trained: Trained, cases: Sequence[Case]) -> dict[str, list[float]]:
    """Return tau of the cases, and by how much it is above each yardstick's."""
    order = signs(trained.truth)
    signed = [signs(case.scores) for case in cases]
    sizes = {name: signs(trained.sizes[name]) for name in YARDSTICKS}
    supernets = np.array([case.supernet for case in cases])
    rng = random_numbers(1, Stream.BENCH, Use.AGAIN)
    found: dict[str, list[float]] = {"tau": [], **{name: [] for name in YARDSTICKS}}
    for counts in resampled(len(order)):
        again = rng.integers(supernets.max() + 1, size=supernets.max() + 1)
        times = np.bincount(again, minlength=supernets.max() + 1)
        if not found["tau"]:
            times = np.ones_like(times)
        parts = [(each, case.rest * counts) for each, case in zip(signed, cases, strict=True)]
        weights = times[supernets]
        taus = np.average([weighted_tau(a, order, rest) for a, rest in parts], weights=weights)
        found["tau"].append(float(taus))
        for name, size in sizes.items():
            own = [weighted_tau(size, order, rest) for _, rest in parts]
            found[name].append(float(taus - np.average(own, weights=weights)))
    return {name: estimate(values) for name, values in found.items()}


def line(row: Mapping[str, Any]) -> str:
    """Return a row as text."""
    found = {name: values for name, values in row.items() if name != "what"}
    shown = [
        f"{name} {mean:6.3f} ({low:.3f} to {high:.3f})" for name, (mean, low, high) in found.items()
    ]
    return f"{row['what']:<34}" + "  ".join(shown)


if __name__ == "__main__":
    main()
