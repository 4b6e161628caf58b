"""The ledger's care as jobs, and when they run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import dagster as dg
import httpx
import pytest
from sqlalchemy import update

from asset_pipeline.automation.schedules import AUDIT_SCHEDULE, RECONCILE_SCHEDULE
from asset_pipeline.ledger.schema import IntentState, budgets
from asset_pipeline_tests.automation.paying import kill, open_books
from asset_pipeline_tests.ledger.books import Books
from asset_pipeline_tests.project import SCHNELL, Project


@pytest.fixture
def books(project: Project) -> Iterator[Books]:
    """The project's ledger."""
    del project
    books = open_books()
    yield books
    books.close()


def _run(project: Project, job: str) -> dg.ExecuteInProcessResult:
    return project.defs.resolve_job_def(job).execute_in_process(
        instance=project.instance, raise_on_error=False
    )


def _buy(project: Project, prompt: str) -> str:
    """Pay for a prediction without a ledger."""
    reply = httpx.post(
        f"{project.url}/v1/models/{SCHNELL}/predictions",
        json={"input": {"prompt": prompt}},
        headers={"Authorization": "Bearer r8_sandbox", "Prefer": "wait=10"},
        timeout=20,
    )
    prediction_id: str = reply.raise_for_status().json()["id"]
    return prediction_id


def _said(result: dg.ExecuteInProcessResult, step: str) -> str:
    data = result.failure_data_for_node(step)
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data.description or ""


def test_reconcile_finishes_what_is_open(project: Project, books: Books) -> None:
    """What was never sent is released, what was accepted is delivered, the figures are shown."""
    unsent = books.reserve("unsent")
    sent = books.ledger.start_submitting(books.reserve("sent"))
    sent = books.ledger.accept(sent, _buy(project, "a lighthouse"))
    kill(books, books.payer.worker_id)
    result = _run(project, "reconcile")
    assert result.success
    assert books.ledger.intent(unsent.intent_id).state is IntentState.REFUSED
    assert books.ledger.intent(sent.intent_id).state is IntentState.DELIVERED
    assert books.balance()[1:] == (3000, 0)
    (event,) = [event for event in result.all_node_events if event.is_successful_output]
    shown = event.step_output_data.metadata
    assert (shown["delivered"].value, shown["released"].value, shown["open"].value) == (1, 1, 0)


def test_reconcile_sweeps(project: Project) -> None:
    """Old temporary files go even when no intent is open."""
    left = project.root / "data" / "scratch" / f"{'0a' * 16}.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a picture")
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    assert _run(project, "reconcile").success
    assert not left.exists()


def test_reconcile_asks_no_provider_when_nothing_is_open(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hourly job must not start a sandbox, nor fail without a token, for nothing."""
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "replicate")
    assert _run(project, "reconcile").success


def test_reconcile_works_without_the_prompt_files(project: Project, books: Books) -> None:
    """The prompts folder is gone; what is paid for lands all the same."""
    sent = books.ledger.start_submitting(books.reserve())
    sent = books.ledger.accept(sent, _buy(project, "a lighthouse"))
    kill(books, books.payer.worker_id)
    project.prompts_dir.rmdir()
    assert _run(project, "reconcile").success
    assert books.ledger.intent(sent.intent_id).state is IntentState.DELIVERED


def test_an_audit_that_agrees_succeeds(project: Project, books: Books) -> None:
    """Everything that the sandbox made in the last days for others is recorded first."""
    del books
    _run(project, "audit_spending")
    assert _run(project, "audit_spending").success


def test_an_audit_fails_with_what_did_not_agree(project: Project, books: Books) -> None:
    """An edited balance and an orphan are named, each by its own step."""
    _run(project, "audit_spending")
    books.delivered()
    with books.ledger.engine.begin() as connection:
        connection.execute(
            update(budgets).where(budgets.c.budget == "total").values(charged_microusd=1)
        )
    orphan = _buy(project, "a stranger's cat")
    result = _run(project, "audit_spending")
    assert not result.success
    assert "budget total: its entries sum to charged" in _said(result, "audit_ledger")
    assert f"{orphan} ({SCHNELL}" in _said(result, "audit_orphans")
    assert "$0.003, recorded now" in _said(result, "audit_orphans")


@pytest.mark.parametrize("schedule", [RECONCILE_SCHEDULE, AUDIT_SCHEDULE])
def test_schedules_are_hourly_and_in_utc(schedule: dg.ScheduleDefinition) -> None:
    """Whatever zone the server is in."""
    assert schedule.execution_timezone == "UTC"
    assert isinstance(schedule.cron_schedule, str)
    minute, *rest = schedule.cron_schedule.split()
    assert 0 < int(minute) < 60
    assert rest == ["*"] * 4


def test_only_what_costs_nothing_is_on_by_itself() -> None:
    """The audit writes what it finds on the account, so somebody has to turn it on."""
    assert RECONCILE_SCHEDULE.default_status is dg.DefaultScheduleStatus.RUNNING
    assert AUDIT_SCHEDULE.default_status is dg.DefaultScheduleStatus.STOPPED
