"""Checks of what the ledger tells: whether it takes writes, its clock, the daemon, the breakers."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select

from asset_pipeline.ledger.engine import HEAD_REVISION, LedgerError, open_engine, parse_url
from asset_pipeline.ledger.schema import BreakerState, breakers
from asset_pipeline.ledger.service_schema import heartbeats
from asset_pipeline.monitoring.checkup import Checkup, State, clock_checkup
from asset_pipeline.monitoring.remote_parts import found_revision
from asset_pipeline.settings import Settings

DAEMON_SENSOR: Final = "submissions"
"""The sensor whose ticks tell that a daemon lives."""

DAEMON_SILENT: Final = timedelta(seconds=60)
"""Dagster's daemon looks at sensors every five seconds, and takes a while over a busy tick."""

_SLOW_WRITE: Final = 5.0


def look_at_writes(settings: Settings) -> Iterator[Checkup]:
    """Write a row, and take it back: a ledger that is only read, or locked for long, shows."""
    with _ledger(settings, writing=True) as connection:
        if connection is None:
            yield Checkup("ledger: writes", State.OK, "Not tried: there is none in use.")
            return
        began = time.monotonic()
        with connection.begin() as begun:
            row = {"name": "doctor", "seen_at": datetime.now(UTC)}
            connection.execute(heartbeats.delete().where(heartbeats.c.name == row["name"]))
            connection.execute(insert(heartbeats).values(row))
            begun.rollback()
        seconds = time.monotonic() - began
    slow = seconds > _SLOW_WRITE
    yield Checkup(
        "ledger: writes",
        State.WARN if slow else State.OK,
        f"It took a write after {seconds:,.1f} s." if slow else "It takes writes.",
        "Something else writes for long, or the disk is slow." if slow else "",
    )


def look_at_ledger_clock(settings: Settings) -> Iterator[Checkup]:
    """Hold this machine's clock against that of the ledger's server; a file has none of its own."""
    with _ledger(settings) as connection:
        if connection is None or connection.dialect.name != "postgresql":
            yield Checkup("clock", State.OK, "The ledger is a file: it goes by this machine's.")
            return
        theirs: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        yield clock_checkup("clock", "the ledger's", (theirs - datetime.now(UTC)).total_seconds())


def look_at_daemon(settings: Settings) -> Iterator[Checkup]:
    """Tell when Dagster's daemon was last heard of."""
    with _ledger(settings) as connection:
        seen = None
        if connection is not None:
            query = select(heartbeats.c.seen_at).where(heartbeats.c.name == DAEMON_SENSOR)
            seen = connection.execute(query).scalar()
    if seen is None:
        yield Checkup("daemon", State.OK, "None was heard of yet; the commands need none.")
        return
    silent = datetime.now(UTC) - seen
    if silent < DAEMON_SILENT:
        yield Checkup("daemon", State.OK, "Dagster's daemon looks at the sensors.")
        return
    yield Checkup(
        "daemon",
        State.WARN,
        f"Dagster's daemon was last heard of at {seen:%Y-%m-%d %H:%M} UTC.",
        "Start it with `make dev` or `dagster-daemon run`: what comes over HTTP waits for it.",
    )


def look_at_breakers(settings: Settings) -> Iterator[Checkup]:
    """Tell which models nothing is asked of now; nothing is sent to find out."""
    with _ledger(settings) as connection:
        if connection is None:
            yield Checkup("breakers", State.OK, "No model has failed yet.")
            return
        is_open = breakers.c.state != BreakerState.CLOSED.value
        found = connection.execute(select(breakers.c.model).where(is_open)).scalars().all()
    if found:
        yield Checkup(
            "breakers",
            State.WARN,
            f"{', '.join(found)}: failed so often that nothing is sent until a probe works.",
            "`asset-pipeline breaker list` says why.",
        )
    else:
        yield Checkup("breakers", State.OK, "All models are used as usual.")


@contextmanager
def _ledger(settings: Settings, *, writing: bool = False) -> Generator[Connection | None]:
    """Yield a connection to a ledger that exists and is of this release; else None.

    Opening it the usual way would make one, or upgrade it.
    """
    target = parse_url(settings.ledger_url)
    is_file = target.get_backend_name() == "sqlite"
    if is_file and not (target.database and Path(target.database).is_file()):
        yield None
        return
    if _revision(settings) != HEAD_REVISION:
        yield None
        return
    engine = open_engine(settings.ledger_url)
    try:
        with engine.connect().execution_options(reading=not writing) as connection:
            yield connection
    finally:
        engine.dispose()


def _revision(settings: Settings) -> str | None:
    """Return the ledger's revision; none if it can't be opened, which its own check tells."""
    try:
        return found_revision(settings.ledger_url)
    except LedgerError:
        return None
