"""A run as the page reads it: its row, its outcomes, how far it has come."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from raynas.reporting.answers import RecordedAnswers, recorded_answers
from raynas.reporting.run_status import Progress, progress
from raynas.settings.settings import Settings
from raynas.storage.outcome_rows import in_order
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore

Row = dict[str, Any]


@dataclass(frozen=True)
class RunSnapshot:
    """What a run folder holds at one moment; each table is read when it is first asked for.

    Attributes:
        store: The run folder.
        methods: The folder of the methods' TOML files.
        made: The moment.
        progress: How far it had come then.
    """

    store: RunStore
    methods: Path
    made: datetime
    progress: Progress

    @cached_property
    def run(self) -> Row:
        """The run's row."""
        return self.store.rows("runs")[0]

    @cached_property
    def settings(self) -> Settings:
        """The recorded settings; defaults for those that were not there then."""
        return Settings.from_json(self.run["settings"])

    @cached_property
    def plan(self) -> PlanFacts:
        """What was read from the data and the cluster."""
        return PlanFacts.from_json(self.run["plan"])

    @cached_property
    def outcomes(self) -> list[Row]:
        """Retrained networks, the best first."""
        return in_order(self.store.rows("outcomes"))

    @cached_property
    def best(self) -> Row | None:
        """The best network that was trained to its end."""
        ends = [row for row in self.outcomes if row["status"] == "finished"]
        return ends[0] if ends else None

    @cached_property
    def best_answers(self) -> RecordedAnswers | None:
        """What it answered on the test images; None where that is not recorded."""
        return None if self.best is None else recorded_answers(self.store, self.best)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """Architectures that the search scored, in its order."""
        columns = ["order", "generation", "architecture", "origin", "score", "macs"]
        rows: pd.DataFrame = self.store.table("architectures", columns).to_pandas()
        return rows.sort_values("order", ignore_index=True)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Losses and learning rates of the pretraining."""
        columns = ["step", "loss", "learning_rate"]
        rows: pd.DataFrame = self.store.table("steps", columns).to_pandas()
        return rows.sort_values("step", ignore_index=True)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the run."""
        rows: pd.DataFrame = self.store.table(name).to_pandas()
        return rows

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Epochs of the retraining."""
        return self.table("trials")

    @cached_property
    def search_epochs(self) -> pd.DataFrame:
        """Epochs of the differentiable searches, and rows of those that failed."""
        return self.table("search_epochs")

    @cached_property
    def indicators(self) -> pd.DataFrame:
        """Indicators at the last recorded step of each kind."""
        rows = self.table("indicators")
        return rows[rows["step"] == rows.groupby("kind")["step"].transform("max")]

    @cached_property
    def operations(self) -> dict[tuple[int, int], str]:
        """The name of each layer's candidates, as far as any table tells it."""
        tables = (self.table("ledger"), self.table("isometry"), self.indicators)
        names: dict[tuple[int, int], str] = {}
        for rows in tables:
            known = rows.dropna(subset=["candidate"])
            found = zip(known["layer"], known["candidate"], known["operation"], strict=True)
            names |= {(int(layer), int(index)): str(name) for layer, index, name in found}
        return names

    @property
    def leader(self) -> tuple[str, float] | None:
        """The architecture of the highest score, and that score."""
        known = self.scored.dropna(subset=["score"])
        if known.empty:
            return None
        best = known.iloc[int(known["score"].to_numpy().argmax())]
        return str(best["architecture"]), float(best["score"])

    @property
    def is_differentiable(self) -> bool:
        """Whether gates are searched for, rather than scores."""
        return self.settings.search.strategy == "differentiable"

    @property
    def pretrains(self) -> bool:
        """Whether the method trains a supernet at all."""
        return bool(self.settings.pretrain.epochs)

    @property
    def reads_start(self) -> bool:
        """Whether candidates are scored by the weights that the run begins from."""
        return self.settings.search.reads_start


def take_snapshot(store: RunStore, methods: Path) -> RunSnapshot:
    """Return what a run folder holds now.

    Args:
        store: One that holds a run.
        methods: The folder of the methods' TOML files.
    """
    return RunSnapshot(store, methods, datetime.now(UTC), progress(store))


def moment(time: datetime | None) -> str:
    """Return a time for a person."""
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "unknown"
