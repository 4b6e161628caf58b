"""Publishing the ledger for SQL: a new DuckDB file built beside the old one and renamed in.

Runs never write DuckDB while they generate, readers never block a publisher, and a reader that
holds the old file open keeps reading the old one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine

from asset_pipeline.clock import Clock
from asset_pipeline.files import atomic_path
from asset_pipeline.money import to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.warehouse.errors import WarehouseError
from asset_pipeline.warehouse.tables import (
    LEDGER_TABLES,
    Columns,
    ledger_chunks,
    prompt_chunks,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published: rows by table, and how long it took."""

    rows: Mapping[str, int]
    seconds: float


def publish(
    ledger_engine: Engine, library_prompts: Iterable[Prompt], target: Path, *, clock: Clock
) -> PublishReport:
    """Write all tables and views to ``target``, whole or not at all.

    The ledger is read in one transaction, so that all tables show the same instant. Of two
    processes that publish at once the later one wins, whole.

    Args:
        ledger_engine: The ledger.
        library_prompts: The usable prompts.
        target: The DuckDB file to replace.
        clock: For the report's duration.

    Raises:
        WarehouseError: The file cannot be written; the published one is as it was.
    """
    started = clock.monotonic()
    with _new_database(target) as warehouse, _snapshot(ledger_engine) as ledger:
        warehouse.execute((_HERE / "schema.sql").read_text(encoding="utf-8"))
        rows = {
            name: _load(warehouse, name, ledger_chunks(ledger, query))
            for name, query in LEDGER_TABLES.items()
        }
        rows["prompts"] = _load(warehouse, "prompts", prompt_chunks(library_prompts))
        for query in sorted((_HERE / "queries").glob("*.sql")):
            select = query.read_text(encoding="utf-8")
            warehouse.execute(f"CREATE VIEW {query.stem} AS {select}")
    return PublishReport(rows=rows, seconds=clock.monotonic() - started)


@contextlib.contextmanager
def _new_database(target: Path) -> Generator[DuckDBPyConnection]:
    """Yield a new database that becomes ``target`` when the block ends well."""
    import duckdb  # noqa: PLC0415 -- heavy, and definitions load without it

    try:
        with atomic_path(target) as temporary:
            try:
                with duckdb.connect(temporary) as new:
                    new.execute("SET TimeZone = 'UTC'")
                    yield new
                    # Closing checkpoints too, but says nothing when the disk is full.
                    new.execute("CHECKPOINT")
            finally:
                # Left only when the database was not closed well.
                temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)
    except (OSError, duckdb.Error) as error:
        raise WarehouseError(
            f"The warehouse {target} could not be written: {error}",
            hint="Free some disk space or make its folder writable, and publish again; "
            "the ledger holds everything.",
        ) from error


@contextlib.contextmanager
def _snapshot(engine: Engine) -> Generator[Connection]:
    """Yield a connection in which nothing changes; SQLite's reading transactions are so anyway."""
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.connect() as connection:
        yield connection.execution_options(reading=True, **options)


def _load(warehouse: DuckDBPyConnection, table: str, chunks: Iterator[Columns]) -> int:
    """Move chunks of rows into a table through Arrow, in the types the table declares."""
    empty = cast("Any", warehouse.table(table).limit(0))  # Arrow ships no types
    schema = empty.to_arrow_table().schema
    rows = 0
    for columns in chunks:
        chunk = _arrow_table(columns, schema)
        warehouse.from_arrow(chunk).insert_into(table)
        rows += chunk.num_rows
    return rows


def _arrow_table(columns: Columns, schema: Any) -> Any:  # noqa: ANN401 -- Arrow ships no types
    """Build an Arrow table; micro-dollars become Decimals of dollars, never floats."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, and definitions load without it

    arrow = cast("Any", pa)
    arrays = [
        arrow.array(
            [to_decimal(amount) for amount in columns[field.name]]
            if arrow.types.is_decimal(field.type)
            else columns[field.name],
            type=field.type,
        )
        for field in schema
    ]
    return arrow.Table.from_arrays(arrays, schema=schema)
