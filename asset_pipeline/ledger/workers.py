"""Worker processes: each that pays has a row here, with a heartbeat.

Its intents are left alone while it lives and can be adopted once it is dead.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from asset_pipeline.ledger import intents
from asset_pipeline.ledger.schema import IntentState, waiting, workers
from asset_pipeline.processes import ProcessIdentity, this_process

HEARTBEAT_SECONDS = 5.0

# Six missed beats: a process that swaps or waits for a busy ledger is not declared dead.
_SILENT_AFTER = timedelta(seconds=30)


def register(connection: Connection, run_id: str, now: datetime) -> str:
    """Enter this process as a worker and return the worker id."""
    worker_id, process = uuid.uuid4().hex, this_process()
    now = _by_the_ledger(connection, now)
    connection.execute(
        insert(workers).values(
            worker_id=worker_id,
            host=process.host,
            pid=process.pid,
            pid_started=process.started,
            boot_id=process.boot_id,
            pid_namespace=process.pid_namespace,
            run_id=run_id,
            started_at=now,
            heartbeat_at=now,
        )
    )
    return worker_id


def beat(connection: Connection, worker_id: str, now: datetime) -> None:
    """Say that the worker is alive."""
    beaten = _by_the_ledger(connection, now)
    connection.execute(
        update(workers).where(workers.c.worker_id == worker_id).values(heartbeat_at=beaten)
    )


def end(connection: Connection, worker_id: str, now: datetime) -> None:
    """Say that the worker stopped by itself: whatever it left may be adopted at once.

    What it reserved and certainly never sent is given back.
    """
    connection.execute(update(workers).where(workers.c.worker_id == worker_id).values(ended_at=now))
    connection.execute(delete(waiting).where(waiting.c.worker_id == worker_id))
    for intent in intents.in_states(connection, [IntentState.RESERVED]):
        if intent.worker_id == worker_id:
            intents.refuse(connection, intent, "cancelled", "not sent", now)


def dead_runs(connection: Connection, run_ids: Collection[str], now: datetime) -> set[str]:
    """Return runs whose process is gone; runs that never had a worker are left out.

    A run's worker ends in order before the run does, so of a process that can be looked at it alone
    tells. Of any other only a heartbeat that stopped without an end does.
    """
    now = _by_the_ledger(connection, now)
    rows = connection.execute(
        select(workers).where(workers.c.run_id.in_(run_ids)).order_by(workers.c.started_at)
    ).mappings()
    # A step that is retried enters a worker each time; the latest is where the run stands.
    latest = {row["run_id"]: row for row in rows}
    return {run_id for run_id, row in latest.items() if _is_gone(row, now)}


def is_alive(connection: Connection, worker_id: str, now: datetime) -> bool:
    """Tell whether a worker still drives its intents.

    Where the process itself can be looked at, it is, so that a killed worker's intents are free at
    once. On another machine or in another container, whatever its name, only the heartbeat can
    tell, and so it is for the workers of earlier releases, who did not say where they were.
    """
    row = (
        connection.execute(select(workers).where(workers.c.worker_id == worker_id))
        .mappings()
        .one_or_none()
    )
    if row is None or row["ended_at"] is not None:
        return False
    return not _is_gone(row, _by_the_ledger(connection, now))


def _is_gone(row: RowMapping, now: datetime) -> bool:
    process = ProcessIdentity(
        row["host"], row["boot_id"], row["pid_namespace"], row["pid"], row["pid_started"]
    )
    runs = process.runs()
    if runs is not None:
        return not runs
    return row["ended_at"] is None and now - row["heartbeat_at"] >= _SILENT_AFTER


def _by_the_ledger(connection: Connection, now: datetime) -> datetime:
    """Return a time of this machine's clock by the clock that all machines share, if there is one.

    A machine whose clock is half a minute behind would be silent from its first heartbeat on. A
    file is shared by processes of one kernel, whose clock is one.
    """
    if connection.dialect.name != "postgresql":
        return now
    theirs = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now + (theirs - datetime.now(UTC))
