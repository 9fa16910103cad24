"""The settings of each stage: images, pretraining, search, retraining.

The text under each field is its ``--help``. Defaults that differ from the paper's are the
ones that train on small data; ``.docs/pages/method.md`` lists the readings.
"""

import difflib
from dataclasses import dataclass
from typing import Annotated, Literal

from raynas.costs.costs import KINDS, Kind
from raynas.errors import UserError
from raynas.settings.ranges import GpuShare, Interval
from raynas.settings.scores import ScoreName, is_sum
from raynas.settings.strategies import STRATEGIES, Strategy, StrategyName

_OBJECTIVES = ("score", *KINDS)


@dataclass(frozen=True)
class ImageSettings:
    """How images become batches."""

    resolution: Annotated[int, Interval("[1, inf)")] | None = None
    """Height and width in pixels, --resolution N for short; unset: the images' own if they are
    squares of one size, else the space's."""
    share: Annotated[float, Interval("(0, 1]")] = 1.0
    """Share of the training and validation images that is used, for quick trials."""
    parts: str | None = None
    """Which folders of --data are parts, such as train=training_set,test=test_set, each once or
    more, or which Parquet files; none: names say no part; unset: folders that are called so and
    hold the same folders, and files that are called so."""
    val_fraction: Annotated[float, Interval("(0, 1)")] = 0.15
    """Share of the training images held out for validation where the data names no split."""
    test_fraction: Annotated[float, Interval("(0, 1)")] = 0.2
    """Share of all images held out for the test where the data names no split."""
    bits: Annotated[int, Interval("[8, 16]")] | None = None
    """Bits of grey 16-bit images that hold numbers, 12 of many cameras and scanners, of which the
    upper eight are used and what is above is white; unset: all 16."""
    crop: Literal["auto", "centre", "shift", "random_resized"] = "auto"
    """How training images are cut: the middle square; that, shifted by up to an eighth; or a random
    part of the original, resized. auto: random_resized for photographs in colour from 128 pixels
    on that are no smaller than that, centre below 16 pixels, else shift."""
    mirror: Literal["auto", "yes", "no"] = "auto"
    """Mirror half of the training images; auto: those in colour, unless crop is centre."""
    colour_jitter: Annotated[float, Interval("[0, 1)")] = 0.0
    """Multiply brightness, contrast and saturation of training images by 1 plus or minus this."""
    crop_area: Annotated[float, Interval("(0, 1]")] = 0.08
    """Least share of an image's area in a random_resized crop."""
    crop_aspect: Annotated[float, Interval("[1, inf)")] = 1.3333
    """Most that a random_resized crop is wider than high, or the reverse."""
    evaluation_ratio: Annotated[float, Interval("(0, 1]")] | None = None
    """Side of the middle square that evaluation sees, as a share of the image's shorter side, and
    training unless crop is random_resized; unset: 0.875, which is 224 of 256, with that, else 1."""
    max_corrupt: Annotated[float, Interval("[0, 1)")] = 0.02
    """Share of images that may be unreadable; they are skipped, counted and named."""
    verify: bool = False
    """Decode all images at the start, to know which ones are broken; else those that are not kept
    in memory are found when they are met, and the next one of the class takes their place."""
    in_memory: Literal["auto", "yes", "no"] = "auto"
    """Decode once and keep every pixel, or decode again for each batch, to the same pixels;
    auto: keep them if they take no more than a quarter of this machine's memory."""
    loader_workers: Annotated[int, Interval("[0, inf)")] | None = None
    """Processes that decode the next batches of each worker and trial where images are not kept in
    memory; unset: a node's cores over its workers or trials; 0: a thread of the worker."""
    cache: str | None = None
    """Folder, on each node, for what was read of the images: their headers, and rows of Parquet
    files, unpacked; it may be removed at any time; unset: what RAYNAS_CACHE says in the
    environment, else ~/.cache/raynas."""


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


