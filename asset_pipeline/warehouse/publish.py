"""Publishing the ledger for SQL: a new DuckDB file built beside the old one and renamed in.

Runs never write DuckDB while they generate, readers never block a publisher, and a reader that
holds the old file open keeps reading the old one.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from asset_pipeline.clock import Clock
from asset_pipeline.files import atomic_path, open_private
from asset_pipeline.ledger.change_mark import mark_of
from asset_pipeline.money import to_decimal
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.warehouse.query import WarehouseError, query
from asset_pipeline.warehouse.tables import (
    BESIDE_PROMPTS,
    LEDGER_TABLES,
    PromptNotes,
    Row,
    ledger_rows,
    prompt_rows,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_HERE = Path(__file__).parent

_MARK = "The ledger as of mark "
_COMMENT = "SELECT comment FROM duckdb_tables() WHERE table_name = 'ledger_entries'"


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
        prompts = list(library_prompts)
        notes = PromptNotes(prompts)
        rows: dict[str, int] = {}
        for name, select in LEDGER_TABLES.items():
            found = ledger_rows(ledger, select)
            found = notes.beside(found) if name in BESIDE_PROMPTS else found
            rows[name] = _load(warehouse, name, found, target.parent)
        rows["prompts"] = _load(warehouse, "prompts", prompt_rows(prompts), target.parent)
        # Not among the tables: whoever asks knows by it whether the file is behind.
        warehouse.execute(f"COMMENT ON TABLE ledger_entries IS '{_MARK}{mark_of(ledger)}'")
        for view in sorted((_HERE / "queries").glob("*.sql")):
            warehouse.execute(f"CREATE VIEW {view.stem} AS {view.read_text(encoding='utf-8')}")
    return PublishReport(rows=rows, seconds=clock.monotonic() - started)


def published_mark(target: Path) -> str:
    """Return the mark of the ledger that a published file shows; empty for none that tells."""
    if not target.is_file():
        return ""
    try:
        said = str(query(target, _COMMENT)[1][0][0])
    except (WarehouseError, IndexError):
        return ""  # damaged: it is built anew
    return said.removeprefix(_MARK) if said.startswith(_MARK) else ""


@contextlib.contextmanager
def _new_database(target: Path) -> Generator[DuckDBPyConnection]:
    """Yield a new database that becomes ``target`` when the block ends well."""
    import duckdb  # noqa: PLC0415 -- heavy, and definitions load without it

    try:
        with atomic_path(target, private=True) as temporary:
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


def _load(warehouse: DuckDBPyConnection, table: str, rows: Iterator[Row], folder: Path) -> int:
    """Move rows into a table through a file of JSON lines, in the types the table declares.

    Through Arrow it took as long for a hundred thousand rows, and a second more to begin with:
    making an array imports pandas.
    """
    described = warehouse.execute(f"DESCRIBE {table}").fetchall()
    types = {str(name): str(kind) for name, kind, *_ in described}
    money = {name for name, kind in types.items() if kind.startswith("DECIMAL")}
    lines = folder / f".{table}.{secrets.token_hex(6)}.tmp"  # a name that sweeps know
    count = 0
    try:
        with io.TextIOWrapper(open_private(lines), encoding="utf-8") as file:
            for row in rows:
                file.write(_json_line(row, money))
                count += 1
        if count:
            columns = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
            warehouse.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM read_json("  # noqa: S608 -- our schema's names
                f"?, format = 'newline_delimited', columns = {{{columns}}})",
                [str(lines)],
            )
    finally:
        lines.unlink(missing_ok=True)
    return count


def _json_line(row: Row, money: Collection[str]) -> str:
    """Write a row as JSON; micro-dollars become decimal dollars, never floats."""
    shown = {
        name: str(to_decimal(value)) if name in money and value is not None else value
        for name, value in row.items()
    }
    return json.dumps(shown, default=_iso, allow_nan=False) + "\n"


def _iso(value: date) -> str:
    """Write what JSON has no word for: a day, or an instant with its offset."""
    return value.isoformat()
