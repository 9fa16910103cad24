"""What a row of the table ``outcomes`` is of: a network, and the images that it was trained on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

TrainedOn = Literal["train", "all"]
"""The training part, or that and the images on which choices were made."""
Row = Mapping[str, Any]


def is_on_all(row: Row) -> bool:
    """Return whether a row of ``outcomes`` or ``trials`` is of a training on all images.

    Runs of a raynas that had no such trainings have no value there.
    """
    return bool(row.get("trained_on") == "all")


def training_name(architecture: str, trained_on: TrainedOn = "train") -> str:
    """Return what tells a training from all others of a run, as part of the names of files."""
    return architecture if trained_on == "train" else f"{architecture}-{trained_on}"


def rival_file(name: str) -> str:
    """Return a rival's name as part of the names of files."""
    return f"rival-{name.replace('/', '-')}"


def name_of_row(row: Row) -> str:
    """Return the name of the training that a row of ``outcomes`` or ``rivals`` is of."""
    text = rival_file(str(row["rival"])) if "rival" in row else row["architecture"]
    return training_name(text, "all" if is_on_all(row) else "train")


def networks_of(outcomes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an outcome for each network that was trained to its end, the best first.

    A network that was trained on all images has that outcome.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in in_order(outcomes):
        if row["status"] == "finished":
            found.setdefault(row["architecture"], row)
    return list(found.values())


def in_order(outcomes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outcomes by rank; of a network first what was trained to its end on all images."""
    return sorted(outcomes, key=lambda row: (row["rank"] is None, row["rank"], _place(row)))


def _place(row: Row) -> int:
    if is_on_all(row):
        return 0 if row["status"] == "finished" else 2
    return 1


def known_accuracy(network: Row, outcomes: Sequence[Row]) -> float | None:
    """Return the validation accuracy by which a network is ranked, that of its first training.

    Args:
        network: Any of its outcomes.
        outcomes: Those of the run.
    """
    found = (
        row["val_accuracy"]
        for row in (network, *outcomes)
        if row["architecture"] == network["architecture"] and row["val_accuracy"] is not None
    )
    return next(found, None)
