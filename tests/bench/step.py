"""Time and memory of a pretraining step: all weights, batch norms only, and raynas' own.

    python -m tests.bench.step [--space S] [--batch N] [--resolution R] [--trainable last_bn|all_bn]

A step is that of strict fairness: some paths on one batch, forward and backward, one after another.
The kinds take turns in one process; the last line is a JSON object of medians in milliseconds a
path, their ratios, and the bytes that autograd keeps for a backward pass (parameters left out).
"full" trains all weights, as SPOS does; "bn_only" trains the last batch norm of each candidate over
frozen weights, as BN-NAS does, or with all_bn every batch norm. It measures and asserts nothing.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
import tyro
from torch import nn
from torch.nn import functional

from raynas.nets.frozen import FrozenSupernet, TrainedSet
from raynas.nets.fused_conv_bn import fuse_
from raynas.nets.initialisation import frozen_supernet
from raynas.nets.operations import Identity
from raynas.nets.supernet import Supernet
from raynas.search.sampling import fair_paths
from raynas.seeds import Stream, mixed_seed
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import SearchSpace, chain_of
from raynas.spaces.loading import load_space
from tests.bench.uses import Use

SPACES = Path(__file__).parents[2] / "search_spaces"
Paths = Sequence[Architecture]
Losses = Callable[[Paths], Iterator[torch.Tensor]]


@dataclass(frozen=True)
class Command:
    """Time and memory of a pretraining step."""

    space: str = "mobilenet_v2"
    """A name in search_spaces/ or a path to a Python file with a SPACE."""
    batch: int = 32
    """Images of a step."""
    resolution: int = 112
    """Height and width of the images in pixels."""
    trainable: TrainedSet = "last_bn"
    """Batch norms that learn."""
    rounds: int = 5
    """Steps of each kind."""
    paths: int = 7
    """Paths of a step, at most."""
    threads: int = torch.get_num_threads()
    """CPU threads."""


def main() -> None:
    """Measure and print."""
    command = tyro.cli(Command)
    torch.set_num_threads(command.threads)
    space = chain_of(load_space(command.space, SPACES), "a step").with_identity(Identity())
    sizes = [block.size for block in space.blocks]
    paths = fair_paths(sizes, seed=0, step=0)[: command.paths]
    steps = kinds(space, command)
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    for losses in steps.values():
        run(losses, paths)  # warms up
    for _ in range(command.rounds):
        for kind, losses in steps.items():
            started = time.perf_counter()
            run(losses, paths)
            seconds[kind].append((time.perf_counter() - started) / len(paths))
    kept = {
        kind: kept_bytes(steps[kind], paths) for kind in ("bn_only", "raynas", "raynas_recompute")
    }
    print(json.dumps(report(seconds, kept)))


def kinds(space: SearchSpace, command: Command) -> dict[str, Losses]:
    """Return the six kinds of step: paths to their losses."""
    generator = torch.Generator().manual_seed(mixed_seed(0, Stream.BENCH, Use.IMAGES))
    shape = command.batch, space.in_channels, command.resolution, command.resolution
    images = torch.randn(shape, generator=generator)
    last = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(space.num_classes, (command.batch,), generator=generator)

    def build(fused: bool = False, train_all: bool = False, recompute: bool = False) -> Supernet:
        supernet = frozen_supernet(space, space.in_channels, space.num_classes, "path", "qr", 0)
        fuse = fuse_ if fused else lambda *_: None
        with mock.patch("raynas.nets.frozen.fuse_", fuse):
            FrozenSupernet(supernet, command.trainable, train_classifier=False, recompute=recompute)
        return supernet.requires_grad_() if train_all else supernet

    def plain(supernet: Supernet, batch: torch.Tensor) -> Losses:
        layout = torch.channels_last if batch is last else torch.contiguous_format
        supernet.to(memory_format=layout)
        return lambda paths: (
            functional.cross_entropy(supernet(batch, path), labels) for path in paths
        )

    def shared(supernet: Supernet) -> Losses:
        supernet.to(memory_format=torch.channels_last)

        def losses(paths: Paths) -> Iterator[torch.Tensor]:
            features = supernet.stem(last)
            for path in paths:
                yield functional.cross_entropy(supernet.forward_from(features, path), labels)

        return losses

    return {
        "full": plain(build(train_all=True), images),
        "full_channels_last": plain(build(train_all=True), last),
        "bn_only": plain(build(), images),
        "bn_only_channels_last": plain(build(), last),
        "raynas": shared(build(fused=True)),
        "raynas_recompute": shared(build(fused=True, recompute=True)),
    }


def run(losses: Losses, paths: Paths) -> None:
    """Take one step and drop its gradients, as a worker does after sending them."""
    for loss in losses(paths):
        torch.autograd.grad(loss, leaves(loss), retain_graph=True)  # the stem's, for the next path
        del loss


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


def kept_bytes(losses: Losses, paths: Paths) -> int:
    """Return the bytes that autograd keeps for the backward pass, summed over paths."""
    total = 0
    for path in paths:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            whole = tensor if tensor._base is None else tensor._base
            if not isinstance(whole, nn.Parameter):
                storage = tensor.untyped_storage()
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            held = list(losses([path]))
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
