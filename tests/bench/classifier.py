"""What a frozen classifier changes about the ranking by batch-norm indicators.

    python -m tests.bench.classifier --data ../shared/data/cifar10 [--seeds N] [--steps N]

Pretrains NAS-Bench-Macro's supernet in this process as the named methods do, with a classifier that
learns and with a frozen one, and prints Kendall's tau of each method's score over the development
table, over all of it and within equal depth. It measures and asserts nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import tyro

from raynas.benchmark.ranking import tau
from raynas.data.loading import load_dataset
from raynas.search.indicators import AdditiveScorer, score_table
from raynas.settings.images import ImageSettings
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from tests.bench.macro import ROOT, Replay, load_replay
from tests.bench.supernet_scores import pretrained

_DEPTHS = range(3, 8)


@dataclass(frozen=True)
class Command:
    """Compare classifiers that learn with frozen ones on NAS-Bench-Macro."""

    data: str
    """CIFAR-10, as launch/search.py takes it."""
    methods: str = "fair_isometry,fair_isometry_block"
    """Methods in launch/settings/, with commas between."""
    share: float = 0.2
    """Share of the images."""
    seeds: int = 3
    """Repetitions."""
    steps: int = 150
    """Pretraining steps of three paths."""
    rate: float = 0.003
    """Learning rate of the classifier that learns."""


def main() -> None:
    """Pretrain, score and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(1)
    truth = load_replay()
    for method in command.methods.split(","):
        settings = load_method(method, ROOT / "launch" / "settings")
        found: dict[float, list[list[float]]] = {}
        for seed in range(command.seeds):
            for rate in (command.rate, 0.0):
                found.setdefault(rate, []).append(measured(command, settings, truth, seed, rate))
        for rate, rows in found.items():
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
            print(f"{method}, classifier {rate}: tau {mean.round(3)} +- {spread.round(3)}")


def measured(
    command: Command, settings: Settings, truth: Replay, seed: int, rate: float
) -> list[float]:
    """Return tau of a pretraining over all of the table, and its mean within equal depth."""
    pretrain = replace(settings.pretrain, classifier_rate=rate)
    images = ImageSettings(share=command.share)
    dataset = load_dataset(command.data, images, seed, truth.space.resolution)
    settings = replace(settings, pretrain=pretrain, seed=seed)
    supernet = pretrained(settings, truth.space, dataset, command.steps)
    losses, seconds = supernet.losses, supernet.seconds
    table = score_table(supernet.state.indicators(), supernet.space, settings.search)
    scores = AdditiveScorer(table)(truth.architectures)
    depth = (np.array(truth.architectures) != 0).sum(axis=1)
    within = [tau(scores[depth == d], truth.accuracies[depth == d]) for d in _DEPTHS]
    found = [tau(scores, truth.accuracies), float(np.mean(within))]
    print(
        f"{settings.method}, classifier {rate}, seed {seed}: loss {losses[0]:.3f} to "
        f"{np.mean(losses[-10:]):.3f}, tau {found[0]:.3f}, within depth {found[1]:.3f}, "
        f"{seconds:.0f} s",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
