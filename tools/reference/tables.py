"""The pages of the published tables and views, and of the ledger's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import duckdb

from asset_pipeline.ledger import custody_schema, rendition_schema, schema
from asset_pipeline.ledger.column_types import metadata
from tools.reference.markdown import code, table

_CREATED = re.compile(
    r"((?:^--[^\n]*\n)+)CREATE TABLE (\w+) \(\n(.*?)\n\);", re.MULTILINE | re.DOTALL
)
_COLUMN = re.compile(
    r"^\s+(\w+)\s+([A-Z]+(?:\([\d,]+\))?(?:\[\])?)(\s+NOT NULL)?,?\s*(?:--\s*(.*))?$"
)
_COMMENT = re.compile(r"\A((?:--[^\n]*\n)+)")

_PUBLISHED = """# Tables and views

What `asset-pipeline sql` and any DuckDB client see in `data/warehouse.duckdb`. Names and columns
are a promise. Money is US dollars in `DECIMAL(18,6)`, times are UTC.
[How to read the cost tables](../how-to/read-the-cost-tables.md) has queries to begin with.
"""

_LEDGER = """# The ledger's schema

What the ledger holds, on SQLite and Postgres alike. It changes with the releases, by migrations:
for queries of your own the [published tables](tables.md) are the promise. Money is integer
micro-dollars (a millionth of a dollar), times are UTC. No hand and no other program writes here.
"""


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table as ``schema.sql`` declares it.

    Attributes:
        name: The table's name.
        about: The comment above it, as one text.
        columns: Name, type, whether it may be NULL, and comment of each.
    """

    name: str
    about: str
    columns: tuple[tuple[str, str, bool, str], ...]


def tables_page() -> str:
    """Return the page of the published tables and views."""
    parts = [_PUBLISHED, "## Tables"]
    for each in published_tables():
        rows = [
            [code(name), kind, "" if nullable else "no", comment]
            for name, kind, nullable, comment in each.columns
        ]
        parts.append(f"### {each.name}\n\n{each.about}")
        parts.append(table(["Column", "Type", "NULL", "Meaning"], rows))
    parts.append("## Views")
    with duckdb.connect(":memory:") as connection:
        connection.execute(_sql("schema.sql"))
        for name, about, query in _views():
            described = connection.execute(f"DESCRIBE {query}").fetchall()
            parts.append(f"### {name}\n\n{about}")
            parts.append(table(["Column", "Type"], [[code(row[0]), row[1]] for row in described]))
    return "\n\n".join(parts) + "\n"


def ledger_page() -> str:
    """Return the page of the ledger's tables."""
    parts = [_LEDGER]
    for each in metadata.sorted_tables:
        rows = [
            [
                code(column.name),
                str(column.type).split(" COLLATE")[0],
                "" if column.nullable else "no",
                ", ".join(key.target_fullname for key in column.foreign_keys),
            ]
            for column in each.columns
        ]
        keys = ", ".join(code(column.name) for column in each.primary_key.columns)
        parts.append(f"## {each.name}\n\nPrimary key: {keys}.")
        parts.append(table(["Column", "Type", "NULL", "Refers to"], rows))
    return "\n\n".join(parts) + "\n"


def published_tables() -> Iterator[PublishedTable]:
    """Yield the tables of ``schema.sql`` in its order."""
    for about, name, body in _CREATED.findall(_sql("schema.sql")):
        matches = [_COLUMN.match(line) for line in body.splitlines()]
        columns = tuple(
            (match[1], match[2], match[3] is None, match[4] or "") for match in matches if match
        )
        yield PublishedTable(name, _text(about), columns)


def _views() -> Iterator[tuple[str, str, str]]:
    folder = resources.files("asset_pipeline.warehouse").joinpath("queries")
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        query = file.read_text(encoding="utf-8")
        comment = _COMMENT.match(query)
        yield file.name.removesuffix(".sql"), _text(comment[1] if comment else ""), query


def _sql(name: str) -> str:
    return resources.files("asset_pipeline.warehouse").joinpath(name).read_text(encoding="utf-8")


def _text(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.splitlines())


# Named so that the tables that they declare are in the metadata.
SCHEMAS = (schema, custody_schema, rendition_schema)
