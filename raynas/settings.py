"""The numbers of a run: typed, documented, read from a method's TOML file and from flags.

The text under each field is its ``--help``. Defaults that differ from the paper's are the
ones that train on small data; ``ALGORITHMS`` section 2 lists the readings.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from raynas.costs import Limits, parse_quantity
from raynas.errors import UserError
from raynas.ranges import refuse_out_of_range

Quantity = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N[k|M|G]",
        instance_from_str=lambda args: parse_quantity(args[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]

Score = Literal[
    "bnnas", "identity_ratio", "layer_weighted", "log_ratio", "zscore", "additive", "taylor"
]


@dataclass(frozen=True)
class ImageSettings:
    """How images become batches."""

    resolution: int | None = None
    """Height and width in pixels; unset: the images' own if they agree, else the space's."""
    share: float = 1.0
    """Share of the training and validation images that is used, for quick trials."""
    val_fraction: float = 0.15
    """Share of the training images held out for validation where the data names no split."""
    test_fraction: float = 0.2
    """Share of all images held out for the test where the data names no split."""
    augment: Literal["auto", "none", "crop", "crop_flip"] = "auto"
    """Random crops, with mirror images or not; auto: mirror colour images, not grey ones,
    and leave images of less than 16 pixels as they are."""
    max_corrupt: float = 0.02
    """Share of images that may be unreadable; they are skipped, counted and named."""
    in_memory: Literal["auto", "yes", "no"] = "auto"
    """Decode once and keep every pixel, or decode again for each batch, to the same pixels;
    auto: keep them if they take no more than a quarter of this machine's memory."""
    loader_workers: int | None = None
    """Processes that decode the next batch for each worker and trial where images are not kept
    in memory; unset: 2; 0: a thread of the worker."""


@dataclass(frozen=True)
class PretrainSettings:
    """The supernet: what is trained, how paths are drawn, and by how many workers."""

    epochs: float = 20.0
    """Passes over the training images; parts of one are allowed."""
    batch: int = 64
    """Images in a step's batch; all paths of a step see the same ones."""
    initialisation: Literal["qr", "shift", "gaussian", "delta"] = "qr"
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
    learning_rate: float = 0.02
    """Peak learning rate of the batch norms."""
    classifier_rate: float = 0.003
    """Learning rate of the classifier; 0 freezes it, as BN-NAS does."""
    momentum: float = 0.9
    """Momentum of SGD (Adam's first beta)."""
    weight_decay: float = 0.0
    """Weight decay of the weights that learn; none on batch norms."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How learning rates fall to zero."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes, in [0, 1)."""
    clip: float = 5.0
    """Gradients are clipped by value to plus or minus this; 0 clips nothing."""
    workers: int | None = None
    """Ray actors; unset: one per GPU, or per CPU where there are none."""
    shards: int | None = None
    """Data shards of a batch; unset: one, or more once there are more workers than paths."""
    cpus_per_worker: int = 1
    """CPU threads of a worker; part of the result, since sums depend on it in the last bit."""
    gpus_per_worker: float | None = None
    """GPUs of a worker; fractions share one; unset: 1 where the cluster has GPUs, else 0."""
    transport: Literal["fast", "calls"] = "fast"
    """How workers are reached: a socket each (calls where a firewall forbids), or calls only."""
    recompute: bool = False
    """Compute expanding convolutions twice instead of keeping their results: less memory."""
    checkpoint_seconds: float = 1.0
    """Longest stretch of work, in seconds, that is redone after a crash of the driver."""
    records: int = 10
    """How many times during pretraining the indicators are written to their table."""


@dataclass(frozen=True)
class SearchSettings:
    """SPOS evolution over architectures and the score that it maximises."""

    score: Score = "taylor"
    """Formula F0 to F6 that turns indicators into a score (README, Scores)."""
    layer_weight_sign: Literal[-1, 0, 1] = 1
    """Sign s of the layer weight in layer_weighted and zscore."""
    identity_weight: float = 1.0
    """Weight lambda of the layer indicator in additive."""
    generations: int = 20
    """Generations of the evolution."""
    population: int = 50
    """Architectures scored in each generation."""
    parents: int = 10
    """Best architectures so far that breed the next generation."""
    breeding: Literal["generational", "steady_state"] = "generational"
    """Breed a generation once all of one is scored, or one child whenever one is asked for."""
    selection: Literal["score", "pareto"] = "score"
    """What is best: the score alone, or score, MACs and parameters by NSGA-II's fronts."""
    mutations: int = 25
    """Children by mutation in each generation."""
    crossovers: int = 25
    """Children by crossover in each generation."""
    mutation_probability: float = 0.1
    """Probability that a mutation redraws a layer's candidate."""


