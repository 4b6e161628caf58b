"""Backup and restore of a SQLite ledger; consistent while runs write.

A Postgres ledger is backed up with Postgres' own tools, which do it better.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import atomic_path
from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError

# Pages a step: small enough that a writer waits some milliseconds, not the whole copy.
_PAGES = 256


def backup(url: SecretStr, target: Path) -> int:
    """Copy the ledger to a new file by SQLite's online backup and verify the copy.

    Args:
        url: The ledger's URL.
        target: A file that does not exist yet.

    Returns:
        The copy's size in bytes.

    Raises:
        LedgerError: The ledger can't be read, or the target exists.
        ConfigurationError: The ledger is not SQLite.
    """
    source = _sqlite_path(url)
    if target.exists():
        raise LedgerError(f"{target} exists already.", hint="Choose another name.")
    with atomic_path(target) as temporary:
        _copy(source, temporary)
        _verify(temporary)
    return target.stat().st_size


def restore(url: SecretStr, source: Path) -> Path:
    """Put a backup in the ledger's place; the ledger that was there is kept beside it.

    No run may be open: what it would pay for is not in the backup.

    Returns:
        Where the former ledger is kept.

    Raises:
        LedgerError: The backup is not a whole ledger, or a run has the ledger open.
    """
    if not source.is_file():
        raise LedgerError(f"There is no backup {source}.", hint="Give the backup's file.")
    _verify(source)
    ledger = _sqlite_path(url)
    kept = ledger.with_name(f"{ledger.name}.before-restore")
    if kept.exists():
        raise LedgerError(
            f"{kept} is there from an earlier restore.", hint="Move it away when you need it not."
        )
    if ledger.exists():
        _refuse_if_busy(ledger)
        _copy(ledger, kept)
        for suffix in ("-wal", "-shm"):
            ledger.with_name(ledger.name + suffix).unlink(missing_ok=True)
    with atomic_path(ledger) as temporary:
        _copy(source, temporary)
    return kept


def _copy(source: Path, target: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reading,
            contextlib.closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing, pages=_PAGES)
            # A copy of a WAL database says so in its header and would need its side files.
            writing.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise LedgerError(f"{source} can't be copied to {target}: {error}.") from None


def _verify(path: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (health,) = connection.execute("PRAGMA integrity_check").fetchone()
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise LedgerError(f"{path} is not a ledger: {error}.") from None
    if health != "ok":
        raise LedgerError(f"{path} is damaged: {health}.", hint="Use another backup.")
    if revision > HEAD_REVISION:
        raise LedgerError(
            f"{path} was written by a newer release (revision {revision}).",
            hint="Use that release.",
        )


def _refuse_if_busy(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            raise LedgerError(
                f"{ledger} is in use.", hint="Stop all runs and the Dagster processes first."
            ) from None


def _sqlite_path(url: SecretStr) -> Path:
    target = make_url(url.get_secret_value())
    if target.get_backend_name() != "sqlite" or not target.database:
        raise ConfigurationError(
            "This command copies a SQLite ledger.",
            hint="Use pg_dump and pg_restore for a ledger on Postgres.",
        )
    return Path(target.database)
