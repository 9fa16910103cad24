"""Training of the best architectures: the settings of ``[retrain]``.

The text under each field is its ``--help``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.settings.ranges import GpuShare, Interval
from raynas.storage.outcome_rows import TrainedOn


@dataclass(frozen=True)
class RetrainSettings:
    """Training of the best architectures from scratch, as Ray Tune trials."""

    top_k: Annotated[int, Interval("[1, inf)")] = 3
    """Best architectures to retrain."""
    epochs: Annotated[int, Interval("[1, inf)")] = 15
    """Passes over the training images."""
    batch: Annotated[int, Interval("[2, inf)")] = 64
    """Images in a batch."""
    learning_rate: Annotated[float, Interval("(0, inf)")] = 0.05
    """Peak learning rate of SGD, cosine to zero."""
    momentum: Annotated[float, Interval("(0, 1)")] = 0.9
    """Nesterov momentum of SGD."""
    weight_decay: Annotated[float, Interval("[0, inf)")] = 5e-4
    """Weight decay of convolutions and classifier; none on batch norms and biases."""
    label_smoothing: Annotated[float, Interval("[0, 1)")] = 0.1
    """Share of the target spread over all classes, in [0, 1)."""
    clip: Annotated[float, Interval("[0, inf)")] = 5.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    dropout: Annotated[float, Interval("[0, 1)")] = 0.1
    """Dropout before the classifier."""
    drop_path: Annotated[float, Interval("[0, 1)")] = 0.0
    """Probability at the end of the training, from 0 on, that an operation of a cell is dropped."""
    ema_decay: Annotated[float, Interval("[0, 1)")] = 0.99
    """Decay per step of the averaged weights that are evaluated; 0 evaluates the last ones."""
    scheduler: Literal["fifo", "asha"] = "fifo"
    """fifo gives every trial all epochs; asha stops the weaker ones early."""
    asha_grace_epochs: Annotated[int, Interval("[1, inf)")] = 3
    """Epochs that asha leaves to every trial."""
    asha_reduction: Annotated[int, Interval("[2, inf)")] = 3
    """asha keeps one trial in this many at each rung."""
    max_failures: Annotated[int, Interval("[0, inf)")] = 2
    """Times that a failing trial is tried again before it is recorded as failed."""
    checkpoint_seconds: Annotated[float, Interval("[0, inf)")] = 60.0
    """Least seconds between two checkpoints of a trial, which is what a crash may undo, or an
    epoch if that takes longer; 0: after every epoch, before it is reported."""
    compile: bool = False
    """Compile each network before it is trained (torch.compile), for long trainings on GPUs: the
    same results, but for rounding and for which units are dropped out."""
    on: TrainedOn = "train"
    """Images that what a run recommends is trained on: train, or all: once networks are ranked, the
    first of them is trained once more on training and validation images, whose accuracy is that of
    the test alone; where one network is retrained and nothing has to be chosen, it is trained so at
    once."""
    final_k: Annotated[int, Interval("[1, inf)")] = 1
    """Networks that are trained once more on all images, the first-ranked ones."""
    workers_per_trial: Annotated[int, Interval("[1, inf)")] | None = None
    """Data-parallel workers of a trial; unset: one per GPU of it, or one."""
    cpus_per_trial: Annotated[int, Interval("[1, inf)")] = 1
    """CPU threads of each worker of a trial."""
    gpus_per_trial: Annotated[float, Interval("[0, inf)"), GpuShare()] | None = None
    """GPUs of a trial, each with a worker; a fraction shares one; unset: 1 per worker where the
    cluster has GPUs, else 0."""
    concurrent: Annotated[int, Interval("[1, inf)")] | None = None
    """Trials at a time; unset: as many as the cluster has resources for."""
