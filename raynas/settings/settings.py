"""The numbers of a run: typed, documented, read from a method's TOML file and from flags.

The text under each field is its ``--help``; the settings of each stage are in
``raynas.settings.stages``.
"""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raynas.costs.costs import Limits
from raynas.errors import UserError
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.quantities import Duration, Quantity
from raynas.settings.ranges import refuse_odd_gpus, refuse_out_of_range
from raynas.settings.scores import INDICATOR_SCORES, SCORES, ZERO_COST_SCORES, is_sum
from raynas.settings.stage_inputs import decides
from raynas.settings.stages import (
    ImageSettings,
    PretrainSettings,
    RetrainSettings,
    SearchSettings,
)
from raynas.storage.uris import shown_within


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run's result; recorded with it and compared on resume."""

    space: str = "small_mobile"
    """Search space: a name in search_spaces/ or a path to a Python file with a SPACE."""
    data: str = "digits"
    """digits, cifar10, cifar100, fashion-mnist, a folder of class folders (with or without
    train/ and val/), or a folder of Parquet files with image and label."""
    method: str = "fair_saliency"
    """Method: a name in launch/settings/ or a path to a TOML file of settings."""
    max_macs: Quantity | None = None
    """Most multiply-adds per image (papers say FLOPs), such as 330M; unset: no limit."""
    max_params: Quantity | None = None
    """Most parameters, such as 3.5M; unset: no limit."""
    max_latency: Duration | None = None
    """Most time for a batch by the table of latencies, such as 12ms; unset: no limit."""
    latency_table: str | None = None
    """Table of latencies that launch/latency.py has measured, a path or URI."""
    seed: int = 0
    """Seed of everything random."""
    check: int = 0
    """Architectures to train briefly, to see how well the score ranks on these images; 0: none."""
    check_epochs: int = 3
    """Passes over the training images in each training of the check."""
    images: ImageSettings = field(default_factory=ImageSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    differentiable: DifferentiableSettings = field(default_factory=DifferentiableSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)

    def __post_init__(self) -> None:
        check(self)

    @property
    def limits(self) -> Limits:
        """The limits as one value; that of latency in nanoseconds."""
        return Limits(self.max_macs, self.max_params, self.max_latency)

    @property
    def digest(self) -> str:
        """Six letters that differ where the results do."""
        flat = _flatten(json.loads(self.to_json()))
        idle = not self.search.traits.is_differentiable
        deciding = {
            name: value
            for name, value in flat.items()
            if name not in _FREE
            and not (idle and name.startswith("differentiable."))
            and (name, value) not in _LATER
        }
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:6]

    @property
    def num_winners(self) -> int:
        """The most networks that are retrained: a differentiable search yields one a seed."""
        if self.search.traits.is_differentiable:
            return min(self.retrain.top_k, self.differentiable.seeds)
        return self.retrain.top_k

    @property
    def supernet(self) -> str:
        """What decides the supernet, as text: runs that agree in it can share one."""
        flat = _flatten(dataclasses.asdict(self))
        return json.dumps({name: flat[name] for name in filter(decides_supernet, flat)})

    def to_json(self) -> str:
        """Return the settings as a JSON object, the form in which runs record them."""
        return json.dumps(shown_within(dataclasses.asdict(self)), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Settings":
        """Return settings as a run recorded them.

        A setting that was not there when the run was recorded has its default; one that is there
        no more is left out. Nothing is refused: a record says what was.

        Args:
            text: What ``to_json`` returned; None or empty: nothing was recorded.
        """
        tree = _recorded(text)
        settings = object.__new__(cls)  # what is refused today may have been allowed
        for item in dataclasses.fields(cls):
            usual = _default_of(item)
            if dataclasses.is_dataclass(usual) and not isinstance(usual, type):
                found = tree.get(item.name, {})
                names = {each.name for each in dataclasses.fields(usual)} & set(found)
                value: Any = dataclasses.replace(usual, **{name: found[name] for name in names})
            else:
                value = tree.get(item.name, usual)
            object.__setattr__(settings, item.name, value)
        return settings


def _recorded(text: str | None) -> dict[str, Any]:
    """Return recorded settings by the names that they have now."""
    tree: dict[str, Any] = json.loads(text or "{}")
    search = tree.get("search", {})
    if search.pop("selection", None) == "pareto" and search.get("objectives", "score") == "score":
        search["objectives"] = "score,macs,params"
    return tree


def _default_of(item: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


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
        "search.concurrent",
        "retrain.max-failures",
        "retrain.gpus-per-trial",
        "retrain.concurrent",
    }
)


# Defaults of settings that older runs did not have: their folders keep their names.
_LATER = {("search.path-bonus", 0.0), ("images.parts", None), ("images.bits", None)}


def check(settings: Settings) -> None:
    """Refuse numbers that cannot work, before anything starts.

    Raises:
        UserError: Names the setting, what it is and what it must be.
    """
    flat = _flatten(dataclasses.asdict(settings))
    refuse_out_of_range(flat)
    refuse_odd_gpus(flat)
    pretrain, search = settings.pretrain, settings.search
    _refuse_misfits(pretrain, search)
    _refuse_other_gpus(settings.retrain)
    _refuse_odd_seeds(settings)
    _refuse_unfit_goals(settings)
    _refuse_unmeasured(settings)


