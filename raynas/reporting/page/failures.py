"""What failed in a run: which network, why, and what to do."""

from dataclasses import dataclass

from raynas.reporting.page.run_snapshot import Row, RunSnapshot

_REMEDY = "what to do: "
_MOST = 30  # failures that are shown


@dataclass(frozen=True)
class Failure:
    """A search or training that failed.

    Attributes:
        architecture: What was trained, or the search.
        what: What happened, in a line.
        remedy: What a person can do, or an empty text.
        error: All that was recorded of it.
    """

    architecture: str
    what: str
    remedy: str
    error: str


def failures(snapshot: RunSnapshot) -> tuple[list[Failure], str]:
    """Return what failed at whatever stage, and a sentence on what is left out."""
    searches = [
        row | {"architecture": f"search of seed {row['seed']}"}
        for row in snapshot.store.rows("search_epochs")
    ]
    checks = snapshot.store.rows("checks")
    found = [_failure(row) for row in (*searches, *snapshot.outcomes, *checks) if row["error"]]
    left = len(found) - _MOST
    rest = f"{left:,} more are in the column error of tables search_epochs, outcomes, checks."
    return found[:_MOST], rest if left > 0 else ""


def _failure(row: Row) -> Failure:
    """Read what the cluster's ``failure_text`` writes, or any other text."""
    lines = row["error"].strip().splitlines() or [""]
    remedies = [line.removeprefix(_REMEDY) for line in lines if line.startswith(_REMEDY)]
    return Failure(row["architecture"], lines[-1], " ".join(remedies[:1]), row["error"].strip())
