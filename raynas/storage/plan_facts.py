"""What a run reads of its images and works out before it trains, as ``runs.plan`` records it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """Facts of a plan; one that a run did not record, such as an older one, has its default.

    Attributes:
        classes: Names in the order of the labels.
        channels: Of an image.
        resolution: Height and width in pixels.
        train: Images to train.
        val: Images to validate.
        test: Images to test.
        keeps_val: Whether these are what the data call validation, and ``val`` is cut off what
            they train on; runs of a raynas that made choices on them have recorded nothing.
        skipped: Images that cannot be read.
        ignored: Endings of files that are no images, with their numbers.
        passed_over: What else was left out.
        parts: Which folders or files are which part.
        class_counts: Images of each class, by part.
        mean: Of each channel, by which images are normalised.
        std: Likewise.
        evaluation_ratio: Side of the middle square that networks see, of the shorter side.
        latency_table: Digest of the table of latencies.
        space_digest: Digest of the space.
        random_numbers: Version of what a seed draws.
        shards: Parts of a step's batch.
        steps: Of the pretraining.
        trained_numbers: Numbers of the supernet that learn; None: older, or without a supernet.
        workers_per_trial: Of a retraining trial.
        rivals: Which network each name beside the winners has come to: its name with its width,
            or an architecture that was drawn.
        auto_rivals: The names that ``--rivals auto`` came to; None: it was not asked for, or older.
        start: Digest of the weights that it begins from; None: of random ones, or older.
        teacher: Digest of the network whose answers are learned, or which one is trained for that.
        asked: Settings that were worked out, by name: what was asked for in their place.
    """

    classes: Sequence[str] = ()
    channels: int = 0
    resolution: int = 0
    train: int = 0
    val: int = 0
    test: int = 0
    keeps_val: bool = False
    skipped: Sequence[str] = ()
    ignored: Sequence[str] = ()
    passed_over: Sequence[str] = ()
    parts: Sequence[str] = ()
    class_counts: Mapping[str, Sequence[int]] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    evaluation_ratio: float = 1.0
    latency_table: str | None = None
    space_digest: str | None = None
    random_numbers: int | None = None
    shards: int = 1
    steps: int = 0
    trained_numbers: int | None = None
    workers_per_trial: int = 1
    rivals: Mapping[str, str] = field(default_factory=dict)
    auto_rivals: Sequence[str] | None = None
    start: str | None = None
    teacher: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the facts as a JSON object, the form in which runs record them."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> "PlanFacts":
        """Return facts as a run recorded them.

        Args:
            text: What ``to_json`` returned, perhaps by another version; None: nothing was recorded.
        """
        found: dict[str, Any] = json.loads(text or "{}") or {}
        names = {field.name for field in dataclasses.fields(cls)}
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found.items()
            if name in names
        }
        return cls(**known)
