"""The API reference: it is built without a warning, and has every public name."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from raynas import api
from tests.builders import ROOT

README = (ROOT / "README.md").read_text()
PAGES = sorted(
    page
    for pattern in ("*.md", "launch/*.md", "analysis/*.md", "tests/bench/*.md", ".docs/pages/*.md")
    for page in ROOT.glob(pattern)
)


@pytest.mark.slow
def test_the_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".docs", tmp_path / "docs", ignore=shutil.ignore_patterns("site"))
    file = tmp_path / "docs" / "mkdocs.yml"
    file.write_text(file.read_text().replace("paths: [..]", f"paths: ['{ROOT}']"))
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    page = (tmp_path / "docs" / "site" / "index.html").read_text()
    for name in api.__all__:
        assert f'id="raynas.api.{name}"' in page


def test_every_public_name_is_on_the_page_once() -> None:
    page = (ROOT / ".docs" / "pages" / "index.md").read_text()
    names = re.findall(r"^::: raynas\.api\.(\w+)$", page, re.MULTILINE)

    assert sorted(names) == api.__all__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page}: {target}"
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        assert not anchor or anchor in anchors, f"{page}: {target}"


def test_the_readme_has_the_example_that_is_tested() -> None:
    (example,) = re.findall(r"## Python API\n.*?```python\n(.*?)```", README, re.DOTALL)

    assert textwrap.indent(example, "    ") in (api.__doc__ or "")


def test_the_readme_names_every_space_and_every_page() -> None:
    for file in ROOT.glob("search_spaces/[!_]*.py"):
        assert f"| `{file.stem}`" in README
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        assert name == "README.md" or name in README


def test_the_page_on_the_method_names_files_that_there_are() -> None:
    page = (ROOT / ".docs" / "pages" / "method.md").read_text()
    named = re.findall(r"`((?:raynas|launch|analysis|tests|search_spaces)/[\w./]*)`", page)

    assert len(named) > 30
    assert all((ROOT / path).exists() for path in named)


def test_sources_cite_only_pages_that_are_in_the_repository() -> None:
    cited = re.compile(r"([\w./-]*\b[\w-]+\.md)\b(?!\.\w)")  # not model_card.md.jinja
    known = {page.name for page in PAGES} | {"CONTRIBUTING.md"}
    for folder in ("raynas", "launch", "analysis", "search_spaces"):
        for source in (ROOT / folder).rglob("*.py"):
            for name in cited.findall(source.read_text()):
                assert Path(name).name in known, f"{source}: {name}"
