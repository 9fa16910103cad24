"""What tests of other projects' interfaces share: what is accepted, what was tried, what is there.

A test that fails here names an interface that the installed version does not have as raynas uses
it. Look at what took its place, mend the module that the test is about, and add the version to its
``TRIED_WITH``.
"""

import inspect
import pkgutil
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from packaging.requirements import Requirement

from tests.builders import ROOT


def accepted(package: str) -> Requirement:
    """Return what raynas asks of the version of one of its dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = map(Requirement, project["dependencies"])
    return next(each for each in asked if each.name == package)


def is_oldest(tried: str, package: str) -> bool:
    """Return whether a version that was tried is of the oldest release that raynas accepts."""
    (bound,) = accepted(package).specifier
    return bound.operator == ">=" and f"{tried}.".startswith(f"{bound.version}.")


def found(interface: str) -> Any:
    """Return what a dotted name leads to, or fail with a sentence that names it."""
    try:
        return pkgutil.resolve_name(interface)
    except (ImportError, AttributeError) as error:
        raise AssertionError(f"{interface} is gone: {error}") from error


def missing_parameters(interface: str, wanted: Sequence[str]) -> list[str]:
    """Return which of some parameters a function or class does not take by name."""
    taken = inspect.signature(found(interface)).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return [] if takes_any else [name for name in wanted if name not in taken]


def changed(interface: str, package: str, tried: Sequence[str]) -> str:
    """Return what to say of an interface that is not what it was."""
    return f"{interface} changed in {package} {version(package)}; tried with {', '.join(tried)}"
