"""The settings of differentiable searches, and those of three published ones.

The text under each field is its ``--help``. Sources: DARTS (Liu et al. 2019, arXiv 1806.09055),
PC-DARTS (Xu et al. 2020, arXiv 1907.05737), PR-DARTS (Zhou et al. 2020, arXiv 2006.16537) and
their published code.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from raynas.errors import UserError
from raynas.settings.ranges import refuse_out_of_range


@dataclass(frozen=True)
class DifferentiableSettings:
    """How operations are weighed while the network that holds all of them is trained."""

    gates: Literal["hard_concrete", "softmax"] = "hard_concrete"
    """Drawn gates of which an edge opens few (PR-DARTS), or all operations by weight (DARTS)."""
    genotype: Literal["pairs", "edges"] = "pairs"
    """A node's inputs: its best two (operation, edge) pairs (PR-DARTS), or the best operations of
    its best two edges (DARTS)."""
    seeds: int = 1
    """Searches side by side, with the run's seed and those that follow it."""
    scheduler: Literal["fifo", "asha"] = "fifo"
    """fifo gives every seed all epochs; asha stops the less accurate ones early, as
    --retrain.asha-grace-epochs and --retrain.asha-reduction say."""
    cells: int = 6
    """Cells of the network that is searched in."""
    channels: int = 16
    """Channels of each node of its first cell."""
    epochs: int = 200
    """Passes over half of the training images."""
    batch: int = 250
    """Images of a step, as many of each half."""
    warmup: int = 0
    """Epochs at the beginning in which weights are trained alone."""
    learning_rate: float = 0.025
    """Peak learning rate of the weights, by SGD; it falls as a cosine."""
    last_rate: float = 0.001
    """Learning rate of the weights at the end."""
    momentum: float = 0.9
    """Momentum of SGD."""
    nesterov: bool = True
    """Nesterov's form of that momentum."""
    weight_decay: float = 5e-4
    """Weight decay of the weights."""
    clip: float = 5.0
    """Gradients of the weights are clipped to this norm; 0 clips nothing."""
    gate_rate: float = 3e-4
    """Learning rate of the gates, by Adam with betas 0.5 and 0.999."""
    gate_decay: float = 1e-3
    """Weight decay of the gates."""
    low: float = -0.1
    """Gates are stretched from (0, 1) to (low, high) and then clipped; less than 0."""
    high: float = 1.1
    """Upper end of that interval; more than 1."""
    first_temperature: float = 1.0
    """Temperature of the gates in the first epoch; it falls linearly."""
    last_temperature: float = 0.1
    """Temperature of the gates in the last epoch."""
    open_gates: int = 2
    """Operations of an edge that are at work at a time."""
    operation_dropout: float = 0.4
    """Probability that a draw passes over an operation where enough others are left."""
    skip_weight: float = 0.01
    """What open gates of skip connections cost (lambda 1); 0: nothing."""
    group_weight: float = 0.005
    """What open gates of the other groups cost (lambda 2); 0: nothing."""
    path_weight: float = 0.005
    """What open gates along the longest path earn (lambda 3); 0: nothing."""
    free_share: float = 0.2
    """Mean probability of open gates up to which a group costs nothing; 0 as in the article."""
    pooling: Literal["group", "others"] = "group"
    """Pooling is a group of its own (published code), or among the others (article)."""
    partial: int = 1
    """One in this many channels goes through the operations, the rest around them (PC-DARTS)."""
    edge_weights: bool = False
    """Whether the edges that enter a node are weighed, too (PC-DARTS)."""
    pooling_norm: bool = False
    """Whether a batch norm follows each pooling while searching (DARTS, PC-DARTS)."""
    last_norm: bool = True
    """Whether a batch norm and a ReLU follow the last cell while searching (PR-DARTS)."""

    def __post_init__(self) -> None:
        flat = {_flag(name): value for name, value in dataclasses.asdict(self).items()}
        refuse_out_of_range(flat, DIFFERENTIABLE_RANGES)
        if self.channels % (2 * self.partial):
            raise UserError(
                f"--differentiable.partial {self.partial}: got {self.channels} channels, wanted a "
                f"multiple of {2 * self.partial}, since skip connections that halve the resolution "
                "take half of what goes through operations from even pixels"
            )
        if self.warmup >= self.epochs:
            raise UserError(
                f"--differentiable.warmup {self.warmup}: got {self.epochs} epochs in all, wanted "
                "more, or the gates never learn; lower it, or raise --differentiable.epochs"
            )
        if self.gates == "softmax" and (self.skip_weight or self.group_weight or self.path_weight):
            raise UserError(
                "--differentiable.gates softmax: got weights of what open gates cost or earn, but "
                "only hard_concrete gates open and close; set --differentiable.skip-weight, "
                "--differentiable.group-weight and --differentiable.path-weight to 0"
            )

    def temperature(self, epoch: int) -> float:
        """Return that of an epoch, which is numbered from 0."""
        done = epoch / max(self.epochs - 1, 1)
        return self.first_temperature + (self.last_temperature - self.first_temperature) * done


def _flag(name: str) -> str:
    return f"differentiable.{name.replace('_', '-')}"


DIFFERENTIABLE_RANGES = {
    "differentiable.seeds": "[1, inf)",
    "differentiable.cells": "[3, inf)",
    "differentiable.channels": "[2, inf)",
    "differentiable.epochs": "[1, inf)",
    "differentiable.batch": "[2, inf)",
    "differentiable.warmup": "[0, inf)",
    "differentiable.learning-rate": "(0, inf)",
    "differentiable.last-rate": "[0, inf)",
    "differentiable.momentum": "(0, 1)",
    "differentiable.weight-decay": "[0, inf)",
    "differentiable.clip": "[0, inf)",
    "differentiable.gate-rate": "(0, inf)",
    "differentiable.gate-decay": "[0, inf)",
    "differentiable.low": "(-inf, 0)",
    "differentiable.high": "(1, inf)",
    "differentiable.first-temperature": "(0, inf)",
    "differentiable.last-temperature": "(0, inf)",
    "differentiable.open-gates": "[1, inf)",
    "differentiable.operation-dropout": "[0, 1)",
    "differentiable.skip-weight": "[0, inf)",
    "differentiable.group-weight": "[0, inf)",
    "differentiable.path-weight": "[0, inf)",
    "differentiable.free-share": "[0, 1]",
    "differentiable.partial": "[1, inf)",
}
"""The intervals of those that are numbers, by their flags."""

PRDARTS = DifferentiableSettings()
"""PR-DARTS as its code was published."""

DARTS = DifferentiableSettings(
    gates="softmax",
    genotype="edges",
    cells=8,
    epochs=50,
    batch=64,
    nesterov=False,
    weight_decay=3e-4,
    skip_weight=0.0,
    group_weight=0.0,
    path_weight=0.0,
    pooling_norm=True,
    last_norm=False,
)
"""First-order DARTS; its weights move before its gates here, as in the other two."""

PCDARTS = dataclasses.replace(
    DARTS,
    batch=256,
    warmup=15,
    learning_rate=0.1,
    last_rate=0.0,
    gate_rate=6e-4,
    partial=4,
    edge_weights=True,
)
"""PC-DARTS on CIFAR-10."""
