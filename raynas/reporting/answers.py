"""What a run's networks answered, as it is recorded; older runs have recorded nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raynas.reporting.calibration_error import Reliability, reliability
from raynas.reporting.paired import Paired, compare_paired
from raynas.storage.outcome_rows import name_of_row
from raynas.storage.run_store import RunStore

Row = Mapping[str, Any]
_COLUMNS = ("part", "image", "label", "answer", "confidence", "scaled_confidence")


@dataclass(frozen=True)
class RecordedAnswers:
    """What a network answered on the N test images, in their order.

    Attributes:
        label: N class indices.
        answer: N, what it took for most probable.
        confidence: N, the probability that it gave to that.
        scaled_confidence: N, the same after temperature scaling; None without that.
    """

    label: npt.NDArray[np.int32]
    answer: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    scaled_confidence: npt.NDArray[np.float32] | None

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """N, whether each answer is right."""
        return np.equal(self.answer, self.label)

    @property
    def reliability(self) -> Reliability:
        """Accuracies by confidence, as the network gives it."""
        return reliability(self.confidence, self.right)

    @property
    def scaled_reliability(self) -> Reliability | None:
        """The same after temperature scaling."""
        scaled = self.scaled_confidence
        return None if scaled is None else reliability(scaled, self.right)


def recorded_answers(store: RunStore, row: Row) -> RecordedAnswers | None:
    """Return what a network answered on the test images; None: it is not recorded.

    Args:
        store: The run folder.
        row: Of ``outcomes`` or ``rivals``, of a training that was finished.
    """
    table = store.table("answers", _COLUMNS, parts=[name_of_row(row)])
    rows: pa.Table = table.filter(pc.equal(table["part"], "test")).sort_by("image")
    if not rows.num_rows:
        return None
    label, answer, confidence = (rows[name].to_numpy() for name in _COLUMNS[2:5])
    scaled = rows["scaled_confidence"]
    known = None if scaled.null_count else scaled.to_numpy()
    return RecordedAnswers(label, answer, confidence, known)


def compare(store: RunStore, first: Row, second: Row) -> Paired | None:
    """Return how a network compares with another one on the same test images.

    Args:
        store: The run folder.
        first: Its row of ``outcomes`` or ``rivals``.
        second: The other one's.

    Returns:
        None where one of them has no answers, or they are to other images.
    """
    return compare_answers(recorded_answers(store, first), recorded_answers(store, second))


def compare_answers(first: RecordedAnswers | None, second: RecordedAnswers | None) -> Paired | None:
    """Return how a network compares with another one, perhaps of another run on the same images.

    Args:
        first: What it answered; None: that is not recorded.
        second: What the other one answered.

    Returns:
        None where one of them has no answers, or they are to other images.
    """
    if first is None or second is None or not np.array_equal(first.label, second.label):
        return None
    return compare_paired(first.right, second.right)
