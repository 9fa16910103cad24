import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raynas.storage.run_store import RunStore
from raynas.storage.schema_page import describe, tables_page
from raynas.storage.schemas import SCHEMAS
from raynas.storage.schemas_beside_runs import COMPARISON, INNER_PRODUCTS, LATENCIES, MEASURED_NETS
from tests.builders import ROOT

EVERY = SCHEMAS | {
    "comparison": COMPARISON,
    "latencies": LATENCIES,
    "nets": MEASURED_NETS,
    "inner_products": INNER_PRODUCTS,
}


@pytest.mark.parametrize("name", EVERY)
def test_every_table_and_column_says_what_it_is(name: str) -> None:
    schema = EVERY[name]

    assert describe(schema)
    assert [field.name for field in schema if not describe(field)] == []


def test_the_page_of_tables_is_what_the_schemas_say() -> None:
    page = (ROOT / ".docs" / "pages" / "tables.md").read_text(encoding="utf-8")

    assert page == tables_page()  # python -m raynas.storage.schema_page > .docs/pages/tables.md


def test_the_readme_names_every_table_in_the_order_in_which_a_run_fills_them() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Tables")[1]
    named = re.findall(r"^\| `(\w+)` \|", section.split("```")[0], re.MULTILINE)

    assert sorted(named) == sorted(SCHEMAS)


def test_what_columns_are_is_in_the_files_and_read_back_by_everyone(tmp_path: Path) -> None:
    store = RunStore.create(str(tmp_path))
    store.append("ledger", [{"layer": 0, "candidate": 1, "operation": "k3e3", "updates": 7}], "a")
    (file,) = (tmp_path / "tables" / "ledger").iterdir()
    schema = pq.read_schema(file)

    assert describe(schema) == describe(SCHEMAS["ledger"])
    assert describe(schema.field("updates")) == "times that it was trained"
    assert store.rows("ledger") == [{"layer": 0, "candidate": 1, "operation": "k3e3", "updates": 7}]
