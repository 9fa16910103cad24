"""How variations of the recipe `fine_tuning` train a network from EfficientNet-Lite0's weights.

    python -m tests.bench.fine_tuning DATA RESOLUTION NETWORK [--seeds N] VARIATION...

NETWORK is an architecture of the space efficientnet_lite0, or "start". A variation is "recipe", or
settings of [retrain] that differ from it in TOML, "learning-rate=0.02;epochs=10"; crop-area is one
of [images]. Prints a row a variation and seed: accuracy on validation images after each epoch, the
loss at the end, and CPU-seconds. Choices are made on these; the test images are not looked at.
"""

import argparse
import time
import tomllib
from pathlib import Path

import torch

from raynas.cluster import run_setup
from raynas.settings.recipes import load_recipe
from raynas.settings.settings import Settings
from raynas.settings.toml_files import with_tree
from raynas.spaces.chain import SearchSpace
from raynas.training.retraining import Retraining
from raynas.training.starts.inheriting import begin_from_
from raynas.training.starts.member import load_start

ROOT = Path(__file__).parents[2]
NAME = "efficientnet_lite0"
_CROP = "crop-area"


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("resolution", type=int)
    parser.add_argument("network")
    parser.add_argument("variations", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for variation in given.variations:
        settings = varied(given.data, given.resolution, variation)
        for seed in range(given.seeds):
            print(f"{variation}  seed {seed}  {trained(settings, given.network, seed)}", flush=True)


def varied(data: str, resolution: int, variation: str) -> Settings:
    """Return the settings of a training by a variation of the recipe."""
    settings = Settings(data=data, space=NAME, start=NAME)
    settings = load_recipe("fine_tuning", ROOT / "launch" / "recipes", settings)
    others = {} if variation == "recipe" else tomllib.loads(variation.replace(";", "\n"))
    area = {_CROP: others.pop(_CROP)} if _CROP in others else {}
    tree = {"retrain": others, "images": {"resolution": resolution, **area}}
    return with_tree(settings, tree, variation)


def trained(settings: Settings, network: str, seed: int) -> str:
    """Train a network from the start; return what came of it."""
    space, dataset = run_setup.load(settings)
    assert isinstance(space, SearchSpace)
    start = load_start(NAME, space)
    dataset = start.normalised(dataset)
    training = Retraining(
        space,
        start.architecture if network == "start" else space.parse(network),
        dataset,
        settings.retrain,
        seed,
        begin=lambda each: begin_from_(each, start, space, dataset, seed),
    )
    began = time.process_time()
    epochs = [training.run_epoch() for _ in range(settings.retrain.epochs)]
    accuracies = " ".join(f"{each.val_accuracy:.3f}" for each in epochs)
    seconds = time.process_time() - began
    return f"{accuracies}  loss {epochs[-1].val_loss:.3f}  {seconds:.0f} CPU-s"


if __name__ == "__main__":
    main()
