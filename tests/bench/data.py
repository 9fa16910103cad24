"""Whether data arrive as fast as a pretraining step consumes them.

    python -m tests.bench.data [--data D] [--batch N] [--resolution R] [--space S]

Measures images per second: decoded, augmented and normalised, delivered by the loader in memory
and streamed, and consumed by a step on one path; then the share of steps that is spent waiting for
data, with and without making batches ahead. The last line is a JSON object. It measures and
asserts nothing.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from raynas.data.batches import Batches
from raynas.data.dataset import Dataset, EncodedImages
from raynas.data.decoding import decode_all
from raynas.data.loading import load_dataset
from raynas.data.prefetch import Loader
from raynas.nets.operations import Identity
from raynas.search.sampling import fair_paths
from raynas.seeds import Stream
from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space
from raynas.training.gradients import PathGradients, Piece

SPACES = Path(__file__).parents[2] / "search_spaces"
Fetch = Callable[[int], object]


@dataclass(frozen=True)
class Command:
    """Images per second that arrive and that are consumed."""

    data: str = "digits"
    """What ``launch/search.py --data`` takes."""
    space: str = "small_mobile"
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    batch: int = 64
    """Images of a step."""
    resolution: int | None = None
    """Height and width of the images in pixels; unset: as a run would choose."""
    share: float = 1.0
    """Share of the images that is used."""
    crop: Literal["auto", "centre", "shift", "random_resized"] = "auto"
    """How images are cut."""
    loader_workers: int = 2
    """Processes that decode ahead where images are streamed; 0: a thread."""
    paths: int = 1
    """Paths of a step that share its batch."""
    steps: int = 10
    """Steps to measure."""
    device: str = "cpu"
    """Where the step is computed."""
    threads: int = torch.get_num_threads()
    """CPU threads of the step."""


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    space = chain_of(load_space(command.space, SPACES), "a step").with_identity(Identity())
    settings = ImageSettings(
        command.resolution, command.share, loader_workers=command.loader_workers
    )
    held, streamed = (
        load_dataset(command.data, replace(settings, in_memory=kept), 0, space.resolution)
        for kept in ("yes", "no")
    )
    print(json.dumps(report(command, space, held, streamed)))


def report(
    command: Command, space: SearchSpace, held: Dataset, streamed: Dataset
) -> dict[str, float | int | str]:
    """Return all figures under the names that readers look for."""
    step = make_step(command, space, held)
    batches = {"memory": make_batches(command, held), "streamed": make_batches(command, streamed)}
    arriving = {
        "decoded": decoded_per_second(command, streamed),
        "augmented": augmented_per_second(command, batches["memory"]),
    }
    for kind, made in batches.items():
        loader = Loader(made)
        arriving[f"delivered_{kind}"] = per_second(command, loader)
        loader.close()
    consumed = per_second(command, step)
    figures: dict[str, float | int | str] = {
        "data": command.data,
        "space": command.space,
        "device": command.device,
        "images": len(held.train),
        "batch": command.batch,
        "resolution": held.resolution,
        "paths": command.paths,
        "loader_workers": command.loader_workers,
    }
    figures |= {f"{name}_images_per_s": round(value) for name, value in arriving.items()}
    figures["consumed_images_per_s"] = round(consumed)
    for kind, made in batches.items():
        figures[f"delivered_{kind}_over_consumed"] = round(
            arriving[f"delivered_{kind}"] / consumed, 2
        )
        for name, is_ahead in (("on_demand", False), ("ahead", True)):
            waiting = waiting_share(command, made, step, is_ahead)
            figures[f"waiting_share_{kind}_{name}"] = round(waiting, 4)
    return figures


def make_batches(command: Command, dataset: Dataset) -> Batches:
    """Return the batches of a pretraining."""
    del command.crop
    return Batches(dataset, command.batch, 0, Stream.PRETRAINING)


def make_step(command: Command, space: SearchSpace, held: Dataset) -> Fetch:
    """Return a step on one shard; its own batch is taken from memory and not augmented."""
    few = replace(held, train=held.train.take(np.arange(min(command.batch, len(held.train)))))
    pretrain = PretrainSettings(batch=command.batch)
    gradients = PathGradients(space, few, pretrain, 0, 1, command.device)
    vector = gradients.vector
    paths = fair_paths([block.size for block in space.blocks], seed=0, step=0)[: command.paths]

    pieces = [Piece(path, 0) for path in paths]
    return lambda number: gradients(vector, number, pieces)


def decoded_per_second(command: Command, streamed: Dataset) -> float:
    """Return how many images one thread decodes."""
    train = streamed.train
    assert isinstance(train, EncodedImages)
    openers = [raw.open for raw in train.raws[: command.batch]]
    return len(openers) / seconds(lambda _: decode_all(openers, train.square), command.steps)


def augmented_per_second(command: Command, batches: Batches) -> float:
    """Return how many decoded images one thread augments and normalises."""
    images = batches.train.take(batches.choose(0, 0))
    return command.batch / seconds(lambda step: batches.finish(images, step, 0), command.steps)


def per_second(command: Command, fetch: Fetch) -> float:
    """Return how many images of consecutive steps are fetched, or consumed."""
    fetch(0)
    started = time.perf_counter()
    for step in range(1, command.steps + 1):
        fetch(step)
    return command.steps * command.batch / (time.perf_counter() - started)


def waiting_share(command: Command, batches: Batches, step: Fetch, is_ahead: bool) -> float:
    """Return the share of the steps' time that passes until their data are there."""
    loader = Loader(batches) if is_ahead else None
    fetch: Fetch = loader or batches
    fetch(0)
    waited, started = 0.0, time.perf_counter()
    for number in range(1, command.steps + 1):
        asked = time.perf_counter()
        fetch(number)
        waited += time.perf_counter() - asked
        step(number)
    share = waited / (time.perf_counter() - started)
    if loader is not None:
        loader.close()
    return share


def seconds(act: Fetch, rounds: int) -> float:
    """Return the median time of an act."""
    act(0)
    taken = []
    for number in range(rounds):
        started = time.perf_counter()
        act(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
