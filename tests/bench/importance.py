"""Which number, gathered while the batch norms are trained, ranks architectures best.

    python -m tests.bench.importance --data ../shared/data/cifar10 [--seeds N] [--steps N]

Pretrains NAS-Bench-Macro's supernet in this process, keeps sums over the channels of every batch
norm at every update, and turns them into additive scores in many ways. Kendall's tau is taken over
the development table: over the half on which formulas were chosen, over the other one that
confirms, and within equal depth. The last line is a JSON object. It measures and asserts nothing.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import tyro

from raynas.benchmark.ranking import tau
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.nets.operations import Identity
from raynas.search.indicators import AdditiveScorer
from raynas.seeds import Stream, random_numbers
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace
from raynas.spaces.parameter_layout import Segment, indices_on
from raynas.training.gradients import Computed, PathGradients, Piece, Vector, build_supernet
from raynas.training.pretraining import Pretraining
from tests.bench.macro import Replay, load_replay
from tests.bench.uses import Use

Array = npt.NDArray[np.float64]
Formula = Callable[["Sums"], Array]
_DEPTHS = range(3, 8)


@dataclass(frozen=True)
class Command:
    """Compare formulas of first-order importance on NAS-Bench-Macro."""

    data: str
    """CIFAR-10, as launch/search.py takes it."""
    share: float = 0.2
    """Share of the images."""
    seeds: int = 1
    """Repetitions."""
    first_seed: int = 0
    """Seed of the first repetition."""
    steps: int = 300
    """Pretraining steps of three paths."""
    initialisation: Literal["qr", "shift", "gaussian"] = "qr"
    """Frozen weights."""
    layer_indicator: Literal["path", "parallel", "none"] = "path"
    """What becomes of identities (R1, R2, or nothing beside them)."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Optimiser of the batch norms."""
    learning_rate: float = 0.02
    """Peak learning rate of the batch norms."""


@dataclass(frozen=True)
class Norm:
    """A batch norm of a candidate: its scale and its shift in the vector."""

    layer: int
    candidate: int
    gamma: Segment
    beta: Segment
    is_last: bool


@dataclass(frozen=True)
class Sums:
    """What an update says of one batch norm, over its channels; updates x norms, NaN if unused.

    Attributes:
        gamma: Sum of |gamma dL/dgamma|.
        beta: Sum of |beta dL/dbeta|.
        gamma_square: Sum of its square.
        slope_square: Sum of (dL/dgamma)^2.
        side: Root of the positions; one number per norm.
        channels: One number per norm.
        is_last: Whether it is the candidate's last one.
    """

    gamma: Array
    beta: Array
    gamma_square: Array
    slope_square: Array
    side: Array
    channels: Array
    is_last: Array


def _counted(sums: Sums) -> Array:
    """Return the activations before a candidate's last batch norm: what needs no training."""
    counts = sums.channels * sums.side**2 * (1 - sums.is_last)
    return np.broadcast_to(counts, sums.gamma.shape)


FORMULAS: dict[str, tuple[Formula, float]] = {
    "F6: sum |gamma dgamma|": (lambda s: s.gamma, 1.0),
    "beta twin: sum |beta dbeta|": (lambda s: s.beta, 1.0),
    "both": (lambda s: s.gamma + s.beta, 1.0),
    "F6 of the last batch norm": (lambda s: s.gamma * s.is_last, 1.0),
    "F6, mean over channels": (lambda s: s.gamma / s.channels, 1.0),
    "F6, L2 over channels": (lambda s: np.sqrt(s.gamma_square), 1.0),
    "root of the Fisher diagonal": (lambda s: np.sqrt(s.slope_square), 1.0),
    "F6 x side": (lambda s: s.gamma * s.side, 1.0),
    "F6 x root of side": (lambda s: s.gamma * np.sqrt(s.side), 1.0),
    "both x root of side": (lambda s: (s.gamma + s.beta) * np.sqrt(s.side), 1.0),
    "root of F6": (lambda s: s.gamma, 0.5),
    "root of both": (lambda s: s.gamma + s.beta, 0.5),
    "root of F6 x side": (lambda s: s.gamma * s.side, 0.5),
    "root of beta twin x side": (lambda s: s.beta * s.side, 0.5),
    "F7: root of both x side": (lambda s: (s.gamma + s.beta) * s.side, 0.5),
    "both x side, power 0.75": (lambda s: (s.gamma + s.beta) * s.side, 0.75),
    "both x side, power 0.25": (lambda s: (s.gamma + s.beta) * s.side, 0.25),
    "inner activations, counted": (_counted, 1.0),
    "root of inner activations, counted": (_counted, 0.5),
    "root of both x positions": (lambda s: (s.gamma + s.beta) * s.side**2, 0.5),
}
"""Name to what is summed over a candidate's norms and averaged over updates, and a power."""


