"""Trains networks of a space from scratch, so that scores can be held against what they reach.

    python -m tests.bench.own_truth FOLDER --data ../shared/data/cifar10
    python -m tests.bench.own_truth FOLDER --table tests/truths/small_mobile_cifar10.parquet

Architectures are drawn uniformly. Each is trained with long schedules of several seeds, which are
its truth, and with short schedules of their own, as ``--trainings`` does. A training is a file of
FOLDER, so the same command continues where it was stopped. ``--table`` writes what is there as one
Parquet file, in the columns that ``analysis/ranking.py --truth`` reads.
"""

import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import torch
import tyro

from raynas.data.dataset import Dataset
from raynas.data.loading import load_dataset
from raynas.nets.cost import cost_table
from raynas.seeds import Stream, random_numbers
from raynas.settings.images import ImageSettings
from raynas.settings.retrain import RetrainSettings
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space
from raynas.training.retraining import Retraining
from raynas.training.trained_networks import searched_space
from tests.bench.macro import ROOT
from tests.bench.uses import Use


@dataclass(frozen=True)
class Command:
    """Train networks of a space, or gather what was trained."""

    folder: Annotated[str, tyro.conf.Positional]
    """Where trainings are kept, a file each."""
    data: str | None = None
    """Images, as launch/search.py takes them."""
    table: str | None = None
    """Parquet file to gather the trainings in."""
    space: str = "small_mobile"
    """A space whose layers stand in a chain; its normal layers may be skipped."""
    share: float = 0.05
    """Share of the images."""
    resolution: int = 32
    """Pixels."""
    networks: int = 64
    """Architectures."""
    epochs: int = 20
    """Epochs of the long trainings."""
    seeds: int = 2
    """Long trainings of each architecture."""
    short: tuple[int, ...] = (1, 3, 10)
    """Epochs of the short trainings, of which each architecture has one each."""
    processes: int = 2
    """Trainings at a time, of one thread each."""


class Training(NamedTuple):
    """One training of an architecture."""

    number: int
    architecture: Architecture
    epochs: int
    seed: int

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"{self.number:03d}-{self.epochs}-{self.seed}.json"


def main() -> None:
    """Train what is missing, or gather what is there."""
    command = tyro.cli(Command)
    folder = Path(command.folder)
    if command.table:
        gathered(folder).to_parquet(command.table, index=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(command.processes) as pool:
        pool.map(partial(work, command), range(command.processes), chunksize=1)


def gathered(folder: Path) -> pd.DataFrame:
    """Return all trainings that ended, in their order."""
    return pd.DataFrame([json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))])


def work(command: Command, worker: int) -> None:
    """Do every so-manyth of the trainings that have no file yet."""
    torch.set_num_threads(1)
    space = truth_space(command.space)
    assert command.data, "--data: the images to train on"
    images = ImageSettings(share=command.share, resolution=command.resolution)
    dataset = load_dataset(command.data, images, 0, space.resolution)
    for place, training in enumerate(trainings(command, space)):
        path = Path(command.folder, training.file)
        if place % command.processes != worker or path.exists():
            continue
        text = json.dumps(trained(space, dataset, training))
        path.with_suffix(".part").write_text(text)
        path.with_suffix(".part").replace(path)
        print(text, flush=True)


def truth_space(name: str) -> SearchSpace:
    """Return a space as the search sees it, with identities."""
    space = searched_space(load_space(name, ROOT / "search_spaces"), "path")
    return chain_of(space, "a truth")


def trainings(command: Command, space: SearchSpace) -> Iterator[Training]:
    """Return all trainings, one architecture after another, so that all have the same ones."""
    rng = random_numbers(0, Stream.BENCH, Use.TRUTH)
    drawn: dict[Architecture, int] = {}
    while len(drawn) < command.networks:
        choices = (int(rng.integers(block.size)) for block in space.blocks)
        drawn.setdefault(Architecture(choices), len(drawn))
    for architecture, number in drawn.items():
        for seed in range(command.seeds):
            yield Training(number, architecture, command.epochs, seed)
        for epochs in command.short:
            yield Training(number, architecture, epochs, 0)


def trained(space: SearchSpace, dataset: Dataset, training: Training) -> dict[str, Any]:
    """Train a network with raynas' defaults, and return a row on it."""
    started = time.process_time()
    settings = replace(RetrainSettings(), epochs=training.epochs)
    network = Retraining(space, training.architecture, dataset, settings, training.seed)
    history = [network.run_epoch() for _ in range(training.epochs)]
    seconds = time.process_time() - started
    task = dataset.resolution, dataset.channels, dataset.num_classes
    cost = cost_table(space, *task).of(training.architecture)
    return {
        "architecture": str(training.architecture),
        "accuracy": network.evaluate("test").accuracy,
        "epochs": training.epochs,
        "seed": training.seed,
        "val_accuracy": history[-1].val_accuracy,
        "macs": cost.macs,
        "params": cost.params,
        "cpu_seconds": seconds,
    }


if __name__ == "__main__":
    main()
