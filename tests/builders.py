"""Small builders with sane defaults: what a test does not name does not matter to it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from raynas.costs.costs import Cost, CostTable, Limits
from raynas.nets.cost import cost_table
from raynas.nets.frozen import FrozenSupernet, TrainedSet
from raynas.nets.initialisation import Initialisation, frozen_supernet
from raynas.nets.operations import Identity, MBConv
from raynas.nets.stems_heads import ConvStem, PooledHead
from raynas.nets.supernet import LayerIndicator, Supernet, batch_norms
from raynas.search.constrained_sampling import LegalSampler
from raynas.search.evolution import Evolution
from raynas.search.indicators import AdditiveScorer, Indicators
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from raynas.spaces.architecture import Architecture
from raynas.spaces.cells import CellSpace
from raynas.spaces.chain import ChoiceBlock, Operation, SearchSpace, chain_of
from raynas.spaces.loading import load_space
from raynas.spaces.protocol import Space
from raynas.training.trained_networks import searched_space

ROOT = Path(__file__).resolve().parents[1]
SPACES = ROOT / "search_spaces"
SHARED_DATA = ROOT.parent / "shared" / "data"

GROUPS = ("images", "pretrain", "search", "differentiable", "retrain")
"""The fields of ``Settings`` that are groups of settings."""

MOBILE: tuple[Operation, ...] = (MBConv(3, 1), MBConv(5, 1), MBConv(3, 2))


@dataclass(frozen=True)
class Named:
    """An operation of which only the name matters."""

    name: str

    def build(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:  # noqa: ARG002
        """Build nothing that computes anything."""
        return nn.Module()


def build_block(
    size: int = 3, in_channels: int = 4, out_channels: int = 4, stride: int = 1
) -> ChoiceBlock:
    """Return a block of named candidates; without arguments a normal layer."""
    candidates = tuple(Named(f"op{choice}") for choice in range(size))
    return ChoiceBlock(candidates, in_channels, out_channels, stride)


def build_space(
    layers: str = "RNNRN",
    candidates: tuple[Operation, ...] = MOBILE,
    *,
    identity: bool = False,
    resolution: int = 8,
) -> SearchSpace:
    """Return a small space.

    Args:
        layers: R for a reduction layer, N for a normal one, I for a fixed identity.
        candidates: The candidates of every layer but the fixed identities.
        identity: Whether normal layers may be skipped.
        resolution: Pixels.
    """
    blocks, width = [], 4
    for kind in layers:
        out, stride = (width + 2, 2) if kind == "R" else (width, 1)
        chosen = (Identity(),) if kind == "I" else candidates
        blocks.append(ChoiceBlock(chosen, width, out, stride))
        width = out
    space = SearchSpace(
        name="tiny",
        stem=ConvStem(out_channels=4, stride=1),
        blocks=tuple(blocks),
        head=PooledHead(width=6),
        resolution=resolution,
        num_classes=3,
    )
    return space.with_identity(Identity()) if identity else space


def shipped(name: str, *, identity: bool = False) -> Space:
    """Return a space of any kind of ``search_spaces``, with identity in normal layers if wanted."""
    return searched_space(load_space(name, SPACES), "path" if identity else "none")


def shipped_space(name: str, *, identity: bool = False) -> SearchSpace:
    """Return such a space whose layers stand in a chain."""
    return chain_of(shipped(name, identity=identity), "this test")


def shipped_cells(name: str = "darts_cells_small") -> CellSpace:
    """Return such a space of cells."""
    space = shipped(name)
    assert isinstance(space, CellSpace)
    return space


@cache
def shipped_costs(name: str, *, identity: bool = False) -> CostTable:
    """Return the costs of such a space at its own resolution and number of classes."""
    space = shipped(name, identity=identity)
    return cost_table(space, space.resolution, space.in_channels, space.num_classes)


def build_costs(
    sizes: Sequence[int] = (3, 4, 3, 2), seed: int = 0, *, latency: bool = False
) -> CostTable:
    """Return a table of random costs, in which MACs, parameters and latencies are unrelated."""
    rng = np.random.default_rng(seed)

    def table() -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(int, rng.integers(1, 1000, size))) for size in sizes)

    macs, params = table(), table()
    if not latency:
        return CostTable(macs, params, Cost(100, 100))
    return CostTable(macs, params, Cost(100, 100, 100), table())


def build_evolution(
    costs: CostTable | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    **settings: Any,
) -> Evolution:
    """Return an evolution of few small generations over a space of a thousand architectures."""
    sampler = LegalSampler(costs or build_costs((4,) * 5), limits or Limits())
    small = SearchSettings(generations=4, population=8, parents=3, mutations=4, crossovers=4)
    return Evolution(sampler, replace(small, **settings), seed)


def sum_of_choices(architectures: Iterable[Architecture]) -> list[float]:
    """Score architectures by the sum of their indices: simple, and with many ties."""
    return [float(sum(architecture)) for architecture in architectures]


def run_to_end(
    evolution: Evolution,
    score: Callable[[list[Architecture]], Iterable[float]] = sum_of_choices,
    chunk: int | None = None,
) -> list[Architecture]:
    """Ask and tell until the evolution has finished; return all that it proposed."""
    proposed: list[Architecture] = []
    while not evolution.finished:
        asked = evolution.ask(chunk)
        proposed += asked
        evolution.tell(asked, score(asked))
    return proposed


def build_supernet(
    space: SearchSpace | None = None,
    layer_indicator: LayerIndicator = "path",
    initialisation: Initialisation = "qr",
    seed: int = 0,
) -> Supernet:
    """Return a supernet of three-channel images with the weights of a seed."""
    space = space or build_space(identity=True)
    return frozen_supernet(space, 3, space.num_classes, layer_indicator, initialisation, seed)


def build_frozen(
    space: SearchSpace | None = None,
    layer_indicator: LayerIndicator = "path",
    trained: TrainedSet = "last_bn",
    *,
    train_classifier: bool = False,
) -> FrozenSupernet:
    """Return a frozen supernet whose trained numbers are noise around one, not all ones."""
    frozen = FrozenSupernet(build_supernet(space, layer_indicator), trained, train_classifier)
    noise = torch.empty_like(frozen.vector).uniform_(0.5, 1.5, generator=build_generator(1))
    frozen.vector.copy_(noise)
    return frozen


def build_exact_supernet(
    space: SearchSpace, layer_indicator: LayerIndicator = "path", eps: float = 1e-12
) -> Supernet:
    """Return a supernet in double with random scales and shifts and a tiny epsilon."""
    supernet = build_supernet(space, layer_indicator).double()
    generator = build_generator(2)
    for norm in batch_norms(supernet):
        norm.eps = eps
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return supernet


def settled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Return a module as if it were trained, to be evaluated: no batch norm is a plain one."""
    generator = build_generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = max(1, parameter[0].numel())
            parameter.normal_(0.0, fan_in**-0.5, generator=generator)
        for norm in batch_norms(module):
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.weight[::3] *= -1.0
            if norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.normal_(generator=generator)
                norm.running_var.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def build_generator(seed: int = 0) -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator().manual_seed(seed)


