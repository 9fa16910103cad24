"""Names that tell runs apart: the method, and those of its settings in which the runs differ."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raynas.errors import UserError
from raynas.settings.deciding import flat
from raynas.settings.methods import load_method
from raynas.settings.settings import Settings
from raynas.storage.run_store import RunStore

_SEARCHED_BY = ("space", "data", "images.", "differentiable.")
_SEEDS = "differentiable.seeds"


def name_runs(stores: Sequence[RunStore], methods: Path) -> list[str]:
    """Return a name for each run, such as ``prdarts, path-weight 0``.

    What a run has as its method has it is not told. Seeds, and how networks are retrained, do not
    count: runs that differ in those alone have equal names.

    Args:
        stores: Runs of differentiable searches, several of which may have the same method.
        methods: The folder of the methods' TOML files.
    """
    runs = [store.rows("runs")[0] for store in stores]
    recorded = [Settings.from_json(run["settings"]) for run in runs]
    found = [
        (str(run["method"]), _search_settings(settings))
        for run, settings in zip(runs, recorded, strict=True)
    ]
    return [
        ", ".join(
            [
                method,
                *_differences(
                    settings,
                    _usual(method, methods),
                    [each for name, each in found if name == method],
                ),
            ]
        )
        for method, settings in found
    ]


def _search_settings(settings: Settings) -> dict[str, Any]:
    return {
        name: value
        for name, value in flat(json.loads(settings.to_json())).items()
        if name.startswith(_SEARCHED_BY) and name != _SEEDS
    }


def _usual(method: str, methods: Path) -> dict[str, Any]:
    """Return the settings of a method; none where its file is not at hand."""
    try:
        return _search_settings(load_method(method, methods))
    except (UserError, OSError):
        return {}


def _differences(
    settings: dict[str, Any], usual: dict[str, Any], alike: Sequence[dict[str, Any]]
) -> list[str]:
    """Return what a run has unlike its method, of that in which the runs of the method differ."""
    return [
        f"{name.rpartition('.')[2]} {_shown(value)}"
        for name, value in settings.items()
        if any(other.get(name) != value for other in alike) and usual.get(name) != value
    ]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
