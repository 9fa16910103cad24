"""Which part of a data set a name says it is of, and what a person says outright."""

import posixpath
import re
from collections.abc import Container, Mapping
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
_BESIDE = frozenset(
    "data for flag image images in is of only or part private public set split the".split()  # noqa: SIM905
)  # words that change nothing of what a name says
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
    found = parts_named(name)
    return next(iter(found)) if len(found) == 1 else None


def parts_named(name: str) -> frozenset[PartName]:
    """Return all parts whose words a name holds, such as train and test of train_test_split."""
    words = (_ENDING.sub("", word) for word in words_of(name))
    return frozenset(_WORDS[word] for word in words if word in _WORDS)


def says_parts_only(name: str) -> bool:
    """Return whether a name holds a part's word, and no word of anything but parts.

    ``is_test``, ``PublicTest`` and ``train2017`` do; ``test_score`` and ``freight train`` do not.
    """
    words = {_ENDING.sub("", word) for word in words_of(name)} - _BESIDE
    return bool(words) and words <= _WORDS.keys()


def is_part_word(name: str) -> bool:
    """Return whether a name is such a word and nothing else."""
    return name.lower() in _WORDS


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
        name, _, path = (word.strip() for word in pair.partition("="))
        part = _WORDS.get(name.lower())
        place = posixpath.normpath(path.strip("/"))
        if part is None or not path or said.get(place, part) != part:
            raise UserError(
                f"--images.parts {text}: got {pair.strip()!r}, wanted train=, val= or test= and a "
                "path in --data, each path once, such as train=training_set,test=test_set; or "
                "none, if no name says a part"
            )
        said[place] = part
    return said


def place_said(file: str, said: Container[str]) -> str | None:
    """Return the longest path that is a file or holds it; ``.`` holds all."""
    pieces = file.split("/")
    paths = ("/".join(pieces[:count]) or "." for count in range(len(pieces), -1, -1))
    return next((path for path in paths if path in said), None)


def part_said(file: str, said: Mapping[str, PartName]) -> PartName | None:
    """Return the part of a file by the longest path that is it or holds it."""
    place = place_said(file, said)
    return None if place is None else said[place]
