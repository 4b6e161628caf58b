"""A run whose process is gone is ended so that the daemon repeats it; no other run is touched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.sensors.dead_processes import dead_runs_sensor
from asset_pipeline_tests.support.dead_processes import kill, move_away, open_books
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.project import Project

_LOCATION = ManagedGrpcPythonEnvCodeLocationOrigin(
    LoadableTargetOrigin(module_name="asset_pipeline.definitions"), location_name="asset_pipeline"
)
_ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(_LOCATION, "__repository__"), "image_clips")


@pytest.fixture
def books(project: Project) -> Iterator[Books]:
    """The project's ledger."""
    del project
    books = open_books()
    yield books
    books.close()


def _started(instance: DagsterInstance, *, by_daemon: bool = True) -> DagsterRun:
    """A run that has started and not ended."""
    run = DagsterRun(
        "image_clips",
        status=DagsterRunStatus.STARTED,
        remote_job_origin=_ORIGIN if by_daemon else None,
    )
    return instance.add_run(run)


def _tick(project: Project) -> str:
    context = dg.build_sensor_context(
        instance=project.instance, resources={"ledger": LedgerResource()}
    )
    reason = dead_runs_sensor(context)
    assert isinstance(reason, dg.SkipReason)
    return reason.skip_message or ""


def _status(project: Project, run: DagsterRun) -> DagsterRunStatus:
    found = project.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_whose_process_is_gone_fails(project: Project, books: Books) -> None:
    """It failed for no step's reason, which is what the daemon's run retries wait for."""
    run = _started(project.instance)
    kill(books, books.ledger.start_worker(run.run_id))
    assert _tick(project) == f"Ended 1 dead runs: {run.run_id}."
    assert _status(project, run) is DagsterRunStatus.FAILURE
    failed = project.instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.tags.get("dagster/failure_reason") != "STEP_FAILURE"
    assert _tick(project) == "No run has started and not ended."


def test_a_living_run_goes_on(project: Project, books: Books) -> None:
    """This very process is its worker."""
    run = _started(project.instance)
    books.ledger.start_worker(run.run_id)
    assert "none is known to be dead" in _tick(project)
    assert _status(project, run) is DagsterRunStatus.STARTED


def test_a_run_without_a_worker_yet_is_left_alone(project: Project) -> None:
    """It may be importing, or be a run that never pays."""
    run = _started(project.instance)
    assert "none is known to be dead" in _tick(project)
    assert _status(project, run) is DagsterRunStatus.STARTED


def test_the_latest_worker_counts(project: Project, books: Books) -> None:
    """A step that waits for its retry has an ended session and a living process."""
    run = _started(project.instance)
    books.ledger.end_worker(books.ledger.start_worker(run.run_id))
    assert "none is known to be dead" in _tick(project)
    kill(books, books.ledger.start_worker(run.run_id))
    assert run.run_id in _tick(project)


def test_a_process_that_died_after_its_session_counts_too(project: Project, books: Books) -> None:
    """It was killed while it waited for a retry, or while it wrote its last events."""
    run = _started(project.instance)
    kill(books, books.ledger.start_worker(run.run_id), ended=True)
    assert run.run_id in _tick(project)


@pytest.mark.parametrize(
    ("silent", "ended", "dead"), [(60, False, True), (10, False, False), (60, True, False)]
)
def test_on_another_machine_the_heartbeat_tells(
    project: Project, books: Books, silent: int, *, ended: bool, dead: bool
) -> None:
    """Half a minute of silence without an end is death; a session that ended tells nothing."""
    run = _started(project.instance)
    worker_id = books.ledger.start_worker(run.run_id)
    move_away(books, worker_id, silent_for=timedelta(seconds=silent), ended=ended)
    assert (run.run_id in _tick(project)) is dead


def test_a_commands_run_is_cancelled(project: Project, books: Books) -> None:
    """No daemon can repeat it: its prompts are missing again, for the next `generate`."""
    run = _started(project.instance, by_daemon=False)
    kill(books, books.ledger.start_worker(run.run_id))
    assert run.run_id in _tick(project)
    assert _status(project, run) is DagsterRunStatus.CANCELED


def test_a_run_that_ended_meanwhile_keeps_its_end(
    project: Project, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process wrote its last event after the runs were listed, and then was gone."""
    run = _started(project.instance)
    kill(books, books.ledger.start_worker(run.run_id))
    listed = project.instance.get_runs

    def get_runs_and_let_it_end(*args: object, **kwargs: object) -> object:
        found = listed(*args, **kwargs)
        project.instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "image_clips"), run.run_id
        )
        return found

    monkeypatch.setattr(project.instance, "get_runs", get_runs_and_let_it_end)
    assert "none is known to be dead" in _tick(project)
    assert _status(project, run) is DagsterRunStatus.SUCCESS
