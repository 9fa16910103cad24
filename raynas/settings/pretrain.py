"""The supernet: the settings of ``[pretrain]``.

The text under each field is its ``--help``. Defaults that differ from the paper's are the
ones that train on small data; ``.docs/pages/method.md`` lists the readings.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.settings.ranges import GpuShare, Interval


@dataclass(frozen=True)
class PretrainSettings:
    """The supernet: what is trained, how paths are drawn, and by how many workers."""

    epochs: Annotated[float, Interval("[0, inf)")] = 20.0
    """Passes over the training images; parts of one are allowed."""
    batch: Annotated[int, Interval("[2, inf)")] = 64
    """Images in a step's batch; all paths of a step see the same ones."""
    initialisation: Literal["qr", "shift", "gaussian"] = "qr"
    """Frozen weights: orthogonal (qr; shift is exactly isometric) or Gaussian as in BN-NAS."""
    trainable: Literal["last_bn", "all_bn", "all"] = "all_bn"
    """What learns: the last batch norm of each candidate (BN-NAS), all, or every weight (SPOS)."""
    layer_indicator: Literal["path", "parallel", "none"] = "path"
    """Identity and its batch norm: one more path (R1), always parallel (R2), or none."""
    sampling: Literal["fair_identity", "fair", "uniform"] = "fair_identity"
    """Paths of a step: every candidate once, identity among them; without it; or one path."""
    extra: Literal["rotate", "random"] = "rotate"
    """Which candidate a reduction layer repeats beside the identity path."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Optimiser of the batch norms."""
    learning_rate: Annotated[float, Interval("(0, inf)")] = 0.02
    """Peak learning rate of the batch norms."""
    classifier_rate: Annotated[float, Interval("[0, inf)")] = 0.003
    """Learning rate of the classifier; 0 freezes it, as BN-NAS does."""
    momentum: Annotated[float, Interval("[0, 1)")] = 0.9
    """Momentum of SGD (Adam's first beta)."""
    weight_decay: Annotated[float, Interval("[0, inf)")] = 0.0
    """Weight decay of the weights that learn; none on batch norms."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How learning rates fall to zero."""
    label_smoothing: Annotated[float, Interval("[0, 1)")] = 0.1
    """Share of the target spread over all classes, in [0, 1)."""
    clip: Annotated[float, Interval("[0, inf)")] = 5.0
    """Gradients are clipped by value to plus or minus this; 0 clips nothing."""
    workers: Annotated[int, Interval("[1, inf)")] | None = None
    """Ray actors; unset: one per GPU, or per CPU where there are none, but no more than a step has
    pieces: paths times shards."""
    shards: Annotated[int, Interval("[1, inf)")] | None = None
    """Data shards of a batch, part of the result, since batch norms see one each; unset: two where
    a step has one path (uniform sampling), else one."""
    cpus_per_worker: Annotated[int, Interval("[1, inf)")] = 1
    """CPU threads of a worker; part of the result, since sums depend on it in the last bit."""
    gpus_per_worker: Annotated[float, Interval("[0, inf)"), GpuShare()] | None = None
    """GPUs of a worker; fractions share one; unset: 1 where the cluster has GPUs, else 0."""
    transport: Literal["fast", "calls"] = "fast"
    """How workers are reached: a socket each (calls where a firewall forbids), or calls only."""
    recompute: bool = False
    """Compute expanding convolutions twice instead of keeping their results: less memory."""
    checkpoint_seconds: Annotated[float, Interval("[0, inf)")] = 1.0
    """Longest stretch of work, in seconds, that is redone after a crash of the driver, or nine
    times what saving takes if that is more; 0: save after every step."""
    records: Annotated[int, Interval("[1, inf)")] = 10
    """How many times during pretraining the indicators are written to their table."""
