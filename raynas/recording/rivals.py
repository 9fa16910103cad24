"""The table ``rivals``: networks beside the winners, rewritten whenever one of them ends."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raynas.costs.costs import Cost
from raynas.recording.answers import is_answered
from raynas.recording.outcomes import TrialEnd
from raynas.storage.outcome_rows import name_of_row
from raynas.storage.run_store import RunStore

_ORDER = {"finished": 0, "stopped": 1, "failed": 2, "left out": 3}


class Planned(Protocol):
    """A network that stands beside the winners."""

    @property
    def chosen(self) -> object:
        """Which one it is: its text is the one that is recorded."""

    @property
    def cost(self) -> Cost:
        """Of an image."""

    @property
    def begun_from(self) -> str:
        """Which weights it begins from, for people."""


class RivalsTable:
    """The rows of all rivals of a run, by their names."""

    def __init__(self, store: RunStore, planned: Mapping[str, Planned]) -> None:
        """Continue with the rows that the run folder holds.

        Args:
            store: The run folder.
            planned: Those that are trained, by the names that a person gave them.
        """
        self._store = store
        self._planned = planned
        self._rows = {row["rival"]: row for row in store.rows("rivals")}

    def is_settled(self, name: str) -> bool:
        """Return whether one needs no training any more; a failed one is tried again."""
        row = self._rows.get(name, {})
        is_whole = row.get("status") == "finished" and self._store.has(row["checkpoint"])
        return is_whole and is_answered(self._store, name_of_row(row))

    def leave_out(self, reasons: Sequence[tuple[str, str]]) -> None:
        """Write why some are not trained, by their names."""
        for name, why in reasons:
            self._rows[name] = {"rival": name, "status": "left out", "error": why}
        if reasons:
            self._write()

    def add(self, end: TrialEnd) -> None:
        """Take in how the training of one ended."""
        planned = self._planned[end.architecture]
        found: dict[str, Any] = vars(end) | planned.cost.columns
        del found["architecture"]
        self._rows[end.architecture] = {
            "rival": end.architecture,
            "network": str(planned.chosen),
            "begun_from": planned.begun_from,
            **found,
        }
        self._write()

    def _write(self) -> None:
        self._store.append("rivals", ranked(self._rows.values()), part="rivals")


def ranked(rows: Sequence[dict[str, Any]] | Any) -> list[dict[str, Any]]:
    """Return rivals, the most accurate one on validation images first, else on those of the test.

    Args:
        rows: Of the table ``rivals``.
    """
    return sorted(
        rows,
        key=lambda row: (
            _ORDER[row["status"]],
            -(row.get("val_accuracy") or row.get("test_accuracy") or 0.0),
            row["rival"],
        ),
    )
