"""Who is alive: each process that pays has a row here, with a heartbeat.

Its intents are left alone while it lives and can be adopted once it is dead.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

import psutil
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from asset_pipeline.ledger import intents
from asset_pipeline.ledger.schema import IntentState, waiting, workers

HEARTBEAT_SECONDS = 5.0

# Six missed beats: a process that swaps or waits for a busy ledger is not declared dead.
_SILENT_AFTER = timedelta(seconds=30)


def register(connection: Connection, run_id: str, now: datetime) -> str:
    """Enter this process as a worker and return the worker id."""
    worker_id = uuid.uuid4().hex
    connection.execute(
        insert(workers).values(
            worker_id=worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            pid_started=psutil.Process().create_time(),
            run_id=run_id,
            started_at=now,
            heartbeat_at=now,
        )
    )
    return worker_id


def beat(connection: Connection, worker_id: str, now: datetime) -> None:
    """Say that the worker is alive."""
    connection.execute(
        update(workers).where(workers.c.worker_id == worker_id).values(heartbeat_at=now)
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
    """Return those runs whose process is gone without a trace; none that never had a worker.

    A run's worker ends in order before the run does, so on this machine the process alone can tell.
    On another one only a heartbeat that stopped without an end tells.
    """
    rows = connection.execute(
        select(workers).where(workers.c.run_id.in_(run_ids)).order_by(workers.c.started_at)
    ).mappings()
    # A step that is retried enters a worker each time; the latest is where the run stands.
    latest = {row["run_id"]: row for row in rows}
    return {run_id for run_id, row in latest.items() if _is_gone(row, now)}


def is_alive(connection: Connection, worker_id: str, now: datetime) -> bool:
    """Tell whether a worker still drives its intents.

    On this machine the process itself is looked at, so that a killed worker's intents are free
    at once; on another one only the heartbeat can tell.
    """
    row = (
        connection.execute(select(workers).where(workers.c.worker_id == worker_id))
        .mappings()
        .one_or_none()
    )
    if row is None or row["ended_at"] is not None:
        return False
    return not _is_gone(row, now)


def _is_gone(row: RowMapping, now: datetime) -> bool:
    if row["host"] == socket.gethostname():
        return not _process_runs(row)
    return row["ended_at"] is None and now - row["heartbeat_at"] >= _SILENT_AFTER


def _process_runs(row: RowMapping) -> bool:
    try:
        process = psutil.Process(row["pid"])
        # A second of slack: the create time is derived from the boot time, which NTP may nudge.
        return (
            abs(process.create_time() - row["pid_started"]) < 1
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
