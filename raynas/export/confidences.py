"""What an export says of a network's confidences, and of how it compares with its rivals."""

from typing import Any

from raynas.reporting.answers import recorded_answers
from raynas.reporting.calibration_error import BINS
from raynas.reporting.rivals import verdict
from raynas.storage.outcome_rows import name_of_row, networks_of
from raynas.storage.run_store import RunStore

Row = dict[str, Any]


def confidences_of(store: RunStore, outcome: Row) -> Row:
    """Return the temperature of a network, its calibration error, and how rivals compare.

    Args:
        store: The run folder.
        outcome: Of the network, which may be a rival.

    Returns:
        temperature (None: logits stay as they are); calibration on the test images: images, bins,
        error and scaled_error, in [0, 1] (None where its answers are not recorded); and the
        verdict on it and its rivals (``verdict_of``).
    """
    answers = recorded_answers(store, outcome)
    calibration = None
    if answers is not None:
        scaled = answers.scaled_reliability
        calibration = {
            "images": len(answers.label),
            "bins": BINS,
            "error": answers.reliability.error,
            "scaled_error": None if scaled is None else scaled.error,
        }
    return {
        "temperature": outcome.get("temperature"),
        "calibration": calibration,
        "verdict": verdict_of(store, outcome),
    }


def verdict_of(store: RunStore, outcome: Row) -> str | None:
    """Return who is ahead, the run's best network or a rival, for the cards of these two.

    Args:
        store: The run folder.
        outcome: Of the network whose card it is.
    """
    found = verdict(store)
    if found is None:
        return None
    best = networks_of(store.rows("outcomes"))[0]
    of_both = {name_of_row(best), name_of_row(found.rival)}
    return found.paragraph if name_of_row(outcome) in of_both else None
