"""Settings by the names that they had in earlier versions, read as what they meant."""

from collections.abc import Mapping, Sequence
from typing import Any

_AUGMENT: Mapping[str, Mapping[str, str]] = {
    "auto": {"crop": "auto", "mirror": "auto"},
    "none": {"crop": "centre", "mirror": "no"},
    "crop": {"crop": "shift", "mirror": "no"},
    "crop_flip": {"crop": "shift", "mirror": "yes"},
}
"""Values of ``images.augment``."""


_TRAININGS: Mapping[str, str] = {"check": "trainings", "check-epochs": "training-epochs"}
"""Names of the self-check, which trained networks without learning from them."""


def tree_of_today(tree: dict[str, Any]) -> dict[str, Any]:
    """Return settings of a record or a file, by stage, with the names that they have now."""
    tree = {name: dict(each) if isinstance(each, dict) else each for name, each in tree.items()}
    search, images = (tree[name] if _is_table(tree, name) else {} for name in ("search", "images"))
    if search.get("selection") == "pareto" and search.get("objectives", "score") == "score":
        search["objectives"] = "score,macs,params"
    search.pop("selection", None)
    for old, new in _TRAININGS.items():
        for before, now in ((old, new), (old.replace("-", "_"), new.replace("-", "_"))):
            if before in tree:
                tree.setdefault(now, tree.pop(before))
    if images.get("augment") in _AUGMENT:
        images |= _AUGMENT[images.pop("augment")]
    return tree


def _is_table(tree: Mapping[str, Any], name: str) -> bool:
    return isinstance(tree.get(name), dict)


def words_of_today(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the flags of today."""
    found: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("_", "-")
        if flag.startswith("--") and name in _TRAININGS:
            word = f"--{_TRAININGS[name]}{equals}{value}"
        if word == "--images.augment" and waiting:
            word = f"{word}={waiting.pop(0)}"
        meant = _AUGMENT.get(word.removeprefix("--images.augment="))
        if meant is None or not word.startswith("--images.augment="):
            found.append(word)
        else:
            found += [f"--images.{name}={value}" for name, value in meant.items()]
    return found


def named_before(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by the names of their flags, those that an older one could say by its name.

    The digest of a run's settings is made of it, so that unnamed run folders keep their names.

    Args:
        named: Settings by the names of today.
    """
    new_to_old = {new: old for old, new in _TRAININGS.items()}
    named = {new_to_old.get(name, name): value for name, value in named.items()}
    crop, mirror = named["images.crop"], named["images.mirror"]
    for old, meant in _AUGMENT.items():
        if meant == {"crop": crop, "mirror": mirror}:
            others = {k: v for k, v in named.items() if k not in {"images.crop", "images.mirror"}}
            return others | {"images.augment": old}
    return dict(named)
