"""What all analysis scripts have in common, as a person meets them on the command line."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from analysis import (
    aggregate,
    curves,
    front,
    gates,
    history,
    indicators,
    isometry,
    ranking,
    report,
    summary,
    theorem,
)
from raynas.reporting import plot_style
from tests.analysis.invented import SMALL, InventedRun
from tests.macro import EVERY, build_table, build_truth, write_truth

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (
    aggregate,
    curves,
    front,
    gates,
    history,
    indicators,
    isometry,
    ranking,
    report,
    summary,
    theorem,
)
FIGURES = (curves, front, history, indicators)


def needs_of(script: ModuleType, folder: Path) -> list[str]:
    """Return the flags without which a script does nothing; they name files of a folder."""
    if script is ranking:
        return ["--truth", write_truth(folder, build_truth(EVERY[:20], build_table()))]
    return ["--out", str(folder / "all.parquet")] if script is aggregate else []


def name_of(script: ModuleType) -> str:
    return script.__name__.rpartition(".")[2]


@dataclass(frozen=True)
class Elsewhere:
    """What scripts did in another folder and process.

    Attributes:
        folder: The folder.
        printed: What each script printed, and its exit code.
        errors: What all of them wrote to the standard error.
        imported: Which of three large packages they had imported in the end.
    """

    folder: Path
    printed: dict[str, list[Any]]
    errors: str
    imported: list[str]


ELSEWHERE = """
import contextlib, importlib, io, json, runpy, sys
printed = {}
names, commands = json.loads(sys.argv[1])
for name in names:
    importlib.import_module(f"analysis.{name}")
for name, script, *flags in commands:
    output, sys.argv = io.StringIO(), [script, *flags]
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as left:
        printed[name] = [output.getvalue(), left.code]
print(json.dumps([printed, sorted({"torch", "ray", "pandas"} & set(sys.modules))]))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """Import every script in another folder and run three, as an installation lets one do it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    InventedRun(folder / "run-a", 0, SMALL).finish()
    commands = [
        ["front", str(front.__file__), "run-a"],
        ["summary", str(summary.__file__), "run-a"],
        ["aggregate", str(aggregate.__file__), "run-a", "--out", "all.parquet"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps([list(map(name_of, SCRIPTS)), commands])],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, imported = json.loads(done.stdout)
    return Elsewhere(folder, printed, done.stderr, imported)


def test_every_script_of_the_folder_is_tested_here() -> None:
    written = {path.stem for path in (ROOT / "analysis").glob("*.py")}

    assert written == {name_of(script) for script in SCRIPTS}


def test_a_figure_script_works_from_any_folder_and_prints_the_path_of_its_picture(
    elsewhere: Elsewhere,
) -> None:
    picture = elsewhere.folder / "run-a" / "figures" / "front.png"

    assert elsewhere.printed["front"] == [f"{picture}\n", 0]
    assert elsewhere.errors == ""
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("script", FIGURES, ids=name_of)
def test_a_figure_lies_beside_the_tables_and_its_path_is_printed(
    script: ModuleType,
    small_run: InventedRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(plot_style, "rendered", lambda *_: b"drawn")  # drawing again takes time
    assert script.main([small_run.store.uri]) == 0

    path = small_run.store.locate(f"figures/{name_of(script)}.png")
    assert capsys.readouterr().out == f"{path}\n"
    assert Path(path).read_bytes() == b"drawn"


def test_summary_and_aggregate_work_from_any_folder(elsewhere: Elsewhere) -> None:
    summarised, code = elsewhere.printed["summary"]

    assert "fair_isometry, seed 0" in summarised
    assert code == 0
    assert elsewhere.printed["aggregate"] == [
        f"4 rows of outcomes from 1 run: {elsewhere.folder / 'all.parquet'}\n",
        0,
    ]
    assert elsewhere.errors == ""


def test_no_script_imports_torch_or_ray(elsewhere: Elsewhere) -> None:
    assert elsewhere.imported == ["pandas"]


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_missing_run_folder_is_one_sentence_and_exit_code_2_of_the_script(
    script: ModuleType,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    more = needs_of(script, tmp_path_factory.mktemp("files"))
    monkeypatch.setattr(sys, "argv", [str(script.__file__), "nowhere", *more])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script.__file__), run_name="__main__")

    wanted = "error: run folder nowhere: no run there (no tables/runs); check the path\n"
    printed = capsys.readouterr()
    assert (left.value.code, printed.out, printed.err) == (2, "", wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [*FIGURES, gates, isometry, aggregate, ranking], ids=name_of)
def test_a_run_without_the_rows_that_are_needed_is_one_sentence_and_exit_code_2(
    script: ModuleType, young_run: InventedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = needs_of(script, tmp_path)

    assert script.main([young_run.store.uri, *more]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert "yet" in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "all.parquet").exists()
    assert not young_run.store.list_files("figures")


@pytest.mark.parametrize(
    "script", [history, front, gates, isometry, aggregate, ranking], ids=name_of
)
def test_a_script_for_several_runs_refuses_none(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(needs_of(script, tmp_path)) == 2
    assert capsys.readouterr().err.startswith("error: run folders: got none, wanted at least one")


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_help_says_what_a_script_does_and_in_which_units(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        script.main(["--help"])

    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert str(script.__doc__).splitlines()[0] in text
    assert any(word in text for word in ("unit", "percentages", "nats"))


@pytest.mark.parametrize("script", [history, front], ids=name_of)
def test_several_runs_are_drawn_into_the_first_ones_folder(
    script: ModuleType, invent: Callable[..., InventedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_style, "rendered", lambda *_: b"drawn")
    first, second = invent("run-a").finish(), invent("run-b", seed=1).finish()

    assert script.main([first.store.uri, second.store.uri, "--format", "svg"]) == 0
    assert first.store.list_files("figures") == [f"{name_of(script)}.svg"]
    assert second.store.list_files("figures") == []
