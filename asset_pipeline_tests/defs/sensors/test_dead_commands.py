"""Runs whose command was killed are cancelled; those of living commands elsewhere are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterRun, DagsterRunStatus
from sqlalchemy import update

from asset_pipeline.cli._runs import cancel_dead_runs
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import workers
from asset_pipeline.processes import ProcessIdentity, this_process
from asset_pipeline_tests.support.dead_processes import open_books
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.project import Project

_STARTED, _CANCELED = DagsterRunStatus.STARTED, DagsterRunStatus.CANCELED


@pytest.fixture
def books(project: Project) -> Iterator[Books]:
    """The project's ledger."""
    del project
    books = open_books()
    yield books
    books.close()


def _left(project: Project, books: Books, process: str, host: str = "") -> DagsterRunStatus:
    """Return what becomes of a started run of a process, after the dead ones were ended."""
    run = _run(project, process, host)
    cancel_dead_runs(project.instance, LedgerReader(books.ledger.engine))
    return _status(project, run)


def _run(project: Project, process: str, host: str = "") -> DagsterRun:
    tags = {
        "asset_pipeline/host": host or this_process().host,
        "asset_pipeline/process": process,
    }
    return project.instance.add_run(DagsterRun("image_clips", status=_STARTED, tags=tags))


def _status(project: Project, run: DagsterRun) -> DagsterRunStatus:
    found = project.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_living_commands_run_goes_on(project: Project, books: Books) -> None:
    """This very process is the command."""
    assert _left(project, books, this_process().to_text()) is _STARTED


def test_a_killed_commands_run_is_cancelled(project: Project, books: Books) -> None:
    """Its number is somebody else's, or nobody's."""
    own = this_process()
    assert _left(project, books, replace(own, started=own.started - 9).to_text()) is _CANCELED


@pytest.mark.parametrize("silent", [10, 60])
def test_of_a_twins_run_the_heartbeat_tells(project: Project, books: Books, silent: int) -> None:
    """A container of this host's name has other processes: only its silence tells its death."""
    own = this_process()
    twin = ProcessIdentity(own.host, own.boot_id, "pid:[1]", 1, 1.0)
    run = _run(project, twin.to_text())
    worker_id = books.ledger.start_worker(run.run_id)
    with books.ledger.engine.begin() as connection:
        connection.execute(
            update(workers)
            .where(workers.c.worker_id == worker_id)
            .values(
                pid_namespace="pid:[1]",
                pid=1,
                heartbeat_at=datetime.now(UTC) - timedelta(seconds=silent),
            )
        )
    ended = cancel_dead_runs(project.instance, LedgerReader(books.ledger.engine))
    assert ended == (silent > 30)
    assert _status(project, run) is (_CANCELED if silent > 30 else _STARTED)


@pytest.mark.parametrize("process", ["12@1764000000", "nonsense"])
def test_an_earlier_releases_run_is_left_to_its_heartbeat(
    project: Project, books: Books, process: str
) -> None:
    """It did not say where it was, so its number means nothing."""
    assert _left(project, books, process) is _STARTED
