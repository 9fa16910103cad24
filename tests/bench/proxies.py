"""How well zero-cost scores rank the networks of NAS-Bench-Macro, and how long they take.

    python -m tests.bench.proxies [--networks N] [--initialisation I] [--scores S...]

Scores random networks of the shared development table on one batch of CIFAR-10's test images, and
prints a row a score: Kendall's tau-b to the true accuracies, the mean of tau within equal depth
(numbers of layers that are not '0', from 3 to 7), and milliseconds a network. Depth, MACs and
parameters stand beside. The last line is a JSON object. It measures and asserts nothing.
"""

import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
import tyro
from PIL import Image
from scipy.stats import kendalltau

from raynas.nets.initialisation import Initialisation, initialise_
from raynas.nets.proxies import PROXIES
from raynas.nets.subnet import subnet
from raynas.seeds import Stream, random_numbers
from raynas.spaces.loading import load_space
from tests.bench.uses import Use

SPACES = Path(__file__).parents[2] / "search_spaces"
DATA = Path(__file__).parents[3] / "shared" / "data"
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Command:
    """Ranking and time of zero-cost scores."""

    networks: int = 100
    """Random rows of the table."""
    initialisation: Initialisation = "qr"
    """Weights of the networks."""
    scores: tuple[str, ...] = tuple(PROXIES)
    """Names of scores."""
    batch: int = 32
    """Images."""
    seed: int = 0
    """Chooses networks and weights."""
    threads: int = 1
    """CPU threads."""


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    table = json.loads((DATA / "nas_bench_macro" / "development.json").read_text("utf-8"))
    rng = random_numbers(command.seed, Stream.BENCH, Use.NETWORKS)
    keys = rng.choice(sorted(table), command.networks, replace=False).tolist()
    depths = np.array([len(key) - key.count("0") for key in keys])
    accuracies = np.array([table[key]["mean_acc"] for key in keys])
    values, seconds = measure(command, keys)
    values["depth"] = depths.astype(float)
    values["macs"] = np.array([float(table[key]["flops"]) for key in keys])
    values["params"] = np.array([float(table[key]["params"]) for key in keys])
    figures: dict[str, Any] = {
        "networks": command.networks,
        "initialisation": command.initialisation,
        "batch": command.batch,
        "seed": command.seed,
    }
    print(f"{'score':<10} {'tau':>7} {'within':>7} {'ms':>6}")
    for name, scores in values.items():
        tau, within = rank(scores, accuracies), rank_within(scores, accuracies, depths)
        ms = 1e3 * float(np.median(seconds[name])) if name in seconds else 0.0
        print(f"{name:<10} {tau:>7.3f} {within:>7.3f} {ms:>6.0f}")
        figures[name] = {"tau": round(tau, 3), "within_depth": round(within, 3), "ms": round(ms)}
    print(json.dumps(figures).replace("NaN", "null"))


def measure(command: Command, keys: list[str]) -> tuple[dict[str, Array], dict[str, list[float]]]:
    """Return each score's values and seconds, network by network."""
    space = load_space("nas_bench_macro", SPACES)
    images, labels = cifar_batch(command.batch)
    values: dict[str, list[float]] = {name: [] for name in command.scores}
    seconds: dict[str, list[float]] = {name: [] for name in command.scores}
    for key in keys:
        network = subnet(space, space.parse(key), space.in_channels, space.num_classes)
        initialise_(network, command.initialisation, command.seed)
        for name in command.scores:
            started = time.perf_counter()
            values[name].append(PROXIES[name](network, images, labels))
            seconds[name].append(time.perf_counter() - started)
    return {name: np.array(scores) for name, scores in values.items()}, seconds


def cifar_batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first test images of CIFAR-10 with mean 0 and deviation 1, and their labels."""
    rows = pq.read_table(DATA / "cifar10" / "test.parquet").slice(0, count).to_pylist()
    pictures = [np.array(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    images = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float()
    mean, deviation = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)
    return (images - mean) / deviation, torch.tensor([row["label"] for row in rows])


def rank(scores: Array, accuracies: Array) -> float:
    """Return Kendall's tau-b; NaN where all scores are equal."""
    return float(kendalltau(scores, accuracies).statistic)


def rank_within(scores: Array, accuracies: Array, depths: npt.NDArray[np.int64]) -> float:
    """Return the mean over depths of tau among the networks of one depth."""
    chosen = [depths == depth for depth in range(3, 8)]
    return float(np.mean([rank(scores[few], accuracies[few]) for few in chosen]))


if __name__ == "__main__":
    main()
