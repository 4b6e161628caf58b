"""Read-only queries of the published file, without access to anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asset_pipeline.errors import AssetPipelineError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class WarehouseError(AssetPipelineError):
    """The published file can't be written, opened or queried."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What SQL returned.

    Attributes:
        columns: Names; two may be the same.
        types: DuckDB's name of each column's type, such as ``DECIMAL(18,6)``.
        rows: Money as Decimal, times in UTC.
    """

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


# The order matters: the last line locks the others.
_LOCKDOWN = """
    SET TimeZone = 'UTC';
    SET python_enable_replacements = false;
    SET enable_external_access = false;
    SET lock_configuration = true;
"""


def query(path: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run SQL on the published file and return the names of the columns and the rows.

    Args:
        path: The published DuckDB file.
        sql: As for :func:`typed_query`.

    Raises:
        WarehouseError: As there.
    """
    result = typed_query(path, sql)
    return result.columns, result.rows


def typed_query(path: Path, sql: str) -> QueryResult:
    """Run SQL on the published file.

    The SQL can read the published tables and nothing else: no other file, no network, no
    variable of this process. Money comes as Decimal, times in UTC.

    Args:
        path: The published DuckDB file.
        sql: One or more statements; the last one's result is returned.

    Raises:
        WarehouseError: There is no such file, another process has it open for writing, or the
            SQL is wrong.
    """
    import duckdb  # noqa: PLC0415 -- as above

    with connected(path) as connection:
        connection.execute(_LOCKDOWN)
        try:
            # No statement at all, only spaces or a comment, returns None, whatever the stubs say.
            result = cast("DuckDBPyConnection | None", connection.execute(sql))
            if result is None:
                return QueryResult([], [], [])
            described = result.description or ()
            return QueryResult(
                columns=[column[0] for column in described],
                types=[str(column[1]) for column in described],
                rows=result.fetchall(),
            )
        except duckdb.Error as error:
            raise WarehouseError(
                f"The query failed: {error}",
                hint="`SHOW TABLES` lists what there is, `DESCRIBE <table>` its columns.",
            ) from error


@contextlib.contextmanager
def connected(path: Path) -> Generator[DuckDBPyConnection]:
    """Open the published file read-only; what others ask of it goes through :func:`query`.

    Raises:
        WarehouseError: There is no such file, or another process has it open for writing.
    """
    import duckdb  # noqa: PLC0415 -- as above

    if not path.is_file():
        raise WarehouseError(
            f"There is no published warehouse at {path}.",
            hint="Run `asset-pipeline generate`, which publishes it.",
        )
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        busy = "Conflicting lock" in str(error)
        raise WarehouseError(
            f"The warehouse {path} is {'open for writing elsewhere' if busy else 'unreadable'}: "
            f"{error}",
            hint="Close the other program, or open the file there as read-only."
            if busy
            else "Publish it again; it is built anew from the ledger.",
        ) from error
    with connection:
        yield connection
