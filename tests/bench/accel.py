"""Accel-NASBench's development table as something to train, without squeeze-excitation.

Its networks repeat one candidate through each stage and were trained on ImageNet
(``raynas.benchmark.truths.accel_nasbench``).
"""

import json

import numpy as np

from raynas.nets.cost import cost_table
from raynas.spaces.chain import chain_of
from tests.bench.known_truths import load_known
from tests.bench.macro import ROOT, Replay

SUPERNET = ROOT / "tests" / "indicators" / "mnasnet_cifar10.json"


def load_accel() -> Replay:
    """Read the table."""
    known, supernet = load_known("accel"), json.loads(SUPERNET.read_text())
    space, truth = chain_of(known.space, "a replay"), known.truth
    assert truth.macs is not None, "a known truth has its costs"
    return Replay(
        space,
        cost_table(space, space.resolution, space.in_channels, space.num_classes),
        list(truth.architectures),
        truth.accuracy / 100,
        truth.macs,
        [np.array(row) for row in supernet["saliency"]],
        supernet["resolution"],
    )
