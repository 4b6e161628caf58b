"""Transactions of the ledger, with database errors as sentences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from asset_pipeline.ledger.engine import LedgerError, first_line

# How often a step is done over because another process was faster by a moment.
_COLLISIONS = 10

# Postgres undoes one of several transactions that wait for each other; which locks come first
# depends on the caps that each process knows, so that no order of ours keeps it from happening.
_UNDONE = frozenset({"40P01", "40001"})

T = TypeVar("T")


class UndoneError(LedgerError):
    """The database undid a transaction in favour of others: nothing of it was written."""


class _Shared(threading.local):
    """The transaction that this thread's transactions are part of, if there is one."""

    connection: Connection | None = None


_shared = _Shared()


@contextmanager
def transaction(engine: Engine, *, reading: bool = False) -> Generator[Connection]:
    """Yield a connection in one transaction: committed at the end, rolled back on any error.

    Within :func:`shared_transaction` it is a part of that one, which commits it.

    Args:
        engine: The ledger's.
        reading: On SQLite, take no write lock; a part has the shared transaction's.

    Raises:
        LedgerError: The database is busy, full, gone or broken. Nothing was written.
        IntegrityError: A constraint held, which callers give a meaning.
    """
    shared = _shared.connection
    with _explained(engine):
        if shared is not None and shared.engine is engine:
            with _part(shared):
                yield shared
        elif reading:
            with engine.connect().execution_options(reading=True) as connection:
                yield connection
        else:
            with engine.begin() as connection:
                yield connection


@contextmanager
def shared_transaction(engine: Engine) -> Generator[None]:
    """Make all this thread's transactions on ``engine`` parts of one, until the block ends.

    A part that fails takes nothing of the others with it. None of them lasts before the block has
    ended without an error.

    Raises:
        LedgerError: The database is busy, full, gone or broken. Nothing of any part was written.
    """
    with transaction(engine) as connection:
        _shared.connection = connection
        try:
            yield
        finally:
            _shared.connection = None


@contextmanager
def _part(connection: Connection) -> Generator[None]:
    # Connection.begin_nested compiles each of its statements anew: 0.4 ms a part.
    connection.exec_driver_sql("SAVEPOINT part")
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK TO part")
        connection.exec_driver_sql("RELEASE part")
        raise
    connection.exec_driver_sql("RELEASE part")


def looking_again(step: Callable[[], T]) -> T:
    """Repeat a transaction when another process wrote the same row first.

    Only Postgres lets that happen: writers of SQLite take turns.
    """
    return _repeated(step, IntegrityError, UndoneError)


def undone_again(step: Callable[[], T]) -> T:
    """Do a step over when the database undid its transaction."""
    return _repeated(step, UndoneError)


def _repeated(step: Callable[[], T], *errors: type[Exception]) -> T:
    for _ in range(_COLLISIONS):
        try:
            return step()
        except errors:
            continue
    return step()


@contextmanager
def _explained(engine: Engine) -> Generator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        undone = getattr(getattr(error, "orig", None), "sqlstate", None) in _UNDONE
        raise (UndoneError if undone else LedgerError)(
            f"The ledger at {engine.url.render_as_string(hide_password=True)} can't be used: "
            f"{first_line(error)}.",
            hint="Check the disk, or the database server, and run it again: what is paid for is "
            "in the ledger and is not paid again.",
        ) from error
