"""Time and memory of a pair of steps of a differentiable search, and of what makes it cheap.

    python -m tests.bench.gates [--resolution R] [--cells N] [--channels C] [--batch N]

A pair is a batch for the weights and one for the gates, each forward and backward. Kinds take turns
in one process, on equal weights and images: "plain" computes every operation for itself and strides
dilated convolutions as they stand, "shared" computes what edges make of a state without weights
once, and "now" is raynas' own, which also leaves the pixels out that those convolutions do not see.
The last line is a JSON object of medians of the process' CPU time in milliseconds, their ratios to
"plain", and the bytes that autograd keeps for the backward pass of the weights' batch (parameters
left out). It measures and asserts nothing.
"""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import torch
import tyro
from torch import nn

from raynas.differentiable.search import GateSearch
from raynas.nets.cell_operations import DilatedConv, _separable
from raynas.settings.differentiable import DifferentiableSettings
from raynas.spaces.cells import CellSpace
from raynas.spaces.loading import load_space
from tests.data.samples import build_dataset
from tests.settings.published import DARTS, PCDARTS, PRDARTS

SPACES = Path(__file__).parents[2] / "search_spaces"
METHODS = {"prdarts": PRDARTS, "darts": DARTS, "pcdarts": PCDARTS}
KINDS = ("plain", "shared", "now")


@dataclass(frozen=True)
class Command:
    """Time and memory of a pair of steps of a differentiable search."""

    space: str = "darts_cells_small"
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    resolution: int = 16
    """Height and width of the images in pixels."""
    cells: int = 5
    """Cells of the network that is searched in."""
    channels: int = 8
    """Channels of its first cell's nodes."""
    batch: int = 32
    """Images of each of the two batches."""
    rounds: int = 7
    """Pairs of each kind, after one that warms up."""
    threads: int = 1
    """CPU threads."""


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    space = load_space(command.space, SPACES)
    assert isinstance(space, CellSpace)
    figures: dict[str, float] = {}
    for name, settings in METHODS.items():
        found = measured(space, settings, command)
        figures |= {f"{name}_{figure}": value for figure, value in found.items()}
        print(name, found, flush=True)
    print(json.dumps(figures))


def measured(
    space: CellSpace, settings: DifferentiableSettings, command: Command
) -> dict[str, float]:
    """Return the figures of a method."""
    settings = replace(
        settings,
        cells=command.cells,
        channels=command.channels,
        batch=command.batch,
        epochs=10,
        warmup=0,
    )
    dataset = build_dataset(4 * command.batch, command.resolution, classes=10)
    searches = {}
    for kind in KINDS:
        with patched(kind):
            searches[kind] = GateSearch(space, dataset, settings, 0)
    milliseconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(command.rounds + 1):
        for kind, search in searches.items():
            started = time.process_time()
            search.step(number)
            milliseconds[kind].append(1e3 * (time.process_time() - started))
    medians = {kind: statistics.median(values[1:]) for kind, values in milliseconds.items()}
    kept = {kind: kept_bytes(search) for kind, search in searches.items()}
    figures: dict[str, float] = {f"{kind}_ms": round(ms, 1) for kind, ms in medians.items()}
    figures |= {f"{kind}_mib": round(kept[kind] / 2**20, 1) for kind in KINDS}
    for kind in KINDS[1:]:
        figures[f"{kind}_over_plain"] = round(medians[kind] / medians["plain"], 3)
        figures[f"{kind}_bytes_over_plain"] = round(kept[kind] / kept["plain"], 3)
    return figures


@contextmanager
def patched(kind: str) -> Iterator[None]:
    """Have networks built as they were before."""

    def strided(self: DilatedConv, inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Sequential(*_separable(inputs, outputs, self.kernel, stride, 2))

    build = DilatedConv.build if kind == "now" else strided
    key_of = "raynas.differentiable.mixed_network._key_of"
    with mock.patch.object(DilatedConv, "build", build):
        if kind == "plain":
            with mock.patch(key_of, return_value=None):
                yield
        else:
            yield


def kept_bytes(search: GateSearch) -> int:
    """Return the bytes that autograd keeps for the backward pass of a batch of the weights."""
    kept: dict[int, int] = {}
    held: list[torch.Tensor] = []  # or memory that is used again would be counted once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        whole = tensor if tensor._base is None else tensor._base
        if not isinstance(whole, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        search._train_weights(search._part(0, 0), 0, 0)
    return sum(kept.values())


if __name__ == "__main__":
    main()
