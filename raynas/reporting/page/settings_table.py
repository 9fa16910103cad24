"""The settings of a run beside those of its method and recipe, and the command for them."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas.errors import UserError
from raynas.reporting.page.parts import Cell, Column, Table
from raynas.reporting.page.run_snapshot import RunSnapshot
from raynas.settings.deciding import flat
from raynas.settings.methods import load_method
from raynas.settings.recipes import load_recipe, recipes_beside
from raynas.settings.settings import Settings
from raynas.terminal.cli import words_for


@dataclass(frozen=True)
class SettingsPart:
    """What the page says of settings.

    Attributes:
        sentence: How many differ, and from what.
        changed: Those that differ.
        others: Those that do not.
        command: Gives them again; continues the run where its folder is the same.
    """

    sentence: str
    changed: Table
    others: Table
    command: str


def settings_part(snapshot: RunSnapshot) -> SettingsPart:
    """Return the settings of a run, those first that differ from its method's and recipe's."""
    now = flat(json.loads(snapshot.run["settings"] or "{}"))  # also what is no setting any more
    method, recipe = str(now.get("method") or snapshot.run["method"]), now.get("recipe")
    usual, whose = _usual(method, recipe, snapshot.methods)
    named = {"method", "recipe"}
    changed = [name for name in now if name not in named and now[name] != usual.get(name)]
    columns = [Column("Setting", is_text=True), Column("This run", is_text=True)]
    asked = {**now, **snapshot.plan.asked}
    rows = {
        name: [
            Cell(name),
            Cell(_shown(now[name]) + _asked_words(now[name], asked[name])),
            Cell(_shown(usual.get(name))),
        ]
        for name in sorted(now)
    }
    given = [name for name in asked if name not in named and asked[name] != usual.get(name)]
    count = f"{len(changed)} settings differ" if len(changed) != 1 else "One setting differs"
    return SettingsPart(
        f"{count} from the defaults of {whose}." if changed else f"All are defaults of {whose}.",
        Table(
            "Settings that differ from the defaults",
            [*columns, Column("Default", is_text=True)],
            [rows[name] for name in sorted(changed)],
        ),
        Table(
            "Settings that are defaults",
            columns,
            [row[:2] for name, row in rows.items() if name not in changed],
        ),
        command(snapshot, {name: asked[name] for name in sorted(given)}),
    )


def command(snapshot: RunSnapshot, changed: dict[str, Any]) -> str:
    """Return the command line that gives these settings to the same run folder."""
    words = ["python", "launch/search.py"]
    settings = snapshot.settings
    begins = settings.start is not None  # then those that are not said are others
    if begins or settings.method != Settings().method:
        words += ["--method", str(settings.method)]
    if begins or settings.recipe is not None:
        words += ["--recipe", str(settings.recipe)]
    known = flat(json.loads(Settings().to_json()))
    for name, value in changed.items():
        if name in known:  # an older run may have had settings that are gone
            words += words_for(Settings, name, value)
    return shlex.join([*words, "--run", snapshot.store.uri])


def _usual(method: str, recipe: str | None, folder: Path) -> tuple[dict[str, Any], str]:
    """Return the defaults of a method with a recipe, or raynas' where a file is not at hand."""
    try:
        settings, whose = load_method(method, folder), f"the method {method}"
    except (UserError, OSError):
        settings, whose = Settings(), "raynas, since the file of its method is not here"
    if recipe is None:
        return flat(json.loads(settings.to_json())), whose
    try:
        settings = load_recipe(recipe, recipes_beside(folder), settings)
        whose += f", with the recipe {recipe}"
    except (UserError, OSError):
        whose += f", without the recipe {recipe}, whose file is not here"
    return flat(json.loads(settings.to_json())), whose


def _asked_words(now: object, asked: object) -> str:
    """Return what was asked for where a setting was worked out from the images or a budget."""
    return "" if now == asked else f" (worked out; {_shown(asked)} asked for)"


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
