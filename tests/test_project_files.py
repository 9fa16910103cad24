"""The files by which people know a project: licence, changelog, workflow, forms."""

import re
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import raynas
from raynas.recording.rows import versions
from raynas.storage.run_store import RunStore
from tests.builders import ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(
    [*GITHUB.rglob("*.yml"), ROOT / ".pre-commit-config.yaml"], key=lambda path: path.name
)


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert re.findall(r"^   (\d)\. ", text, re.MULTILINE) == list("123456789")
    assert "APPENDIX: How to apply the Apache License to your work." in text


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_a_form_or_workflow_is_yaml(form: Path) -> None:
    assert isinstance(yaml.safe_load(form.read_text()), dict)


def test_the_workflow_runs_the_same_checks_as_a_person() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows" / "checks.yml").read_text())["jobs"]

    assert "bash .ci/run" in [step.get("run") for step in jobs["checks"]["steps"]]


def test_the_guide_for_contributors_names_files_that_there_are() -> None:
    guide = (GITHUB / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:raynas|search_spaces|\.ci)/[\w./]*)`", guide)

    assert len(named) > 5
    assert all((ROOT / path).exists() for path in named)


def test_the_version_has_an_entry_in_the_changelog() -> None:
    text = (ROOT / ".docs" / "pages" / "changelog.md").read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == raynas.__version__


def test_the_version_that_runs_is_recorded_whatever_is_installed() -> None:
    assert versions("torch")["raynas"] == raynas.__version__
    assert versions("torch")["torch"] == metadata.version("torch")


def test_every_table_says_which_version_wrote_it_also_when_it_is_merged(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path))
    for epoch in (1, 2):
        store.append("trials", [{"trial": "a", "epoch": epoch}], part=f"{epoch}")
    (folder,) = tmp_path.rglob("trials")
    before = [pq.read_schema(file).metadata[b"raynas_version"] for file in folder.iterdir()]
    store.compact("trials")
    (merged,) = folder.iterdir()

    assert before == [raynas.__version__.encode()] * 2
    assert pq.read_schema(merged).metadata[b"raynas_version"] == raynas.__version__.encode()
    assert store.table("trials").num_rows == 2