@dataclass(frozen=True)
class RetrainSettings:
    """Training of the best architectures from scratch, as Ray Tune trials."""

    top_k: int = 3
    """Best architectures to retrain."""
    epochs: int = 15
    """Passes over the training images."""
    batch: int = 64
    """Images in a batch."""
    learning_rate: float = 0.05
    """Peak learning rate of SGD, cosine to zero."""
    momentum: float = 0.9
    """Nesterov momentum of SGD."""
    weight_decay: float = 5e-4
    """Weight decay of convolutions and classifier; none on batch norms and biases."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes, in [0, 1)."""
    clip: float = 5.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    dropout: float = 0.1
    """Dropout before the classifier."""
    ema_decay: float = 0.99
    """Decay per step of the averaged weights that are evaluated; 0 evaluates the last ones."""
    scheduler: Literal["fifo", "asha"] = "fifo"
    """fifo gives every trial all epochs; asha stops the weaker ones early."""
    asha_grace_epochs: int = 3
    """Epochs that asha leaves to every trial."""
    asha_reduction: int = 3
    """asha keeps one trial in this many at each rung."""
    max_failures: int = 2
    """Times that a failing trial is tried again before it is recorded as failed."""
    cpus_per_trial: int = 1
    """CPU threads of a trial."""
    gpus_per_trial: float | None = None
    """GPUs of a trial; fractions share one; unset: 1 where the cluster has GPUs, else 0."""
    concurrent: int | None = None
    """Trials at a time; unset: as many as the cluster has resources for."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run's result; recorded with it and compared on resume."""

    space: str = "small_mobile"
    """Search space: a name in search_spaces/ or a path to a Python file with a SPACE."""
    data: str = "digits"
    """digits, cifar10, cifar100, fashion-mnist, a folder of class folders (with or without
    train/ and val/), or a folder of Parquet files with image and label."""
    method: str = "fair_taylor"
    """Method: a name in launch/settings/ or a path to a TOML file of settings."""
    max_macs: Quantity | None = None
    """Most multiply-adds per image (papers say FLOPs), such as 330M; unset: no limit."""
    max_params: Quantity | None = None
    """Most parameters, such as 3.5M; unset: no limit."""
    seed: int = 0
    """Seed of everything random."""
    images: ImageSettings = field(default_factory=ImageSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)

    def __post_init__(self) -> None:
        check(self)

    @property
    def limits(self) -> Limits:
        """The two limits as one value."""
        return Limits(self.max_macs, self.max_params)

    @property
    def digest(self) -> str:
        """Six letters that differ where the results do."""
        flat = _flatten(dataclasses.asdict(self))
        deciding = {name: value for name, value in flat.items() if name not in _FREE}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:6]

    def to_json(self) -> str:
        """Return the settings as a JSON object, the form in which runs record them."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


# Who computes and how safely, not what: these may change when a run is continued.
_FREE = frozenset(
    {
        "images.in-memory",
        "images.loader-workers",
        "pretrain.workers",
        "pretrain.gpus-per-worker",
        "pretrain.transport",
        "pretrain.recompute",
        "pretrain.checkpoint-seconds",
        "retrain.max-failures",
        "retrain.gpus-per-trial",
        "retrain.concurrent",
    }
)


def check(settings: Settings) -> None:
    """Refuse numbers that cannot work, before anything starts.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    refuse_out_of_range(_flatten(dataclasses.asdict(settings)))
    pretrain, search = settings.pretrain, settings.search
    _refuse_misfits(pretrain, search)
    if pretrain.initialisation == "delta":
        raise UserError(
            "--pretrain.initialisation: delta makes depthwise kernels of all sizes the same "
            "function (ALGORITHMS 1.3), so it cannot rank them; use qr, shift or gaussian"
        )


def _refuse_misfits(pretrain: PretrainSettings, search: SearchSettings) -> None:
    """Refuse samplings and scores that do not fit the layer indicator."""
    indicator, sampling, score = pretrain.layer_indicator, pretrain.sampling, search.score
    if (sampling == "fair_identity") != (indicator == "path") and sampling != "uniform":
        raise UserError(
            f"--pretrain.sampling {sampling} with --pretrain.layer-indicator {indicator}: the "
            "identity path is trained by fair_identity and only there; use fair_identity with "
            "path, fair with parallel or none, or uniform with any"
        )
    needs_layer = score in {"identity_ratio", "log_ratio", "additive"} or (
        score in {"layer_weighted", "zscore"} and search.layer_weight_sign != 0
    )
    if indicator == "none" and needs_layer:
        raise UserError(
            f"--search.score {score}: it needs a layer indicator, but --pretrain.layer-indicator "
            "is none; use bnnas or taylor, or path"
        )


def differences(recorded: str, settings: Settings) -> list[str]:
    """Return a line ``name: recorded A, now B`` for every setting that differs and matters.

    A setting that was not there when the run was recorded had its default.
    """
    new = _flatten(json.loads(settings.to_json()))
    old = _flatten(json.loads(Settings().to_json())) | _flatten(json.loads(recorded))
    pairs = [(name, old[name], new.get(name)) for name in sorted(set(old) - _FREE)]
    return [f"{name}: recorded {a!r}, now {b!r}" for name, a, b in pairs if a != b]


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key.replace('_', '-')}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
