"""What a run uses, stage by stage: as ``runs.forecast`` and ``runs.spent`` record it."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DISK = "disk_bytes"


@dataclass(frozen=True, kw_only=True)
class StageUsage:
    """What a stage uses.

    Attributes:
        seconds: Of wall time; in a forecast the likely ones.
        gpu_hours: GPUs that it holds, times its hours.
        written_bytes: To the run folder.
        low_seconds: The least that is forecast; None: measured.
        high_seconds: The most that is forecast; None: measured.
    """

    seconds: float
    gpu_hours: float = 0.0
    written_bytes: float = 0.0
    low_seconds: float | None = None
    high_seconds: float | None = None

    @property
    def range_seconds(self) -> tuple[float, float]:
        """The least and the most that is forecast; both what was measured otherwise."""
        low, high = self.low_seconds, self.high_seconds
        return self.seconds if low is None else low, self.seconds if high is None else high

    def plus(self, other: "StageUsage") -> "StageUsage":
        """Return what both have used, as of drivers that were stopped."""
        return StageUsage(
            seconds=self.seconds + other.seconds,
            gpu_hours=self.gpu_hours + other.gpu_hours,
            written_bytes=self.written_bytes + other.written_bytes,
        )


@dataclass(frozen=True)
class Usage:
    """What the stages of a run use.

    Attributes:
        stages: By name, in their order; those that have not ended, or never begin, are absent.
        disk_bytes: Of the run folder at its end; None: not known.
    """

    stages: Mapping[str, StageUsage] = field(default_factory=dict)
    disk_bytes: float | None = None

    def with_stage(self, name: str, used: StageUsage) -> "Usage":
        """Return it with what a stage has used, added to what it had used before."""
        before = self.stages.get(name)
        now = before.plus(used) if before else used
        return dataclasses.replace(self, stages={**self.stages, name: now})

    def without(self, name: str) -> "Usage":
        """Return it without a stage."""
        stages = {stage: used for stage, used in self.stages.items() if stage != name}
        return dataclasses.replace(self, stages=stages)

    def to_json(self) -> str:
        """Return it as a JSON object by stage, the form in which runs record it."""
        stages = {name: _known(dataclasses.asdict(each)) for name, each in self.stages.items()}
        return json.dumps(stages | _known({_DISK: self.disk_bytes}))

    @classmethod
    def from_json(cls, text: str | None) -> "Usage":
        """Return it as a run recorded it.

        Args:
            text: What ``to_json`` returned; None or empty: nothing was recorded.
        """
        found: dict[str, Any] = json.loads(text or "{}")
        disk = found.pop(_DISK, None)
        names = {each.name for each in dataclasses.fields(StageUsage)}
        stages = {
            stage: StageUsage(**{name: used[name] for name in names & set(used)})
            for stage, used in found.items()
        }
        return cls(stages, disk)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
