"""Backup and restore of a SQLite ledger; consistent while runs write.

A Postgres ledger is backed up with Postgres' own tools, which do it better.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import atomic_path, make_private_file
from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError, parse_url

# A busy ledger answers within milliseconds, so this is long enough to tell it from one in use.
_LOCK_SECONDS = 2

_SIDE_FILES = ("", "-wal", "-shm")


class _DamagedError(Exception):
    """The file in the ledger's place can't be read as a database."""


def backup(url: SecretStr, target: Path) -> int:
    """Copy the ledger to a new file by SQLite's online backup and verify the copy.

    Runs go on writing meanwhile; the copy shows one moment of them.

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
    if not source.exists():
        raise LedgerError(f"There is no ledger at {source} yet.", hint="Nothing was ever paid.")
    with atomic_path(target, private=True) as temporary:
        _copy(source, temporary)
        _verify(temporary)
    return target.stat().st_size


def restore(url: SecretStr, source: Path, *, now: datetime) -> Path | None:
    """Put a backup in the ledger's place; the ledger that was there is kept beside it.

    No process may have the ledger open: what it pays for would be in neither.

    Args:
        url: The ledger's URL.
        source: A file that :func:`backup` wrote.
        now: Names the file that the former ledger is kept in.

    Returns:
        Where the former ledger is kept; None when there was none.

    Raises:
        LedgerError: The backup is not a whole ledger, or a process has the ledger open.
        ConfigurationError: The ledger is not SQLite.
    """
    ledger = _sqlite_path(url)
    if not source.is_file():
        raise LedgerError(f"There is no backup {source}.", hint="Give the backup's file.")
    _verify(source)
    if not ledger.exists():
        _put(source, ledger)
        return None
    if source.samefile(ledger):
        raise LedgerError(f"{source} is the ledger itself.", hint="Give the backup's file.")
    kept = ledger.with_name(f"{ledger.name}.before-{now:%Y%m%dT%H%M%SZ}")
    try:
        # In one transaction of the ledger's own file: a crash half-way leaves it as it was.
        with _alone(ledger) as former, contextlib.closing(_reading(source)) as reading:
            _copy_from(former, kept)
            reading.backup(former)
    except _DamagedError:
        for suffix in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                ledger.with_name(ledger.name + suffix).rename(kept.with_name(kept.name + suffix))
        _put(source, ledger)
    return kept


def _put(source: Path, ledger: Path) -> None:
    with atomic_path(ledger, private=True) as temporary:
        _copy(source, temporary)


def _copy(source: Path, target: Path) -> None:
    try:
        with contextlib.closing(_reading(source)) as reading:
            _copy_from(reading, target)
    except sqlite3.Error as error:
        raise LedgerError(f"{source} can't be copied to {target}: {error}.") from None


def _copy_from(reading: sqlite3.Connection, target: Path) -> None:
    make_private_file(target)
    with contextlib.closing(sqlite3.connect(target)) as writing:
        # All pages in one step. A copy in several begins anew after every commit of another
        # process, and beside steady writers it never ends; one long read keeps nobody waiting.
        reading.backup(writing, pages=-1)
        # A copy of a WAL database says so in its header and would need its side files.
        writing.execute("PRAGMA journal_mode = DELETE")


def _verify(path: Path) -> None:
    try:
        with contextlib.closing(_reading(path)) as connection:
            (health,) = connection.execute("PRAGMA integrity_check").fetchone()
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise LedgerError(
            f"{path} is not a ledger: {error}.", hint="Give a file that `ledger backup` wrote."
        ) from None
    if health != "ok":
        raise LedgerError(f"{path} is damaged: {health}.", hint="Use another backup.")
    if revision > HEAD_REVISION:
        raise LedgerError(
            f"{path} was written by a newer release (revision {revision}).",
            hint="Use that release.",
        )


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


@contextlib.contextmanager
def _alone(ledger: Path) -> Generator[sqlite3.Connection]:
    """Yield the one connection to the ledger; nobody else may even read while the block runs.

    Raises:
        LedgerError: A process has it open, even if idle.
        _DamagedError: It is damaged and no longer a database.
    """
    opened = sqlite3.connect(ledger, timeout=_LOCK_SECONDS, isolation_level=None)
    with contextlib.closing(opened) as connection:
        try:
            # An open connection to a WAL database holds a shared lock even when idle.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            raise LedgerError(
                f"{ledger} is in use: {error}.",
                hint="Stop all runs and the Dagster processes first.",
            ) from None
        except sqlite3.DatabaseError as error:
            raise _DamagedError from error
        if health != "ok":
            raise _DamagedError(health)
        yield connection


def _sqlite_path(url: SecretStr) -> Path:
    target = parse_url(url)
    if target.get_backend_name() != "sqlite" or not target.database:
        raise ConfigurationError(
            "This command copies a SQLite ledger.",
            hint="Use pg_dump and pg_restore for a ledger on Postgres.",
        )
    return Path(target.database)
