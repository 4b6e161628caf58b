"""Who is alive: where the process itself can be looked at, it is; else its heartbeat tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import psutil
import pytest
from sqlalchemy import update

from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import workers
from asset_pipeline.processes import started_of
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledgers import Books


@pytest.fixture
def books(new_sqlite: NewLedger, clock: FakeClock) -> Generator[Books]:
    """A ledger with this process as its worker."""
    books = Books(new_sqlite(), clock)
    yield books
    books.close()


@pytest.fixture
def child() -> Generator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _enter(books: Books, process: subprocess.Popen[bytes]) -> str:
    """Make the worker's row that of a child."""
    worker = books.payer.worker_id
    started = started_of(process.pid)
    with books.ledger.engine.begin() as connection:
        connection.execute(update(workers).values(pid=process.pid, pid_started=started))
    return worker


def test_this_process_is_alive_however_long_it_is_silent(books: Books, clock: FakeClock) -> None:
    """A process that swaps, or waits for a busy ledger, is not declared dead."""
    clock.advance(3600)
    assert books.ledger.is_alive(books.payer.worker_id)


def test_a_killed_process_is_dead_at_once(books: Books, child: subprocess.Popen[bytes]) -> None:
    """Its heartbeat is fresh, and its intents are free all the same; as a zombie as well."""
    worker = _enter(books, child)
    assert books.ledger.is_alive(worker)
    os.kill(child.pid, signal.SIGKILL)
    status = Path(f"/proc/{child.pid}/stat")
    while status.exists() and ") Z " not in status.read_text():
        pass
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not books.ledger.is_alive(worker)
    child.wait()
    assert not books.ledger.is_alive(worker)


def test_a_stopped_process_is_alive(books: Books, child: subprocess.Popen[bytes]) -> None:
    """A process that was only stopped goes on where it was: nobody may take its work."""
    worker = _enter(books, child)
    child.send_signal(signal.SIGSTOP)
    assert books.ledger.is_alive(worker)
    child.send_signal(signal.SIGCONT)


def test_a_reused_process_id_is_somebody_else(books: Books) -> None:
    """After a reboot another process may have the number: its start tells."""
    with books.ledger.engine.begin() as connection:
        connection.execute(update(workers).values(pid_started=workers.c.pid_started - 3600))
    assert not books.ledger.is_alive(books.payer.worker_id)


@pytest.mark.parametrize("column", ["host", "boot_id", "pid_namespace"])
@pytest.mark.parametrize("value", ["", "another"])
def test_elsewhere_the_heartbeat_alone_tells(
    books: Books, clock: FakeClock, column: str, value: str
) -> None:
    """A twin's number may be nobody's here, and a row of an earlier release says no place."""
    worker = books.payer.worker_id
    with books.ledger.engine.begin() as connection:
        connection.execute(update(workers).values({column: value, "pid": 2**22 + 1}))
    assert books.ledger.is_alive(worker)
    clock.advance(31)
    assert not books.ledger.is_alive(worker)


def test_a_machine_whose_clock_is_behind_is_alive(
    new_postgres: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that share a ledger go by its server's clock: a minute between them is nothing."""
    books = Books(new_postgres())

    class Behind(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Behind:
            return cls.fromtimestamp(time.time() - 90, tz)

    with monkeypatch.context() as slow:
        slow.setattr("asset_pipeline.ledger.workers.datetime", Behind)
        slow.setattr("asset_pipeline.clock.datetime", Behind)
        worker = books.ledger.start_worker("behind")
        books.ledger.beat(worker)
    with books.ledger.engine.begin() as connection:
        connection.execute(update(workers).values(boot_id="another"))
    assert books.ledger.is_alive(worker)
    reader = LedgerReader(books.ledger.engine)
    assert reader.dead_runs(["behind"], datetime.now(UTC)) == set()
    assert reader.dead_runs(["behind"], datetime.now(UTC) + timedelta(seconds=31)) == {"behind"}
    books.close()