def _refuse_misfits(pretrain: PretrainSettings, search: SearchSettings) -> None:
    """Refuse samplings, scores and strategies that do not fit each other."""
    indicator, sampling, score = pretrain.layer_indicator, pretrain.sampling, search.score
    if (sampling == "fair_identity") != (indicator == "path") and sampling != "uniform":
        raise UserError(
            f"--pretrain.sampling {sampling} with --pretrain.layer-indicator {indicator}: the "
            "identity path is trained by fair_identity and only there; use fair_identity with "
            "path, fair with parallel or none, or uniform with any"
        )
    reads = SCORES[score].layer_indicator
    needs_layer = reads == "always" or (reads == "weight" and search.layer_weight_sign != 0)
    if indicator == "none" and needs_layer:
        raise UserError(
            f"--search.score {score}: it needs a layer indicator, but --pretrain.layer-indicator "
            "is none; use bnnas or taylor, or path"
        )
    if search.traits.is_differentiable:
        return  # it has no score
    if pretrain.epochs == 0 and SCORES[score].needs_supernet:
        free = ", ".join(sorted(ZERO_COST_SCORES))
        raise UserError(
            f"--pretrain.epochs 0 with --search.score {score}: it is read off a pretrained "
            f"supernet; raise --pretrain.epochs, or use one of {free}"
        )
    if search.traits.needs_sums and not is_sum(score):
        raise UserError(
            f"--search {search.strategy} with --search.score {score}: it needs a sum over layers; "
            f"use one of {', '.join(INDICATOR_SCORES)}, or --search evolution"
        )


def _refuse_unfit_goals(settings: Settings) -> None:
    """Refuse several objectives where one is all that can be followed."""
    search, traits = settings.search, settings.search.traits
    if traits.is_differentiable and settings.check:
        raise UserError(
            f"--check {settings.check} with --search {search.strategy}: there is no score to "
            "check, its gates learn while it trains; leave one of the two out"
        )
    if not search.goals:
        return
    objectives = f"--objectives {','.join(('score', *search.goals))}"
    too_far_apart = traits.keeps_distance and search.min_distance > 1
    if len(search.goals) > traits.most_costs or too_far_apart:
        raise UserError(f"--search {search.strategy} with {objectives}: {traits.no_front}")
    if settings.retrain.scheduler == "asha":
        raise UserError(
            f"--retrain.scheduler asha with {objectives}: it would stop the cheap networks of the "
            "front for being less accurate; use fifo"
        )


def _refuse_unmeasured(settings: Settings) -> None:
    """Refuse a limit of latency, or latency as an objective, without a table of latencies."""
    if settings.latency_table is not None:
        return
    wants = {
        "--max-latency": settings.max_latency is not None,
        "--objectives latency": "latency" in settings.search.goals,
    }
    for flag in (flag for flag, is_wanted in wants.items() if is_wanted):
        raise UserError(
            f"{flag}: nobody has measured latencies for this search; measure them with python "
            f"launch/latency.py --space {shlex.quote(settings.space)}, and give "
            "--latency-table FILE"
        )


def _refuse_other_gpus(retrain: RetrainSettings) -> None:
    """Refuse GPUs of a trial that its workers cannot have one each."""
    gpus, workers = retrain.gpus_per_trial or 0.0, retrain.workers_per_trial
    if gpus and workers is not None and workers != max(int(gpus), 1):
        raise UserError(
            f"--retrain.workers-per-trial {workers} with --retrain.gpus-per-trial {gpus:g}: "
            "wanted a GPU for each worker; leave one of the two out, or set both to the same"
        )


def _refuse_odd_seeds(settings: Settings) -> None:
    """Refuse searches side by side whose seeds would leave the range of seeds."""
    searches, first = settings.differentiable.seeds, settings.seed
    if settings.search.traits.is_differentiable and first + searches > 2**63:
        raise UserError(
            f"--differentiable.seeds {searches} with --seed {first}: the last seed would be "
            f"{first + searches - 1}, wanted less than 2^63; lower --seed"
        )


def decides_supernet(name: str) -> bool:
    """Return whether a setting decides what is pretrained: runs that agree in all can share it."""
    return name not in _FREE and decides("pretraining", name)


def differences(
    recorded: str, settings: Settings, among: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Return a line ``name: recorded A, now B`` for every setting that differs and matters.

    A setting that was not there when the run was recorded had its default.

    Args:
        recorded: The settings of a run, as ``to_json`` makes them.
        settings: Those to compare with it.
        among: Which settings to compare, by name.
    """
    new = _flatten(json.loads(settings.to_json()))
    old = _flatten(json.loads(Settings().to_json())) | _flatten(_recorded(recorded))
    pairs = [(name, old[name], new.get(name)) for name in sorted(filter(among, set(old) - _FREE))]
    return [f"{name}: recorded {a!r}, now {b!r}" for name, a, b in pairs if a != b]


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key.replace('_', '-')}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
