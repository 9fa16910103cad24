"""What a run records of its space: enough to tell later whether its file still says the same."""

import ast
import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from raynas.any_space import Space
from raynas.errors import UserError

RECORDED = "space_digest"
"""Its name in ``runs.plan``; runs of an older raynas have none."""
_FREE = {"name", "resolution", "in_channels", "num_classes", "genotypes"}  # of no network
_ADDRESS: object = object.__repr__  # all that it tells is where a value lies
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def space_digest(space: Space) -> str:
    """Return twelve letters that differ where stem, blocks, operations or head do.

    Operations of a person's own count by the code of their file, but for comments and docstrings.
    """
    assert dataclasses.is_dataclass(space)
    parts = {item.name: getattr(space, item.name) for item in dataclasses.fields(space)}
    parts = {name: value for name, value in parts.items() if name not in _FREE}
    modules = {type(each).__module__ for each in _values(tuple(parts.values()))}
    code = [_code(name) for name in sorted(modules) if not name.startswith("raynas.")]
    text = repr([(name, _plain(value)) for name, value in parts.items()] + code)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refuse_other_space(recorded: Mapping[str, Any], space: Space, where: str) -> None:
    """Refuse a space that is not the one that a run has recorded, if it has.

    Args:
        recorded: The run's ``runs.plan``.
        space: As it is now, with identity where the run had it.
        where: Whose space it was, as the error starts.

    Raises:
        UserError: Its blocks or operations are others.
    """
    before, now = recorded.get(RECORDED), space_digest(space)
    if before not in {None, now}:
        raise UserError(
            f"{where}: the blocks or operations of its space {space.name} were others (digest "
            f"{before}, now {now}); bring the space's file back as it was"
        )


def _values(value: Any) -> Iterator[Any]:
    """Yield a value and all that it holds, as far as these are values of a class of their own."""
    if isinstance(value, tuple):
        for each in value:
            yield from _values(each)
    elif not isinstance(value, str | int | float | None):
        yield value
        if dataclasses.is_dataclass(value):
            for item in dataclasses.fields(value):
                yield from _values(getattr(value, item.name))


def _plain(value: Any) -> Any:
    """Return a value as text or a list of texts, which never tells where it lies in memory."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return type(value).__qualname__, [_plain(getattr(value, item.name)) for item in fields]
    return type(value).__qualname__ if type(value).__repr__ is _ADDRESS else repr(value)


def _code(module: str) -> str:
    """Return the code of a module without comments and docstrings."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # typed into a session, or compiled
        return module
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
