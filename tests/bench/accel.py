"""Accel-NASBench's development table as something to train, without squeeze-excitation.

Source: Accel-NASBench (Ahmad et al. 2024, arXiv 2404.08005): networks of the MnasNet space that
repeat one candidate through each stage, trained on ImageNet.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raynas.nets.cost import cost_table
from raynas.spaces.architecture import Architecture
from raynas.spaces.chain import chain_of
from raynas.spaces.loading import load_space
from tests.bench.macro import ROOT, Replay

DEVELOPMENT = ROOT.parent / "shared" / "data" / "accel_nasbench" / "development.json"
SUPERNET = ROOT / "tests" / "indicators" / "mnasnet_cifar10.json"

_LAYERS = (3, 3, 3, 3, 3, 4, 3)  # of each stage, at most
_CANDIDATES = [(kernel, expansion) for kernel in (3, 5) for expansion in (1, 4, 6)]
_IDENTITY = 6


def load_accel(path: Path = DEVELOPMENT) -> Replay:
    """Read the table."""
    space = chain_of(load_space("mnasnet", ROOT / "search_spaces"), "a replay")
    records = [record for record in json.loads(path.read_text()) if not any(record["se"])]
    architectures = [_architecture(record["stages"]) for record in records]
    costs = cost_table(space, space.resolution, space.in_channels, space.num_classes)
    supernet = json.loads(SUPERNET.read_text())
    return Replay(
        space,
        costs,
        architectures,
        np.array([np.mean(record["val_top1"]) / 100 for record in records]),
        np.array([float(costs.of(each).macs) for each in architectures]),
        [np.array(row) for row in supernet["saliency"]],
        supernet["resolution"],
    )


def _architecture(stages: Sequence[tuple[int, int, int]]) -> Architecture:
    """Return a candidate per layer of stages of an expansion, a kernel and a number of layers."""
    return Architecture(
        _CANDIDATES.index((kernel, expansion)) if layer < layers else _IDENTITY
        for (expansion, kernel, layers), most in zip(stages, _LAYERS, strict=True)
        for layer in range(most)
    )
