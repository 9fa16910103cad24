"""The labels of several Parquet files as indices into one list of classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from raynas.errors import UserError


@dataclass(frozen=True)
class Labels:
    """The labels of one file.

    Attributes:
        file: For messages.
        values: All integers, or all texts; None where there is none.
        names: What integers stand for; empty where nothing says it.
    """

    file: str
    values: Sequence[Any]
    names: tuple[str, ...]

    @property
    def are_texts(self) -> bool:
        """Whether they name classes themselves."""
        return isinstance(self.values[0], str)

    @property
    def of_integers(self) -> tuple[str, ...]:
        """What integers among them stand for."""
        return () if self.are_texts else self.names


def numbered(data: str, labels: Sequence[Labels]) -> tuple[list[int], tuple[str, ...]]:
    """Return the labels of all files in their order as indices, and the names of the classes.

    Integers are ids: without names there are as many classes as ids. Where files name classes
    differently, a name is what stays the same.

    Raises:
        UserError: A row without a class, or files that say in different ways what classes are.
    """
    labels = [each for each in labels if each.values]
    for each in labels:
        _refuse_unknown(data, each)
    ways = {(each.are_texts, each.of_integers) for each in labels}
    if len(ways) == 1 and not labels[0].are_texts:
        return _by_id(labels)
    return _by_name(data, labels)


def _by_id(labels: Sequence[Labels]) -> tuple[list[int], tuple[str, ...]]:
    values = list(chain.from_iterable(each.values for each in labels))
    if labels[0].names:
        return values, labels[0].names
    ids = sorted(set(values))
    return _indices(values, ids), tuple(map(str, ids))


def _by_name(data: str, labels: Sequence[Labels]) -> tuple[list[int], tuple[str, ...]]:
    """Return the same where names tell classes: those of the metadata first, in their order."""
    for each in labels:
        _refuse_unnamed(data, each, labels)
    known = dict.fromkeys(chain.from_iterable(each.of_integers for each in labels))
    values = list(
        chain.from_iterable(
            each.values if each.are_texts else (each.names[value] for value in each.values)
            for each in labels
        )
    )
    classes = [*known, *sorted(set(values).difference(known))]
    return _indices(values, classes), tuple(classes)


def _indices(values: Sequence[Any], classes: Sequence[Any]) -> list[int]:
    index = {each: number for number, each in enumerate(classes)}
    return [index[value] for value in values]


def _refuse_unknown(data: str, labels: Labels) -> None:
    """Refuse labels that say no class."""
    found = set(labels.values)
    for empty in found.intersection({None, ""}):
        raise UserError(
            f"data {data}: {_place(labels, empty)} has an empty label; wanted an integer or a text "
            "for every image, so leave such rows out"
        )
    if labels.are_texts:
        return
    least, most = min(found), max(found)
    if least < 0:
        raise UserError(
            f"data {data}: {_place(labels, least)} has label {least}, which mostly says that the "
            "class is not known; wanted ids from 0 on, so leave such rows out, or such files by "
            "naming the others in --images.parts"
        )
    if labels.names and most >= len(labels.names):
        raise UserError(
            f"data {data}: {_place(labels, most)} has label {most}; wanted 0 to "
            f"{len(labels.names) - 1}, since its metadata name {len(labels.names)} classes, so "
            "mend either"
        )


def _place(labels: Labels, value: object) -> str:
    return f"{labels.file} row {labels.values.index(value)}"


def _refuse_unnamed(data: str, labels: Labels, others: Sequence[Labels]) -> None:
    """Refuse integers of which no name is known, and names that stand for two of them."""
    if not labels.are_texts and not labels.names:
        named = next(each.file for each in others if each.are_texts or each.names)
        raise UserError(
            f"data {data}: {named} names its classes and {labels.file} has integers without names; "
            "write all of them in one way"
        )
    for name, count in Counter(labels.of_integers).items():
        if count > 1:
            raise UserError(
                f"data {data}: {labels.file} calls {count} classes {name}, and other files list "
                "other names, wanted names that tell classes apart; write all files in one way"
            )
