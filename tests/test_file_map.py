"""The README's file map shows the packages that there are."""

import re

from tests.builders import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_file_map_names_every_package_of_raynas_and_no_other() -> None:
    block = README.split("## File map")[1].split("```")[1]
    top = set(re.findall(r"^  (\w+)/ ", block, re.MULTILINE))
    inner = set(re.findall(r"^    (\w+)/ ", block, re.MULTILINE))
    packages = {
        file.parent.relative_to(ROOT / "raynas") for file in (ROOT / "raynas").rglob("__init__.py")
    }

    assert top == {str(each) for each in packages if len(each.parts) == 1}
    assert inner | {"figures", "page"} == {each.name for each in packages if len(each.parts) == 2}


def test_the_readme_has_the_headings_that_people_look_for() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)

    for wanted in (
        *("Quick start", "Your own images", "Search spaces", "Methods", "Exporting"),
        *("Constraints and objectives", "Monitoring", "Warm start", "Python API", "Clusters"),
        *("Tables", "File map"),
    ):
        assert wanted in headings
