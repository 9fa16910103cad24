"""What the stages of a run share, and what they have spent."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from raynas.cluster.connection import Resources
from raynas.cluster.plan import Plan
from raynas.console import Stages
from raynas.settings import Settings
from raynas.store import RunStore
from raynas.training.images import Dataset


@dataclass(frozen=True)
class Run:
    """Where results go, what to do, on what, and where to show it."""

    store: RunStore
    settings: Settings
    dataset: Dataset
    plan: Plan
    resources: Resources
    stages: Stages

    @property
    def row(self) -> dict[str, Any]:
        """The run's row in the table ``runs``."""
        return self.store.rows("runs")[0]

    def update(self, **found: Any) -> None:
        """Write what was found into the run's row."""
        self.store.append("runs", [self.row | found], part="run")

    @contextmanager
    def spending(self, stage: str, gpus: float = 0.0) -> Iterator[None]:
        """Add what a stage takes to ``runs.spent``, also if it is interrupted.

        Args:
            stage: Its name, as in the forecast.
            gpus: That it holds.
        """
        started, written = time.monotonic(), self.store.written
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            found = {
                "seconds": seconds,
                "gpu_hours": gpus * seconds / 3600,
                "written_bytes": self.store.written - written,
            }
            spent = json.loads(self.row["spent"] or "{}")
            before = spent.get(stage, {})  # by drivers that were stopped
            spent[stage] = {name: value + before.get(name, 0) for name, value in found.items()}
            self.update(spent=json.dumps(spent))
