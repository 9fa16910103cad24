"""How recipes train one small network, at equal epochs, on a share of CIFAR-10.

    python -m tests.bench.recipes [--recipes R...] [--seeds N] [--epochs N] [--share S]

Trains the same network of ``small_mobile`` by each recipe of ``launch/recipes`` and by raynas' own
defaults, with every seed: a seed has the same images and first weights for all of them. Batches are
of one size for all; rates follow them in proportion, and a warm-up the epochs. Prints a row a
recipe: the test accuracies, their mean and deviation, the mean difference from the first recipe
with its deviation, and CPU-seconds a training. The last line is a JSON object. It measures and
asserts nothing.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from raynas.data.crops import crops_of
from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.settings.images import ImageSettings
from raynas.settings.recipes import load_recipe
from raynas.settings.retrain import RetrainSettings
from raynas.settings.settings import Settings
from raynas.spaces.loading import load_space
from raynas.training.retraining import Retraining

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DEFAULTS = "defaults"


@dataclass(frozen=True)
class Command:
    """Accuracies of recipes at equal epochs."""

    recipes: tuple[str, ...] = (DEFAULTS, "papers", "modern")
    """Names of recipes; defaults are raynas' own."""
    seeds: int = 3
    """Trainings by each of them."""
    epochs: int = 15
    """Of each training."""
    batch: int = 64
    """Images of a step."""
    share: float = 0.05
    """Of CIFAR-10's training images; all test images are looked at."""
    resolution: int = 16
    """Pixels that the network sees."""
    architecture: str = "1-1-1-1-1-1"
    """Of small_mobile; kernels of 3 and expansions of 4."""
    threads: int = 1
    """CPU threads."""


def main() -> None:
    """Train and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    accuracies: dict[str, list[float]] = {name: [] for name in command.recipes}
    seconds: dict[str, list[float]] = {name: [] for name in command.recipes}
    for seed in range(command.seeds):
        images = ImageSettings(share=command.share, resolution=command.resolution)
        dataset = load_dataset(str(DATA / "cifar10"), images, seed, command.resolution)
        for name in command.recipes:
            started = time.process_time()
            accuracies[name].append(trained(command, name, dataset, seed))
            seconds[name].append(time.process_time() - started)
            print(f"{name}, seed {seed}: {accuracies[name][-1]:.4f}", flush=True)
    first = np.array(accuracies[command.recipes[0]])
    print(f"{'recipe':<10} {'mean':>7} {'sd':>6} {'difference':>10} {'sd':>6} {'s':>5}")
    for name, found in accuracies.items():
        gain, spent = np.array(found) - first, float(np.mean(seconds[name]))
        numbers = f"{np.mean(found):>7.4f} {spread(found):>6.4f} {gain.mean():>+10.4f}"
        print(f"{name:<10} {numbers} {spread(gain.tolist()):>6.4f} {spent:>5.0f}")
    print(json.dumps({"epochs": command.epochs, "accuracies": accuracies}))


def trained(command: Command, name: str, dataset: Dataset, seed: int) -> float:
    """Return the test accuracy of a training by a recipe."""
    settings = Settings() if name == DEFAULTS else recipe(name)
    side = dataset.sides[1] if dataset.sides else dataset.resolution
    crops = crops_of(settings.images, dataset.channels, dataset.resolution, side)
    space = load_space("small_mobile", ROOT / "search_spaces")
    training = Retraining(
        space,
        space.parse(command.architecture),
        replace(dataset, crops=crops),
        scaled(settings.retrain, command.epochs, command.batch),
        seed,
    )
    for _ in range(command.epochs):
        training.run_epoch()
    return training.evaluate("test").accuracy


def recipe(name: str) -> Settings:
    """Return the settings of a recipe."""
    return load_recipe(name, ROOT / "launch" / "recipes", Settings())


def scaled(settings: RetrainSettings, epochs: int, batch: int) -> RetrainSettings:
    """Return settings for other batches and epochs: the rate and the warm-up in proportion."""
    return replace(
        settings,
        epochs=epochs,
        batch=batch,
        learning_rate=settings.learning_rate * batch / settings.batch,
        warmup_epochs=settings.warmup_epochs * epochs / settings.epochs,
    )


def spread(values: list[float]) -> float:
    """Return the standard deviation, of one value 0."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
