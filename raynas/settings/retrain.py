"""Training of the best architectures: the settings of ``[retrain]``.

The text under each field is its ``--help``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.settings.quantities import Quantity
from raynas.settings.ranges import GpuShare, Interval
from raynas.storage.outcome_rows import TrainedOn


@dataclass(frozen=True)
class RetrainSettings:
    """Training of the best architectures from scratch, as Ray Tune trials."""

    top_k: Annotated[int, Interval("[1, inf)")] = 3
    """Best architectures to retrain."""
    epochs: Annotated[int, Interval("[1, inf)")] = 15
    """Passes over the training images."""
    seen: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Training images that a network is shown in all, such as 100k: their passes are as many as
    that takes, whatever --retrain.epochs of a method says; unset: --retrain.epochs."""
    least_steps: Annotated[int, Interval("[0, inf)")] = 0
    """Steps of the optimiser at least: few images are passed over more often than --retrain.epochs
    of a recipe says, until there are as many; 0: as often as it says."""
    batch: Annotated[int, Interval("[2, inf)")] = 64
    """Images in a batch."""
    optimiser: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    """sgd; rmsprop with alpha 0.9 and epsilon 0.0316, as torchvision trains mobile networks; or
    adamw, whose decay is apart from its gradients."""
    learning_rate: Annotated[float, Interval("(0, inf)")] = 0.05
    """Peak learning rate."""
    inherited_factor: Annotated[float, Interval("(0, 1]")] = 1.0
    """Learning rate of weights that a training takes from another network, as a share of
    --retrain.learning-rate; new ones, such as the classifier's, have the whole of it."""
    schedule: Literal["cosine", "linear", "exponential"] = "cosine"
    """How the rate falls after its warm-up: as a cosine or along a line to zero, step by step, or
    by --retrain.schedule-decay after every epoch."""
    schedule_decay: Annotated[float, Interval("(0, 1)")] = 0.97
    """What the rate is multiplied by after every epoch of the exponential schedule."""
    warmup_epochs: Annotated[float, Interval("[0, inf)")] = 0.0
    """Epochs at the start in which the rate rises along a line from zero to its peak."""
    momentum: Annotated[float, Interval("(0, 1)")] = 0.9
    """Momentum of sgd and rmsprop; the first beta of adamw."""
    nesterov: bool = True
    """Whether the momentum of sgd looks ahead (Nesterov's)."""
    weight_decay: Annotated[float, Interval("[0, inf)")] = 5e-4
    """Weight decay of what --retrain.decayed says."""
    decayed: Literal["weights", "convolutions", "all"] = "weights"
    """What decays: weights of convolutions and of the classifier, as in SPOS; of convolutions
    alone, as BN-NAS' published code does; or all, batch norms and biases too, as in DARTS."""
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
    recalibration_batches: Annotated[int, Interval("[0, inf)")] = 0
    """Training batches over which the batch norms' statistics are averaged anew after the last
    epoch, as SPOS does over an epoch's; 0: they stay running averages."""
    mixup: Annotated[float, Interval("[0, inf)")] = 0.0
    """Mix each image and its label with another one's, by a share of Beta(a, a); 0: do not."""
    cutmix: Annotated[float, Interval("[0, inf)")] = 0.0
    """Paste a box of another image, a share of Beta(a, a) of the area; with --retrain.mixup, one
    of the two is drawn for each batch; 0: do not."""
    augment: Literal["none", "trivial", "rand", "auto"] = "none"
    """Operations on each image beside crops and mirroring: TrivialAugmentWide, RandAugment or
    AutoAugment with ImageNet's policy."""
    random_erasing: Annotated[float, Interval("[0, 1)")] = 0.0
    """Probability that a random box of an image becomes the mean colour."""
    cutout: Annotated[int, Interval("[0, inf)")] = 0
    """Side in pixels of a square of the mean colour around a random pixel of each image, cut at
    the border, as in DARTS; 0: none."""
    auxiliary: Annotated[float, Interval("[0, inf)")] = 0.0
    """Weight of the loss of a second classifier at two thirds of a network of cells, there while
    training alone; 0.4 in DARTS; 0: none."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: an image counts in the loss by the inverse of how frequent its class is."""
    teacher: str | None = None
    """Network whose answers are learned beside the labels (distillation): an export or a run of
    raynas, an ONNX file of the same classes, or, trained on the images first, a name of torchvision
    or timm (timm/NAME), or start, the network of --start; unset: none."""
    teacher_weight: Annotated[float, Interval("[0, 1]")] = 0.5
    """Share of the loss that compares with the teacher; the rest, with the labels."""
    temperature: Annotated[float, Interval("(0, inf)")] = 2.0
    """What the logits of both networks are divided by before they are compared: the higher, the
    more the teacher's order of the wrong classes counts."""
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
