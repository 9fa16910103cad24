"""Time and memory of a pretraining step: all weights, batch norms only, and raynas' own.

    python -m tests.bench.step [--space S] [--batch N] [--resolution R]

Measures one path at a time, the kinds interleaved in one process; the last line is a JSON object of
medians in milliseconds, their ratios, and the bytes that autograd keeps for the backward pass
(parameters left out). It measures and asserts nothing.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import nn
from torch.nn import functional

from raynas.nets.frozen import FrozenSupernet
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.operations import Identity
from raynas.nets.supernet import Supernet, batch_norms
from raynas.search.sampling import fair_paths
from raynas.space import Architecture, SearchSpace, load_space

SPACES = Path(__file__).parents[2] / "search_spaces"
Step = Callable[[Architecture], torch.Tensor]


@dataclass(frozen=True)
class Command:
    """Time and memory of a pretraining step."""

    space: str = "mobilenet_v2"
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    batch: int = 32
    """Images of a step."""
    resolution: int = 112
    """Height and width of the images in pixels."""
    rounds: int = 7
    """Measurements of each kind on each path."""
    paths: int = 3
    """Paths of a strictly fair step to measure."""
    threads: int = torch.get_num_threads()
    """CPU threads."""


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    space = load_space(command.space, SPACES).with_identity(Identity())
    sizes = [block.size for block in space.blocks]
    paths = fair_paths(sizes, seed=0, step=0)[: command.paths]
    steps = kinds(space, command)
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    for path in paths:
        for step in steps.values():
            run(step, path)  # warms up
        for _ in range(command.rounds):
            for kind, step in steps.items():
                started = time.perf_counter()
                run(step, path)
                seconds[kind].append(time.perf_counter() - started)
    kept = {
        kind: kept_bytes(steps[kind], paths) for kind in ("bn_only", "raynas", "raynas_recompute")
    }
    print(json.dumps(report(seconds, kept)))


def kinds(space: SearchSpace, command: Command) -> dict[str, Step]:
    """Return the six kinds of step: a path to its loss."""
    generator = torch.Generator().manual_seed(0)
    shape = command.batch, space.in_channels, command.resolution, command.resolution
    images = torch.randn(shape, generator=generator)
    last = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(space.num_classes, (command.batch,), generator=generator)

    def step(supernet: Supernet, batch: torch.Tensor) -> Step:
        return lambda path: functional.cross_entropy(supernet(batch, path), labels)

    def plain(train_all: bool, channels_last: bool) -> Supernet:
        supernet = frozen_supernet(space, space.in_channels, space.num_classes, "path", "qr", 0)
        supernet.requires_grad_(train_all)
        for norm in batch_norms(supernet):
            norm.requires_grad_()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return supernet.to(memory_format=layout)

    def fused(recompute: bool) -> Supernet:
        supernet = frozen_supernet(space, space.in_channels, space.num_classes, "path", "qr", 0)
        frozen = FrozenSupernet(supernet, "all_bn", train_classifier=False, recompute=recompute)
        frozen.to(torch.device("cpu"))
        return frozen.supernet

    return {
        "full": step(plain(True, False), images),
        "full_channels_last": step(plain(True, True), last),
        "bn_only": step(plain(False, False), images),
        "bn_only_channels_last": step(plain(False, True), last),
        "raynas": step(fused(False), last),
        "raynas_recompute": step(fused(True), last),
    }


def run(step: Step, path: Architecture) -> None:
    """Take one step and drop its gradients, as a worker does after sending them."""
    loss = step(path)
    wanted = leaves(loss)
    torch.autograd.grad(loss, wanted)


def leaves(loss: torch.Tensor) -> list[torch.Tensor]:
    """Return the parameters that the loss depends on."""
    found: dict[int, torch.Tensor] = {}
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        waiting += [parent for parent, _ in node.next_functions]
    return list(found.values())


def kept_bytes(step: Step, paths: list[Architecture]) -> int:
    """Return the bytes that autograd keeps for the backward pass, summed over paths."""
    total = 0
    for path in paths:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            if not isinstance(tensor, nn.Parameter):
                storage = tensor.untyped_storage()
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            held = step(path)
        del held
        total += sum(kept.values())
    return total


def report(seconds: dict[str, list[float]], kept: dict[str, int]) -> dict[str, float]:
    """Return medians, ratios and bytes under the names that readers look for."""
    medians = {kind: 1e3 * statistics.median(values) for kind, values in seconds.items()}
    figures: dict[str, float] = {f"{kind}_ms": round(ms, 1) for kind, ms in medians.items()}
    for other in ("full", "full_channels_last", "bn_only", "bn_only_channels_last"):
        figures[f"raynas_over_{other}"] = round(medians["raynas"] / medians[other], 3)
    figures["recompute_over_raynas"] = round(medians["raynas_recompute"] / medians["raynas"], 3)
    figures |= {
        "saved_bytes_bn_only": kept["bn_only"],
        "saved_bytes_raynas": kept["raynas"],
        "saved_bytes_recompute": kept["raynas_recompute"],
        "saved_ratio": round(kept["raynas"] / kept["bn_only"], 3),
        "saved_ratio_recompute": round(kept["raynas_recompute"] / kept["bn_only"], 3),
    }
    return figures


if __name__ == "__main__":
    main()
