"""Runs at several resolutions side by side: which image size the best network has.

A resolution is chosen as a network is, by validation accuracy, on the same images at each size.
Scores of supernets are never compared across resolutions: each supernet has a scale of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raynas.reporting.answers import compare_answers, recorded_answers
from raynas.reporting.paired import Paired
from raynas.reporting.rivals import rivals_within_limits
from raynas.storage.outcome_rows import known_accuracy, networks_of
from raynas.storage.run_store import RunStore
from raynas.storage.usage import Usage

Row = Mapping[str, Any]


@dataclass(frozen=True)
class FoundAt:
    """What the run at one resolution has found.

    Attributes:
        resolution: Height and width of its images in pixels.
        store: Its run folder.
        best: The outcome of its best network.
        val_accuracy: By which that is ranked, in [0, 1].
        seconds: That its stages took.
        is_finished: Whether the run is recorded as finished.
    """

    resolution: int
    store: RunStore
    best: Row
    val_accuracy: float
    seconds: float
    is_finished: bool

    @property
    def export(self) -> str | None:
        """Where its best network is exported; None: it is not."""
        folder = f"exports/{self.best['architecture']}"
        return self.store.locate(folder) if self.store.has(f"{folder}/config.json") else None

    def paired_with(self, store: RunStore, row: Row) -> Paired | None:
        """Return how its best network compares with another one on the same test images.

        Args:
            store: The run folder of the other one.
            row: Its row of ``outcomes`` or ``rivals``.

        Returns:
            None where it is not recorded what they answered, or the images differ.
        """
        own = recorded_answers(self.store, self.best)
        return compare_answers(own, recorded_answers(store, row))


@dataclass(frozen=True)
class BestRival:
    """The most accurate network of those that stand beside the winners, at any resolution.

    Attributes:
        resolution: Of the images on which it was trained, in pixels.
        row: Of the table ``rivals``.
        part: The images by which it is compared: validation, or test where it was trained on these.
        accuracy: On them, in [0, 1].
        winners_accuracy: The winner's.
        paired: The winner compared with it on the same test images, if that is recorded.
    """

    resolution: int
    row: Row
    part: str
    accuracy: float
    winners_accuracy: float
    paired: Paired | None

    @property
    def is_ahead(self) -> bool:
        """Whether it is more accurate than the winner."""
        return self.accuracy > self.winners_accuracy


@dataclass(frozen=True)
class ResolutionComparison:
    """The runs at several resolutions.

    Attributes:
        found: What they have found, the best first: the first one is the winner.
        nothing_at: Resolutions at which no network was trained to its end.
    """

    found: tuple[FoundAt, ...]
    nothing_at: tuple[int, ...] = ()

    @property
    def paired(self) -> Paired | None:
        """The winner compared with the second on the same test images; None: not recorded."""
        if len(self.found) < 2:
            return None
        first, second, *_ = self.found
        return first.paired_with(second.store, second.best)

    @property
    def best_rival(self) -> BestRival | None:
        """The best rival within the limits at any resolution; None: there is none."""
        rows = [(at, row) for at in self.found for row in rivals_within_limits(at.store)]
        if not rows:
            return None
        winner = self.found[0]
        usual = all(row["val_accuracy"] is not None for _, row in rows)
        own = winner.val_accuracy if usual else winner.best["test_accuracy"]
        column = "val_accuracy" if usual else "test_accuracy"
        known = [(at, row) for at, row in rows if row[column] is not None]
        if not known or own is None:
            return None
        at, row = max(known, key=lambda pair: float(pair[1][column]))
        part = "validation" if usual else "test"
        paired = winner.paired_with(at.store, row)
        return BestRival(at.resolution, row, part, row[column], own, paired)


def compare_resolutions(stores: Mapping[int, RunStore]) -> ResolutionComparison:
    """Return what runs at several resolutions have found, the best first.

    By the validation accuracy of each one's best network; of equal ones the cheaper is first.

    Args:
        stores: Run folders by resolution.
    """
    found = {resolution: _found_at(resolution, store) for resolution, store in stores.items()}
    known = [each for each in found.values() if each is not None]
    known.sort(key=lambda each: (-each.val_accuracy, each.best["macs"], each.resolution))
    return ResolutionComparison(
        tuple(known), tuple(each for each, run in found.items() if run is None)
    )


def _found_at(resolution: int, store: RunStore) -> FoundAt | None:
    """Return what a run has found; None: nothing yet, or nothing is known of it."""
    runs, outcomes = store.rows("runs"), store.rows("outcomes")
    networks = networks_of(outcomes)
    known = known_accuracy(networks[0], outcomes) if networks else None
    if known is None or not runs:
        return None
    stages = Usage.from_json(runs[0]["spent"]).stages.values()
    seconds = sum(stage.seconds for stage in stages)
    return FoundAt(resolution, store, networks[0], known, seconds, runs[0]["finished"] is not None)
