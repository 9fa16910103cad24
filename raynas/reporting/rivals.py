"""How the networks beside the winners have done: who is ahead, by how much, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raynas.costs.costs import Cost, Limits, show_quantity
from raynas.costs.within_limits import times_the_limit
from raynas.reporting.answers import compare
from raynas.reporting.confidence import wilson
from raynas.reporting.paired import Paired
from raynas.settings.settings import Settings
from raynas.storage.outcome_rows import known_accuracy, networks_of
from raynas.storage.rival_names import NARROW, NEW_WEIGHTS, RANDOM, SCALED, START, shown_rival
from raynas.storage.run_store import RunStore

Row = Mapping[str, Any]
_WORDS = {RANDOM, START}  # names of rivals that are words, and begin a sentence like others
_PARTS = {"val_accuracy": "validation", "test_accuracy": "test"}
_OWN = "the best network of the run"


@dataclass(frozen=True)
class Verdict:
    """Who is ahead, the search's best network or one that people would take instead.

    Attributes:
        rival: The row of the best rival.
        rival_wins: Whether it is more accurate than the search's best network.
        text: That in a sentence.
        paired: The search's best network compared with it on the same test images; None where it
            is not recorded what they answered.
        details: Further sentences: that comparison, and what both cost.
    """

    rival: dict[str, Any]
    rival_wins: bool
    text: str
    paired: Paired | None
    details: tuple[str, ...]

    @property
    def paragraph(self) -> str:
        """All of it, as sentences."""
        return " ".join(as_sentence(line, [self.rival]) for line in (self.text, *self.details))


def verdict(store: RunStore) -> Verdict | None:
    """Return who is ahead in a run; None where either side has trained nothing to its end.

    Validation images decide where both sides have accuracies on them; a network that was trained
    on them, too, is compared on the test. Only rivals within the limits count.
    """
    ended = rivals_within_limits(store)
    outcomes = store.rows("outcomes")
    networks = networks_of(outcomes)
    if not ended or not networks:
        return None
    best = networks[0]
    own = {
        "val_accuracy": known_accuracy(best, outcomes),
        "test_accuracy": best["test_accuracy"],
    }
    usual = own["val_accuracy"] is not None and ended[0]["val_accuracy"] is not None
    column = "val_accuracy" if usual else "test_accuracy"
    rival, number = ended[0], own[column]
    if number is None or rival[column] is None:
        return None
    wins = rival[column] > number
    paired = compare(store, best, rival)
    pair = _OWN, rival_words(rival)
    details = (*([paired_words(paired, *pair)] if paired else []), _cost_words(best, rival))
    text = _sentence(best, rival, column, number, len(ended), wins)
    return Verdict(rival, wins, text, paired, details)


def _sentence(  # noqa: PLR0913 - what it says
    best: Row, rival: Row, column: str, own: float, rivals: int, wins: bool
) -> str:
    on = f"on {_PARTS[column]} images"
    name = rival_words(rival)
    pair = (rival, best) if wins else (best, rival)
    tests = "on the test {} against {}".format(*map(_test_words, pair))
    if wins:
        return (
            f"{name}, which nobody had to search for, is more accurate {on} than the best network "
            f"of the run: {rival[column]:.4f} against {own:.4f} ({tests})"
        )
    others = f"the {rivals} rivals" if rivals > 1 else "its rival"
    return (
        f"the best network of the run is no less accurate {on} than {others}: {own:.4f} "
        f"against {rival[column]:.4f} of {name} ({tests})"
    )


def paired_words(paired: Paired, first: str, second: str) -> str:
    """Return how a network compares with another one on the same test images.

    Args:
        paired: The comparison.
        first: What it is called.
        second: What the other one is called.
    """
    points, low, high = (100 * each for each in (paired.difference, paired.low, paired.high))
    told = "tells" if paired.is_settled else "does not tell"
    p_value = f"p = {paired.p_value:.2g}"
    return (
        f"on the same {paired.images:,} test images the accuracy of {first} less that of {second} "
        f"is {points:+.2f} points [{low:+.2f}, {high:+.2f}] (paired 95 % interval, bootstrap over "
        f"images; exact McNemar test: {p_value}), and the interval {told} the two apart"
    )


def _cost_words(best: Row, rival: Row) -> str:
    """Return what an image costs both networks; times where both are known."""
    networks = (_OWN, best), (rival_words(rival), rival)
    known = (each for each in ("measured_ms", "latency_ms") if best[each] and rival[each])
    time = next(known, None)
    costs = [
        f"{name} takes {show_quantity(row['macs'])} MACs"
        + (f" and {row[time]:.3g} ms" if time else "")
        for name, row in networks
    ]
    return f"for an image {' and '.join(costs)}"


def as_sentence(line: str, rivals: Sequence[Row]) -> str:
    """Return a printed line as a sentence; the name of a network keeps its spelling.

    Args:
        line: As it is printed, without a full stop.
        rivals: Whose names it may begin with.
    """
    names = {str(row[column]) for row in rivals for column in ("rival", "network")} - _WORDS
    is_name = line.startswith(tuple(names))
    return f"{line}." if is_name else f"{line[:1].upper()}{line[1:]}."


def rival_words(rival: Row) -> str:
    """Return which network a rival is: one of the space by its origin, not its indices."""
    name, network = rival["rival"], str(rival["network"])
    if name == RANDOM:
        return "a random network of the space"
    size = shown_rival(name, network).partition("@")[2]
    words = {
        START: "the start itself",
        SCALED: f"the start on images of {size} pixels",
        NARROW: f"the start with its widths inside times {size}",
    }
    return words.get(name, network)


def beyond_lines(store: RunStore) -> list[str]:
    """Return a sentence for each rival that was trained though it exceeds the limits."""
    limits = _limits(store)
    found = ((row, _beyond(row, limits)) for row in _finished(store))
    return [
        f"{rival_words(row)}, with {show_quantity(row['macs'])} MACs ({beyond}), has "
        f"{_part_words(row)}; it is beyond the limits, so it is not compared above"
        for row, beyond in found
        if beyond
    ]


def rivals_within_limits(store: RunStore) -> list[dict[str, Any]]:
    """Return the rivals of a run that were trained to their end and count, the best first."""
    limits = _limits(store)
    return [row for row in _finished(store) if not _beyond(row, limits)]


def _finished(store: RunStore) -> list[dict[str, Any]]:
    return [row for row in store.rows("rivals") if row["status"] == "finished"]


def _limits(store: RunStore) -> Limits:
    """Return what the networks of a run may cost."""
    runs = store.rows("runs")
    return Settings.from_json(runs[0]["settings"] if runs else None).limits


def _beyond(row: Row, limits: Limits) -> str:
    """Return by how much a rival exceeds the limits, in words; empty: it keeps them."""
    latency = row["latency_ms"]
    nanoseconds = None if latency is None else round(latency * 1e6)
    return times_the_limit(Cost(row["macs"], row["params"], nanoseconds), limits)


def _part_words(row: Row) -> str:
    """Return what is known of a rival's accuracy."""
    val = row["val_accuracy"]
    on_val = [] if val is None else [f"accuracy {val:.4f} on validation images"]
    return " and ".join([*on_val, f"{_test_words(row)} on the test"])


def _test_words(row: Row) -> str:
    accuracy, images = row["test_accuracy"], row["test_images"]
    if accuracy is None or not images:
        return "unknown"
    low, high = wilson(accuracy, images)
    return f"{accuracy:.4f} [{low:.3f}, {high:.3f}]"


def tell_beginnings(rows: Sequence[Row]) -> bool:
    """Return whether tables tell which weights rivals began from: where some began trained."""
    return any(row["begun_from"] not in {None, NEW_WEIGHTS} for row in rows)


def trained(rows: Sequence[Row]) -> list[Row]:
    """Return the rivals that were trained, or were tried to be."""
    return [row for row in rows if row["status"] != "left out"]
