"""The API reference: it is built without a warning, and has every public name."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from raynas import api
from tests.builders import ROOT


def test_the_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".docs", tmp_path / "docs", ignore=shutil.ignore_patterns("site"))
    file = tmp_path / "docs" / "mkdocs.yml"
    file.write_text(file.read_text().replace("paths: [..]", f"paths: ['{ROOT}']"))
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    page = (tmp_path / "docs" / "site" / "index.html").read_text()
    for name in api.__all__:
        assert f'id="raynas.api.{name}"' in page


def test_every_public_name_is_on_the_page_once() -> None:
    page = (ROOT / ".docs" / "pages" / "index.md").read_text()
    names = re.findall(r"^::: raynas\.api\.(\w+)$", page, re.MULTILINE)

    assert sorted(names) == api.__all__