@dataclass(frozen=True)
class SearchSettings:
    """How architectures are found, and the score that is maximised."""

    strategy: StrategyName = "evolution"
    """SPOS evolution, integer programming, learning from the trials, or gates of a network of cells
    that holds all operations (PR-DARTS); --search X for short."""
    score: ScoreName = "saliency"
    """F0 to F7 of the indicators, accuracy of subnets, or a zero-cost score (launch/METHODS.md)."""
    layer_weight_sign: Literal[-1, 0, 1] = 1
    """Sign s of the layer weight in layer_weighted and zscore."""
    identity_weight: Annotated[float, Interval("(-inf, inf)")] = 1.0
    """Weight lambda of the layer indicator in additive."""
    path_bonus: Annotated[float, Interval("[0, inf)")] = 0.0
    """Weight, in the score's unit, of the mean log-probability of the layers that are skipped and
    those that are not (path depth, after PR-DARTS): a reconstruction for F0 to F7; 0: off."""
    generations: Annotated[int, Interval("[1, inf)")] = 20
    """Generations of the evolution."""
    population: Annotated[int, Interval("[1, inf)")] = 50
    """Architectures scored in each generation."""
    parents: Annotated[int, Interval("[1, inf)")] = 10
    """Best architectures so far that breed the next generation."""
    breeding: Literal["generational", "steady_state"] = "generational"
    """Breed a generation once all of one is scored, or one child whenever one is asked for."""
    objectives: str = "score"
    """What is best, with commas between: score alone, or the front of score and some of macs,
    params and latency, along which networks are retrained; --objectives X for short."""
    mutations: Annotated[int, Interval("[0, inf)")] = 25
    """Children by mutation in each generation."""
    crossovers: Annotated[int, Interval("[0, inf)")] = 25
    """Children by crossover in each generation."""
    mutation_probability: Annotated[float, Interval("[0, 1]")] = 0.1
    """Probability that a mutation redraws a layer's candidate."""
    min_distance: Annotated[int, Interval("[1, inf)")] = 1
    """Layers in which the networks that an exact search finds differ from each other at least."""
    recalibration_batches: Annotated[int, Interval("[1, inf)")] = 20
    """Training batches that give a subnet's batch norms their statistics before its accuracy."""
    score_images: Annotated[int, Interval("[1, inf)")] = 2000
    """Validation images of an accuracy, the same ones for all architectures."""
    concurrent: Annotated[int, Interval("[1, inf)")] | None = None
    """Scoring trials at a time; unset: as many as the cluster has resources for."""

    @property
    def traits(self) -> Strategy:
        """What is to be known of the strategy."""
        return STRATEGIES[self.strategy]

    @property
    def scores_by_trials(self) -> bool:
        """Whether a trial scores each architecture; otherwise scores are sums over layers."""
        return not self.traits.is_differentiable and not is_sum(self.score)

    @property
    def score_words(self) -> str:
        """The score as tables name it, with its path bonus if there is one."""
        return self.score + (f" + {self.path_bonus:g} path" if self.path_bonus else "")

    @property
    def goals(self) -> tuple[Kind, ...]:
        """The costs that are minimised beside the score; none: the score is all that counts."""
        return goals_of(self.objectives)


def goals_of(objectives: str) -> tuple[Kind, ...]:
    """Return the costs among the objectives in their order.

    Args:
        objectives: As ``SearchSettings.objectives``.

    Raises:
        UserError: The first is not the score, or one is unknown or given twice.
    """
    names = tuple(name.strip() for name in objectives.split(","))
    for name in names:
        if name not in _OBJECTIVES:
            near = difflib.get_close_matches(name, _OBJECTIVES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_OBJECTIVES)}"
            raise UserError(f"--objectives {objectives}: no objective {name!r}; {hint}")
    if names[0] != "score" or len(set(names)) < len(names):
        raise UserError(
            f"--objectives {objectives}: wanted score first, and each once, such as score,macs"
        )
    return tuple(kind for name in names for kind in KINDS if kind == name)


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
    workers_per_trial: Annotated[int, Interval("[1, inf)")] | None = None
    """Data-parallel workers of a trial; unset: one per GPU of it, or one."""
    cpus_per_trial: Annotated[int, Interval("[1, inf)")] = 1
    """CPU threads of each worker of a trial."""
    gpus_per_trial: Annotated[float, Interval("[0, inf)"), GpuShare()] | None = None
    """GPUs of a trial, each with a worker; a fraction shares one; unset: 1 per worker where the
    cluster has GPUs, else 0."""
    concurrent: Annotated[int, Interval("[1, inf)")] | None = None
    """Trials at a time; unset: as many as the cluster has resources for."""