def build_images(
    count: int = 4, channels: int = 3, side: int = 8, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Return Gaussian images, N x C x side x side."""
    return torch.randn(count, channels, side, side, dtype=dtype, generator=build_generator())


def indicators_of(
    block: Sequence[npt.NDArray[np.float64]], layer: npt.NDArray[np.float64]
) -> Indicators:
    """Return indicators of which first-order importance does not matter."""
    unknown = tuple(np.full(len(row), np.nan) for row in block)
    return Indicators(tuple(block), layer, unknown, unknown, unknown)


def build_indicators(space: SearchSpace, seed: int = 0) -> Indicators:
    """Return random indicators; a layer has one if identity is among its choices."""
    rng = np.random.default_rng(seed)
    block = [rng.uniform(0.5, 1.5, layer.size) for layer in space.blocks]
    layer = np.full(space.num_layers, np.nan)
    for position, choices in enumerate(space.blocks):
        if choices.identity is not None:
            block[position][choices.identity] = np.nan
            layer[position] = rng.uniform(0.5, 1.5) if choices.size > 1 else np.nan
    taylor, saliency, relu_inputs = (
        tuple(rng.uniform(0.5, 1.5, layer.size) for layer in space.blocks) for _ in range(3)
    )
    return Indicators(tuple(block), layer, taylor, saliency, relu_inputs)


def score_of(table: Sequence[npt.NDArray[np.float64]], architecture: Sequence[int]) -> float:
    """Return the score of one architecture."""
    return float(AdditiveScorer(table)([Architecture(architecture)])[0])


def setting_names() -> list[tuple[str, str]]:
    """Return the group and the name of every setting of a group."""
    return [(group, item.name) for group in GROUPS for item in fields(getattr(Settings(), group))]


def run_python(program: str) -> str:
    """Return what a program prints in another process, whose hash seed differs.

    All programs share that process: each would import torch again in one of its own.
    """
    process = _other_process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(program) + "\n")
    process.stdin.flush()
    printed, failure = json.loads(process.stdout.readline() or '["", "the other process ended"]')
    assert not failure, failure
    return str(printed).strip()


_READ_AND_RUN = """
import contextlib, io, json, sys, traceback
for line in sys.stdin:
    printed, failure = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(json.loads(line), {"__name__": "program"})
    except BaseException:
        failure = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failure]), flush=True)
"""


@cache
def _other_process() -> "subprocess.Popen[str]":
    """Return a process that runs a program a line; it ends when its input does, at our end."""
    return subprocess.Popen(
        [sys.executable, "-c", _READ_AND_RUN],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
