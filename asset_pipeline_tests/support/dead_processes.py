"""Workers and intents in a project's ledger, as processes that lived and died leave them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import update

from asset_pipeline.ledger.schema import intents, workers
from asset_pipeline.processes import started_of
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.support.ledgers import Books


def open_books() -> Books:
    """The ledger of the project that the environment names."""
    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return Books(SecretStr(settings.ledger_url.get_secret_value()))


def kill(books: Books, worker_id: str, *, ended: bool = False) -> None:
    """Make a worker one whose process is gone, with or without an end of its session."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = started_of(process.pid)
    process.communicate(b"\n")
    end = datetime.now(UTC) if ended else None
    _change(books, worker_id, pid=process.pid, pid_started=started, ended_at=end)


def move_away(books: Books, worker_id: str, *, silent_for: timedelta, ended: bool = False) -> None:
    """Make a worker one of another machine that was last heard of some time ago."""
    last = datetime.now(UTC) - silent_for
    _change(books, worker_id, host="elsewhere", heartbeat_at=last, ended_at=last if ended else None)


def age(books: Books, intent_id: str, by: timedelta) -> None:
    """Let an intent have sat in its state for so long."""
    then = books.ledger.intent(intent_id).updated_at - by
    with books.ledger.engine.begin() as connection:
        connection.execute(
            update(intents).where(intents.c.intent_id == intent_id).values(updated_at=then)
        )


def _change(books: Books, worker_id: str, **values: object) -> None:
    with books.ledger.engine.begin() as connection:
        connection.execute(update(workers).where(workers.c.worker_id == worker_id).values(**values))