def main() -> None:
    """Pretrain, score and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(1)
    truth = load_replay()
    found: dict[str, list[list[float]]] = {}
    for seed in range(command.first_seed, command.first_seed + command.seeds):
        for name, table in tables(command, truth.space, seed):
            measured = [round(value, 4) for value in measures(truth, table)]
            found.setdefault(name, []).append(measured)
        print(json.dumps({name: rows[-1] for name, rows in found.items()}), flush=True)
    print(f"{'tau':34} chosen  confirmed  depth 3-7 (mean)")
    means = {name: np.mean(rows, axis=0).round(3).tolist() for name, rows in found.items()}
    for name, (chosen, confirmed, within) in means.items():
        print(f"{name:34} {chosen:6.3f}  {confirmed:9.3f}  {within:9.3f}")
    print(json.dumps({"command": vars(command), "means": means, "runs": found}))


def tables(command: Command, space: SearchSpace, seed: int) -> Iterator[tuple[str, list[Array]]]:
    """Yield names and score tables of one pretraining."""
    searched = space.with_identity(Identity()) if command.layer_indicator == "path" else space
    sums, paths, norms = pretrained(command, searched, seed)
    for name, (formula, power) in FORMULAS.items():
        yield name, table_of(formula(sums), paths, norms, searched, power)
    for steps in (33, 100):
        early = 3 * steps
        name = f"F7 of the first {steps} steps"
        formula, power = FORMULAS["F7: root of both x side"]
        yield name, table_of(formula(sums)[:early], paths[:early], norms, searched, power)


def pretrained(
    command: Command, space: SearchSpace, seed: int
) -> tuple[Sums, npt.NDArray[np.int64], list[Norm]]:
    """Pretrain and return the sums, the path of each update, and the norms."""
    settings = replace(
        PretrainSettings(),
        initialisation=command.initialisation,
        optimiser=command.optimiser,
        learning_rate=command.learning_rate,
        layer_indicator=command.layer_indicator,
        sampling="fair_identity" if command.layer_indicator == "path" else "fair",
    )
    images = ImageSettings(share=command.share)
    dataset = load_dataset(command.data, images, seed, space.resolution)
    recorder = Recorder(space, dataset, settings, seed)
    state = Pretraining(space, recorder.segments, recorder.vector, settings, seed, command.steps, 1)
    started = time.perf_counter()
    losses = [step.loss for step in state.run(recorder)]
    seconds = time.perf_counter() - started
    print(f"seed {seed}: loss {losses[0]:.3f} to {losses[-1]:.3f}, {seconds:.0f} s", flush=True)
    return recorder.sums(), np.array(recorder.paths), recorder.norms


class Recorder:
    """Computes pieces, and keeps what every update says of every batch norm."""

    def __init__(
        self, space: SearchSpace, dataset: Dataset, settings: PretrainSettings, seed: int
    ) -> None:
        """Build the supernet."""
        frozen = build_supernet(space, settings, dataset, seed)
        self.segments, self.vector = frozen.segments, frozen.vector
        self._compute = PathGradients(space, dataset, settings, seed, 1)
        pairs = list(zip(self.segments, self.segments[1:], strict=False))
        self.norms = [
            Norm(gamma.layer, gamma.candidate, gamma, beta, gamma.is_indicator)
            for gamma, beta in pairs
            if gamma.role == "gamma" and gamma.layer is not None and gamma.candidate is not None
        ]
        self.paths: list[Architecture] = []
        self._rows: list[Array] = []

    def __call__(self, vector: Vector, step: int, pieces: Sequence[Piece]) -> Computed:
        """Return the gradients."""
        computed = self._compute(vector, step, pieces)
        own = [part for part in self.segments if part.role != "classifier"]
        for piece, gradient in zip(pieces, computed.gradients, strict=True):
            slopes = np.full(len(vector), np.nan)
            slopes[indices_on(own, piece.path)] = gradient.values
            self._rows.append(np.array([_sums(vector, slopes, norm) for norm in self.norms]))
            self.paths.append(piece.path)
        return computed

    def sums(self) -> Sums:
        """Return everything that was kept."""
        rows = np.array(self._rows)
        sizes = [
            (norm.gamma.positions**0.5, norm.gamma.stop - norm.gamma.start, norm.is_last)
            for norm in self.norms
        ]
        side, channels, is_last = np.array(sizes, dtype=np.float64).T
        gamma, beta, gamma_square, slope_square = np.moveaxis(rows, 2, 0)
        return Sums(gamma, beta, gamma_square, slope_square, side, channels, is_last)


def _sums(vector: Vector, slopes: Array, norm: Norm) -> tuple[float, float, float, float]:
    at, shift = slice(norm.gamma.start, norm.gamma.stop), slice(norm.beta.start, norm.beta.stop)
    gamma, beta = vector[at] * slopes[at], vector[shift] * slopes[shift]
    squares = float((gamma**2).sum()), float((slopes[at] ** 2).sum())
    return float(np.abs(gamma).sum()), float(np.abs(beta).sum()), *squares


def table_of(
    values: Array, paths: npt.NDArray[np.int64], norms: list[Norm], space: SearchSpace, power: float
) -> list[Array]:
    """Return T[l][i]: the mean over updates of the sum over norms, to a power."""
    table = [np.zeros(block.size) for block in space.blocks]
    for place, norm in enumerate(norms):
        used = paths[:, norm.layer] == norm.candidate
        table[norm.layer][norm.candidate] += values[used, place].mean()
    return [row**power for row in table]


def measures(truth: Replay, table: list[Array]) -> list[float]:
    """Return tau over both halves of the table, and its mean within equal depth."""
    scores = AdditiveScorer(table)(truth.architectures)
    chosen = random_numbers(0, Stream.BENCH, Use.HALVES).random(len(scores)) < 0.5
    depth = (np.array(truth.architectures) != 0).sum(axis=1)
    within = [tau(scores[depth == d], truth.accuracies[depth == d]) for d in _DEPTHS]
    halves = [tau(scores[half], truth.accuracies[half]) for half in (chosen, ~chosen)]
    return [*halves, float(np.mean(within))]


if __name__ == "__main__":
    main()
