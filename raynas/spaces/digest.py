"""What a run records of its space: enough to tell later whether its file still says the same."""

import ast
import dataclasses
import functools
import hashlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raynas.errors import UserError
from raynas.spaces.protocol import Space

ADDED_LATER = {"added_later": True}
"""Metadata of a field that an operation got after spaces with it were recorded.

Where it has its default the operation is what it was, and so is the digest of its space.
"""
_NAMES = {"name", "genotypes", "published"}
_FREE = {"resolution", "in_channels", "num_classes"} | _NAMES  # of no network
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_STANDARD = Path(sysconfig.get_path("stdlib"))
_INSTALLED = {"site-packages", "dist-packages"}


def space_digest(space: Space) -> str:
    """Return twelve letters that differ where stem, blocks, operations or head do.

    Operations of a person's own count by the code of their file, but for comments and docstrings.
    The letters are the same in every process and with every Python.

    Args:
        space: As its file has it, without the identity that a method may add.
    """
    assert dataclasses.is_dataclass(space)
    parts = {item.name: getattr(space, item.name) for item in dataclasses.fields(space)}
    parts = {name: value for name, value in parts.items() if name not in _FREE}
    modules = {_module_of(each) for each in _values(tuple(parts.values()))}
    code = [_code(name) for name in sorted(modules) if _is_own(name)]
    text = repr([(name, _plain(value)) for name, value in parts.items()] + code)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refuse_other_space(before: str | None, space: Space, where: str) -> None:
    """Refuse a space that is not the one that a run has recorded, if it has.

    Args:
        before: The digest that the run has recorded; None: it has none.
        space: As its file has it now.
        where: Whose space it was, as the error starts.

    Raises:
        UserError: Its blocks or operations are others.
    """
    now = space_digest(space)
    if before not in {None, now}:
        raise UserError(
            f"{where}: the blocks or operations of its space {space.name} were others (digest "
            f"{before}, now {now}); bring the space's file back as it was"
        )


def _values(value: Any) -> Iterator[Any]:
    """Yield a value and all that it holds."""
    yield value
    for each in _held(value).values():
        yield from _values(each)


def _held(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - a kind of value each
    """Return what a value holds by name or place; simple ones hold nothing."""
    if type(value) in {tuple, list}:
        return {str(place): each for place, each in enumerate(value)}
    if isinstance(value, frozenset | set):
        return {str(place): each for place, each in enumerate(sorted(value, key=repr))}
    if isinstance(value, dict):
        return {repr(key): each for key, each in value.items()}
    if isinstance(value, functools.partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if isinstance(value, type) or hasattr(value, "__qualname__"):  # a class, a function
        return {}
    if dataclasses.is_dataclass(value):
        held = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        later = [item for item in dataclasses.fields(value) if "added_later" in item.metadata]
        usual = {item.name for item in later if held[item.name] == item.default}
        return {name: each for name, each in held.items() if name not in usual}
    if isinstance(value, tuple):  # with names
        return dict(value._asdict()) if hasattr(value, "_asdict") else {"items": tuple(value)}
    return dict(vars(value)) if hasattr(value, "__dict__") else {}


def _plain(value: Any) -> Any:
    """Return a value as its kind and what it holds, or as a text without an address in memory."""
    if hasattr(value, "__qualname__"):
        module = _module_of(value)
        return value.__qualname__ if _is_own(module) else f"{module}.{value.__qualname__}"
    held = {name: _plain(each) for name, each in _held(value).items()}
    is_simple = isinstance(value, str | int | float | None) or not hasattr(value, "__dict__")
    text = _ADDRESS.sub("", repr(value)) if is_simple and not held else ""
    return type(value).__qualname__, text, held


def _module_of(value: Any) -> str:
    """Return the module that defines a class or function, or the class of a value."""
    owner = value if hasattr(value, "__qualname__") else type(value)
    return str(owner.__module__)


def _is_own(module: str) -> bool:
    """Return whether a module is a person's own: not raynas', and not installed."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module.startswith("raynas."):
        return False
    place = Path(file)
    return not place.is_relative_to(_STANDARD) and _INSTALLED.isdisjoint(place.parts)


def _code(module: str) -> Any:
    """Return the code of a module without comments and docstrings."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # compiled
        return module
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _shape(tree)


def _shape(node: Any) -> Any:
    """Return a tree of code as lists; what is empty is left out, since Pythons differ in it."""
    if isinstance(node, list):
        return [_shape(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [(name, part) for name, part in ast.iter_fields(node) if part not in (None, [])]
    return type(node).__name__, [(name, _shape(part)) for name, part in parts]
