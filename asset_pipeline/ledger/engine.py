"""Opening the ledger's database, SQLite or Postgres, and migrating it to the newest schema."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from sqlite3 import SQLITE_BUSY
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Cursor as SqliteCursor
from sqlite3 import OperationalError as SqliteError

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.files import make_private_file, make_private_folder
from asset_pipeline.ledger.ledger_file import LedgerFile

# The newest migration. Compared with a plain query at every opening, because importing Alembic
# costs 0.2 s, and only a ledger that is behind needs it.
HEAD_REVISION = "0011"

_BUSY_SECONDS = 30
_BUSY_PAUSE = 0.01

# SQLite's error codes have their kind in the lowest byte.
_PRIMARY = 0xFF


class LedgerError(AssetPipelineError):
    """The ledger can't be opened, read or written."""


def open_engine(url: SecretStr) -> Engine:
    """Open the ledger and bring its schema up to date.

    On SQLite every write transaction begins IMMEDIATE, so that a read inside it is never stale,
    and is synced FULL, so that an intent survives a power cut.

    Args:
        url: A SQLAlchemy URL, ``sqlite:///path`` or ``postgresql://user:password@host/name``.

    Raises:
        ConfigurationError: The URL can't be used.
        LedgerError: The database can't be reached, the folder can't be written, or a newer release
            has written the ledger.
    """
    engine = _engine_for(parse_url(url))
    _upgrade(engine)
    return engine


def upgrade(url: SecretStr) -> str | None:
    """Bring a ledger's schema up to date, as opening it does.

    Returns:
        The revision that it was at; None for a ledger that did not exist.

    Raises:
        ConfigurationError: The URL can't be used.
        LedgerError: As for :func:`open_engine`.
    """
    engine = _engine_for(parse_url(url))
    try:
        return _upgrade(engine)
    finally:
        engine.dispose()


def ensure_schema(engine: Engine) -> str | None:
    """Create the tables or migrate them to the newest revision, once, whoever comes first.

    Returns:
        The revision that was found; None where there were no tables.
    """
    revision = _revision(engine)
    if revision == HEAD_REVISION:
        return revision
    # Alembic is needed once in a ledger's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            _lock_schema(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise LedgerError(
            f"The ledger is at revision {revision}, which this release does not know.",
            hint="A newer release has written it: use that one.",
        ) from None
    return revision


def _engine_for(target: URL) -> Engine:
    if target.get_backend_name() == "sqlite":
        return _open_sqlite(target)
    if target.get_backend_name() == "postgresql":
        driver = target.set(drivername="postgresql+psycopg")
        return create_engine(driver, pool_size=5, pool_pre_ping=True)
    raise ConfigurationError(
        f"ASSET_PIPELINE_LEDGER_URL: {target.get_backend_name()} is not supported.",
        hint="Use sqlite:///path/to/ledger.db or postgresql://...",
    )


def _upgrade(engine: Engine) -> str | None:
    try:
        return ensure_schema(engine)
    except DBAPIError as error:
        raise LedgerError(
            f"The ledger at {engine.url.render_as_string(hide_password=True)} can't be opened: "
            f"{type(error.orig).__name__}: {first_line(error)}.",
            hint="Check that the folder is writable, or that the server runs and lets you in.",
        ) from None


def _open_sqlite(target: URL) -> Engine:
    if target.database:
        folder = Path(target.database).parent
        try:
            make_private_folder(folder)
        except OSError as error:
            raise LedgerError(
                f"The data folder {folder} can't be created: {error.strerror}.",
                hint="Set ASSET_PIPELINE_DATA_DIR to a folder that you may write to.",
            ) from None
        if target.database != ":memory:" and not target.database.startswith("file:"):
            with contextlib.suppress(OSError):  # SQLite says what is wrong
                make_private_file(Path(target.database))
    engine = create_engine(target, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    if target.database and target.database != ":memory:":
        _watch(engine, LedgerFile(Path(target.database).absolute()))
    return engine


def _watch(engine: Engine, file: LedgerFile) -> None:
    """Check at the start of every transaction that the ledger's file is still in place."""

    def connect(_connection: object, _record: object) -> None:
        file.opened()

    def close(_connection: object, _record: object) -> None:
        file.closed()

    def before(_connection: Connection) -> None:
        loss = file.loss()
        if loss is not None:
            raise LedgerError(
                f"{loss} while this process had the ledger open. It stops here, and pays for "
                "nothing more: what it writes would be lost.",
                hint="Put the ledger back, from a backup with `asset-pipeline ledger restore`, "
                "before anything is generated; then `asset-pipeline audit --orphans` finds what "
                "was paid for and is not in it.",
            )

    def after(_connection: Connection) -> None:
        file.learn()  # the log is there once a transaction was begun

    event.listen(engine, "connect", connect)
    event.listen(engine, "close", close)
    event.listen(engine, "begin", before, insert=True)
    event.listen(engine, "begin", after)


def _configure_sqlite(connection: SqliteConnection, _record: object) -> None:
    # The driver's own transaction handling begins DEFERRED and would upgrade a read to a write
    # half-way, which fails at once when another process wrote in between.
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: SqliteCursor) -> None:
    """Switch a new ledger to WAL; for one that is in WAL already, this does nothing.

    SQLite's own busy timeout does not cover the switch while another connection writes: of eight
    processes that opened a new ledger at the same moment, one in twenty-four was refused at once.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except SqliteError as error:
            if error.sqlite_errorcode & _PRIMARY != SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _lock_schema(connection: Connection) -> None:
    """Keep two processes from migrating at once; SQLite's BEGIN IMMEDIATE has done so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(727201)"))


def _revision(engine: Engine) -> str | None:
    with engine.connect().execution_options(reading=True) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def parse_url(url: SecretStr) -> URL:
    """Return a parsed ledger URL.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "ASSET_PIPELINE_LEDGER_URL is not a database URL.",
            hint="Use sqlite:///path/to/ledger.db or postgresql://...",
        ) from None


def first_line(error: DBAPIError | PoolTimeoutError) -> str:
    """Return a database's own message, without SQLAlchemy's additions."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return said.splitlines()[0] if said else "no answer"
