"""The page that lists all tables and columns, made of what the schemas say of themselves.

python -m raynas.storage.schema_page > .docs/pages/tables.md
"""

from collections.abc import Iterator

import pyarrow as pa

from raynas.storage.schemas import SCHEMAS
from raynas.storage.schemas_beside_runs import COMPARISON, INNER_PRODUCTS, LATENCIES, MEASURED_NETS

_INTRODUCTION = """# Tables and their columns

Every number of a run lies in `RUN/tables/NAME/*.parquet`; a missing value is null. Accuracies are in [0, 1], times in seconds unless a name says otherwise, and `macs` are multiply-adds, what papers call FLOPs. The same sentences are in the files, as `description` in the metadata of schema and columns, beside the version of raynas that wrote them (`raynas_version`).
"""  # noqa: E501 - a paragraph of Markdown
_BESIDE = {
    "comparison": COMPARISON,
    "latency table": LATENCIES,
    "latency table, -nets": MEASURED_NETS,
    "inner_products.parquet": INNER_PRODUCTS,
}


def tables_page() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION, "## Of a run\n", *map("\n".join, map(_lines, *_of(SCHEMAS)))]
    parts += ["## Beside runs\n", *map("\n".join, map(_lines, *_of(_BESIDE)))]
    return "\n".join(parts)


def describe(thing: pa.Schema | pa.Field) -> str:
    """Return what a table or a column says it is."""
    return str((thing.metadata or {}).get(b"description", b"").decode())


def _of(schemas: dict[str, pa.Schema]) -> tuple[list[str], list[pa.Schema]]:
    return list(schemas), list(schemas.values())


def _lines(name: str, schema: pa.Schema) -> Iterator[str]:
    yield f"### {name}\n\nA row is {describe(schema)}.\n"
    yield "| column | type | what |"
    yield "|---|---|---|"
    for field in schema:
        yield f"| `{field.name}` | {field.type} | {describe(field)} |"
    yield ""


if __name__ == "__main__":
    print(tables_page(), end="")  # noqa: T201 - a script
