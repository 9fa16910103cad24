"""Spaces by name or path: those that raynas ships, and a person's own file."""

import difflib
import importlib.util
import sys
from pathlib import Path

from raynas.errors import UserError
from raynas.spaces.protocol import Space

SPACES = Path(__file__).parents[2] / "search_spaces"
"""The folder of the spaces that raynas ships."""


def space_module_name(name: str) -> str:
    """Return the name under which ``load_space`` imports the file of a space."""
    return f"raynas_space_{Path(name).stem}"


def names_in(folder: Path) -> list[str]:
    """Return the names of the spaces in a folder."""
    return sorted(file.stem for file in folder.glob("[!_]*.py"))


def load_space(name: str, folder: Path) -> Space:
    """Load ``SPACE`` from ``folder/name.py``, or from a path to a person's own Python file.

    Raises:
        UserError: No such file, or a file that defines no ``SPACE``.
    """
    path = Path(name) if name.endswith(".py") else folder / f"{name}.py"
    if not path.is_file():
        known = names_in(folder)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise UserError(f"space {name!r}: no such file as {path}; {hint}")
    module_name = space_module_name(name)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"space {name!r}: {path} is not a Python file that can be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    space = getattr(module, "SPACE", None)
    if not isinstance(space, Space):
        raise UserError(
            f"space {name!r}: {path} defines no SPACE = SearchSpace(...) or CellSpace(...); add one"
        )
    return space
