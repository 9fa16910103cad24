"""The recipes of analysis/README.md: each runs as it stands and prints what it promises."""

import json
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest

from raynas.settings.methods import load_method
from tests.analysis.gate_runs import METHODS, invented_epochs, write_search
from tests.analysis.invented import SMALL, InventedRun
from tests.builders import ROOT

TEXT = (ROOT / "analysis" / "README.md").read_text()
RECIPES = re.findall(r"([^\n]+):\n\n```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs."""
    folder = tmp_path_factory.mktemp("recipes")
    for seed, name in enumerate(("first", "second")):
        run = InventedRun(folder / "runs" / name, seed, SMALL).finish()
        write_search(run.store, seed, invented_epochs(load_method("prdarts", METHODS), seed, 3))
        (row,) = run.store.rows("runs")
        spent = {"pretrain": {"seconds": 60.5, "gpu_hours": 0.0}, "disk_bytes": 1000}
        run.store.append(
            "runs", [row | {"spent": json.dumps(spent)}], part=run.store.parts("runs")[0]
        )
    return folder


@pytest.mark.parametrize("name", [title for title, _ in RECIPES])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_recipe_prints_rows(
    name: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    script = tmp_path / "recipe.py"
    script.write_text(dict(RECIPES)[name])
    found = runpy.run_path(str(script))
    printed = capsys.readouterr().out

    assert len(printed.splitlines()) >= 1
    assert "Empty DataFrame" not in printed
    frames = [each for each in found.values() if isinstance(each, pd.DataFrame)]
    assert all(len(frame) for frame in frames)


def test_there_are_as_many_recipes_as_python_blocks() -> None:
    assert len(RECIPES) == TEXT.count("```python") == len(dict(RECIPES)) >= 11


def test_the_best_under_a_limit_keeps_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    outcomes = pd.read_parquet("runs/first/tables/outcomes")
    limit = outcomes.macs.sort_values().iloc[0] + 1
    recipe = dict(RECIPES)["The most accurate network under a limit"].replace("400e6", str(limit))
    script = folder / "best.py"
    script.write_text(recipe)
    small = runpy.run_path(str(script))["small"]

    assert len(small) == 1
    assert small.macs.max() <= limit


def test_every_script_of_the_folder_is_in_the_table() -> None:
    scripts = {file.name for file in (ROOT / "analysis").glob("*.py")}
    assert set(re.findall(r"^\| `(\w+\.py)", TEXT, re.MULTILINE)) == scripts
