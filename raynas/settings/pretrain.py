"""The supernet: the settings of ``[pretrain]``.

The text under each field is its ``--help``. Defaults that differ from the paper's are the
ones that train on small data; ``.docs/pages/method.md`` lists the readings.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.settings.quantities import Quantity
from raynas.settings.ranges import GpuShare, Interval


@dataclass(frozen=True)
class PretrainSettings:
    """The supernet: what is trained, how paths are drawn, and by how many workers."""

    epochs: Annotated[float, Interval("[0, inf)")] = 20.0
    """Passes over the training images; parts of one are allowed."""
    batch: Annotated[int, Interval("[2, inf)")] = 64
    """Images in a step's batch; all paths of a step see the same ones."""
    initialisation: Literal["qr", "shift", "gaussian", "spos", "start"] = "qr"
    """First weights: orthogonal (qr; shift is exactly isometric), Gaussian as BN-NAS (gaussian) or
    SPOS (spos) begins with, or those of --start, inherited by every candidate and fitted to some
    training images (start)."""
    trainable: Literal["last_bn", "all_bn", "all", "weights"] = "all_bn"
    """What learns beside the classifier: the last batch norm of each candidate (BN-NAS), all batch
    norms, everything, or weights alone, as in SPOS's supernet (weights; no indicators then)."""
    layer_indicator: Literal["path", "parallel", "none"] = "path"
    """Identity and its batch norm: one more path (R1), always parallel (R2), or none."""
    sampling: Literal["fair_identity", "fair", "uniform", "macs_bins"] = "fair_identity"
    """Paths of a step: every candidate once, identity among them; without it; or one path, any
    (uniform) or one whose MACs lie in a bin that is drawn first (macs_bins, as SPOS's code has)."""
    bins_from: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Where the first bin of macs_bins begins, such as 290M MACs; only there."""
    bins_to: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Where the last bin of macs_bins ends, such as 360M."""
    bin_width: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Width of a bin of macs_bins, such as 10M."""
    extra: Literal["rotate", "random"] = "rotate"
    """Which candidate a reduction layer repeats beside the identity path."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Optimiser of the batch norms."""
    learning_rate: Annotated[float, Interval("(0, inf)")] = 0.02
    """Peak learning rate of the batch norms."""
    classifier_rate: Annotated[float, Interval("[0, inf)")] = 0.003
    """Learning rate of the classifier, which learns unless this is 0, as BN-NAS and the paper
    freeze it; the plan says how many numbers learn in all."""
    momentum: Annotated[float, Interval("[0, 1)")] = 0.9
    """Momentum of SGD (Adam's first beta)."""
    weight_decay: Annotated[float, Interval("[0, inf)")] = 0.0
    """Weight decay of the weights that learn; none on batch norms."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How learning rates fall to last-rate."""
    last_rate: Annotated[float, Interval("[0, inf)")] = 0.0
    """Learning rate where the schedule ends (BN-NAS 0.0005); the classifier's ends at the same
    share of its peak."""
    label_smoothing: Annotated[float, Interval("[0, 1)")] = 0.1
    """Share of the target spread over all classes, in [0, 1)."""
    dropout: Annotated[float, Interval("[0, 1)")] = 0.0
    """Dropout before the classifier while the supernet trains (SPOS 0.1); scores go without."""
    clip: Annotated[float, Interval("[0, inf)")] = 5.0
    """Gradients are clipped by value to plus or minus this; 0 clips nothing."""
    workers: Annotated[int, Interval("[1, inf)")] | None = None
    """Ray actors; unset: one per GPU, or per CPU where there are none, but no more than a step has
    pieces: paths times shards."""
    shards: Annotated[int, Interval("[1, inf)")] | None = None
    """Data shards of a batch, part of the result, since batch norms see one each; unset: two where
    a step has one path (uniform and macs_bins), else one."""
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

    @property
    def drawn(self) -> Literal["qr", "shift", "gaussian", "spos"]:
        """How weights are drawn that nothing is inherited by: orthogonal beside inherited ones."""
        return "qr" if self.initialisation == "start" else self.initialisation

    @property
    def trains_one_path(self) -> bool:
        """Whether a step trains one path, rather than every candidate once."""
        return self.sampling in {"uniform", "macs_bins"}

    @property
    def bins(self) -> tuple[int | None, int | None, int | None]:
        """Where the bins of MACs begin, where they end, and their width."""
        return self.bins_from, self.bins_to, self.bin_width

    @property
    def trains_classifier(self) -> bool:
        """Whether the classifier learns."""
        return self.classifier_rate > 0
