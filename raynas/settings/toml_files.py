"""Settings in TOML files, found by name, checked key by key and type by type."""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

from raynas.costs.budget import budget_text
from raynas.costs.costs import parse_duration, parse_quantity
from raynas.errors import UserError
from raynas.settings.older_names import tree_of_today
from raynas.settings.settings import Settings

_PARSERS = {
    **dict.fromkeys(("max_macs", "max_params", "min_macs", "min_params"), parse_quantity),
    "max_latency": parse_duration,
    "bins_from": parse_quantity,
    "bins_to": parse_quantity,
    "bin_width": parse_quantity,
    "budget": budget_text,
    "seen": parse_quantity,
}


def read_tree(what: str, name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings in ``folder/name.toml``, or in a TOML file by its path, and its path.

    Args:
        what: What such a file is, as errors start, such as method.
        name: Its name or path.
        folder: Where those with a name lie.

    Raises:
        UserError: No such file, or no valid TOML.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        known = names_in(folder)
        raise UserError(f"{what} {name!r}: no such file as {path}; {_nearest(name, known)}")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{what} {name!r}: {path} is no valid TOML: {error}") from error
    return tree_of_today(tree), str(path)


def names_in(folder: Path) -> list[str]:
    """Return the files in a folder and its folders by name, such as ``spos``, ``imagenet/spos``."""
    files = folder.rglob("*.toml")
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in files)


def with_tree(settings: Settings, tree: dict[str, Any], where: str) -> Settings:
    """Return settings with the values of a tree.

    Args:
        settings: What holds where the tree says nothing.
        tree: Values by name, tables in it by the names of the stages.
        where: The file, as errors start.

    Raises:
        UserError: A setting that does not exist, or is of another type.
    """
    changed: Settings = _replaced(settings, tree, where)
    return changed


def _replaced(settings: Any, tree: dict[str, Any], where: str) -> Any:
    """Return a dataclass with the tree's values, refusing names that it does not have."""
    known = {item.name: item for item in fields(settings)}
    values: dict[str, Any] = {}
    for key, value in tree.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UserError(f"{where}: no setting {key!r}; {_nearest(name, known)}")
        inner = getattr(settings, name)
        if name in _PARSERS and isinstance(value, str):
            value = _PARSERS[name](value)  # noqa: PLW2901 - "330M", as the flag takes it
        if is_dataclass(inner) != isinstance(value, dict):
            raise UserError(f"{where}: {key!r} is {'a' if is_dataclass(inner) else 'no'} table")
        nested = is_dataclass(inner)
        values[name] = _replaced(inner, value, f"{where} [{key}]") if nested else value
        if not nested and not _fits(value, known[name].type):
            raise UserError(
                f"{where}: {key} = {value!r} is not of type {_type_words(settings, name)}"
            )
    return dataclasses.replace(settings, **values)


def _fits(value: object, kind: object) -> bool:
    """Return whether a TOML value fits a field's type."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, type):
        return type(value) is kind  # True is no number
    arguments: tuple[object, ...] = getattr(kind, "__args__", ())
    if get_origin(kind) is Annotated:
        return _fits(value, arguments[0])
    if getattr(kind, "__origin__", None) is Literal:
        return (type(value), value) in [(type(argument), argument) for argument in arguments]
    return any(_fits(value, argument) for argument in arguments)


def _type_words(settings: Any, name: str) -> str:
    kind = get_type_hints(type(settings))[name]
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
