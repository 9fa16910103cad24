"""Which part of a data set a name says it is of, and what a person says outright."""

import re
from collections.abc import Mapping
from typing import Literal

from raynas.errors import UserError

PartName = Literal["train", "val", "test"]

_WORDS: dict[str, PartName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS = re.compile(r"[^\W\d_]+")
_ENDING = re.compile(r"(?<=.)(set|data|images?)$")  # trainset, testdata, valimages


def words_of(name: str) -> list[str]:
    """Return the words of a name, split at case and at all that is no letter, in lower case."""
    return [word.lower() for word in _LETTERS.findall(_CASE.sub(" ", name))]


def part_named(name: str) -> PartName | None:
    """Return the part whose word a name holds; None for no such word, or words of two parts.

    ``train2017``, ``seg_train``, ``TestSet`` and ``split=test`` say it; ``valve``, ``device``,
    ``contest`` and ``train_test_split`` do not.
    """
    found = {_WORDS.get(_ENDING.sub("", word)) for word in words_of(name)} - {None}
    return found.pop() if len(found) == 1 else None


def parts_said(text: str | None) -> dict[str, PartName] | None:
    """Return the part of each path in ``train=training_set,test=test_set``; none: of no path.

    Args:
        text: As ``--images.parts`` takes it. A part may be given several times.

    Returns:
        None where nothing is said, and names decide.

    Raises:
        UserError: It is no such list, or says two things of one path.
    """
    if text is None:
        return None
    said: dict[str, PartName] = {}
    for pair in text.split(",") if text != "none" else ():
        name, equals, path = (word.strip() for word in pair.partition("="))
        path = path.strip("/")
        part = _WORDS.get(name.lower())
        if part is None or not equals or not path or said.get(path, part) != part:
            raise UserError(
                f"--images.parts {text}: got {pair.strip()!r}, wanted train=, val= or test= and a "
                "path below --data, each path once, such as train=training_set,test=test_set; or "
                "none, if no name says a part"
            )
        said[path] = part
    return said


def part_said(file: str, said: Mapping[str, PartName]) -> PartName | None:
    """Return the part of a file by the longest path that is it or holds it."""
    pieces = file.split("/")
    paths = ("/".join(pieces[:count]) for count in range(len(pieces), 0, -1))
    return next((said[path] for path in paths if path in said), None)
