"""The settings of differentiable searches; the defaults are PR-DARTS as its code was published.

The text under each field is its ``--help``. Sources: DARTS (Liu et al. 2019, arXiv 1806.09055),
PC-DARTS (Xu et al. 2020, arXiv 1907.05737), PR-DARTS (Zhou et al. 2020, arXiv 2006.16537) and
their published code.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.errors import UserError
from raynas.settings.ranges import Interval, refuse_out_of_range


@dataclass(frozen=True)
class DifferentiableSettings:
    """How operations are weighed while the network that holds all of them is trained."""

    gates: Literal["hard_concrete", "softmax"] = "hard_concrete"
    """Drawn gates of which an edge opens few (PR-DARTS), or all operations by weight (DARTS)."""
    genotype: Literal["pairs", "edges"] = "pairs"
    """A node's inputs: its best two (operation, edge) pairs (PR-DARTS), or the best operations of
    its best two edges (DARTS)."""
    seeds: Annotated[int, Interval("[1, inf)")] = 1
    """Searches side by side, with the run's seed and those that follow it."""
    scheduler: Literal["fifo", "asha"] = "fifo"
    """fifo gives every seed all epochs; asha stops the less accurate ones early, as
    --retrain.asha-grace-epochs and --retrain.asha-reduction say."""
    cells: Annotated[int, Interval("[3, inf)")] = 6
    """Cells of the network that is searched in."""
    channels: Annotated[int, Interval("[2, inf)")] = 16
    """Channels of each node of its first cell."""
    epochs: Annotated[int, Interval("[1, inf)")] = 200
    """Passes over half of the training images."""
    batch: Annotated[int, Interval("[2, inf)")] = 250
    """Images of a step, as many of each half."""
    warmup: Annotated[int, Interval("[0, inf)")] = 0
    """Epochs at the beginning in which weights are trained alone."""
    learning_rate: Annotated[float, Interval("(0, inf)")] = 0.025
    """Peak learning rate of the weights, by SGD; it falls as a cosine."""
    last_rate: Annotated[float, Interval("[0, inf)")] = 0.001
    """Learning rate of the weights at the end."""
    momentum: Annotated[float, Interval("(0, 1)")] = 0.9
    """Momentum of SGD."""
    nesterov: bool = True
    """Whether that momentum has Nesterov's form."""
    weight_decay: Annotated[float, Interval("[0, inf)")] = 5e-4
    """Weight decay of the weights."""
    clip: Annotated[float, Interval("[0, inf)")] = 5.0
    """Gradients of the weights are clipped to this norm; 0 clips nothing."""
    gate_rate: Annotated[float, Interval("(0, inf)")] = 3e-4
    """Learning rate of the gates, by Adam with betas 0.5 and 0.999."""
    gate_decay: Annotated[float, Interval("[0, inf)")] = 1e-3
    """Weight decay of the gates."""
    low: Annotated[float, Interval("(-inf, 0)")] = -0.1
    """Gates are stretched from (0, 1) to (low, high) and then clipped; less than 0."""
    high: Annotated[float, Interval("(1, inf)")] = 1.1
    """Upper end of that interval; more than 1."""
    first_temperature: Annotated[float, Interval("(0, inf)")] = 1.0
    """Temperature of the gates in the first epoch; it falls linearly."""
    last_temperature: Annotated[float, Interval("(0, inf)")] = 0.1
    """Temperature of the gates in the last epoch."""
    open_gates: Annotated[int, Interval("[1, inf)")] = 2
    """Operations of an edge that are at work at a time."""
    operation_dropout: Annotated[float, Interval("[0, 1)")] = 0.4
    """Probability that a draw passes over an operation where enough others are left."""
    skip_weight: Annotated[float, Interval("[0, inf)")] = 0.01
    """What open gates of skip connections cost (lambda 1); 0: nothing."""
    group_weight: Annotated[float, Interval("[0, inf)")] = 0.005
    """What open gates of the other groups cost (lambda 2); 0: nothing."""
    path_weight: Annotated[float, Interval("[0, inf)")] = 0.005
    """What open gates along the longest path earn (lambda 3); 0: nothing."""
    free_share: Annotated[float, Interval("[0, 1]")] = 0.2
    """Mean probability of open gates up to which a group costs nothing; 0 as in the article."""
    pooling: Literal["group", "others"] = "group"
    """Pooling is a group of its own (published code), or among the others (article)."""
    partial: Annotated[int, Interval("[1, inf)")] = 1
    """One in this many channels goes through the operations, the rest around them (PC-DARTS)."""
    edge_weights: bool = False
    """Whether the edges that enter a node are weighed, too (PC-DARTS)."""
    pooling_norm: bool = False
    """Whether a batch norm follows each pooling while searching (DARTS, PC-DARTS)."""
    last_norm: bool = True
    """Whether a batch norm and a ReLU follow the last cell while searching (PR-DARTS)."""

    def __post_init__(self) -> None:
        refuse_out_of_range(self, "differentiable.")
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
