"""The ledger's care as jobs, and when they run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextvars import copy_context
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import httpx
import pytest
from sqlalchemy import update

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.schedules import build_schedules
from asset_pipeline.defs.schedules_file import read_schedules
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.schema import IntentState, budgets, intents
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.dead_processes import kill, open_books
from asset_pipeline_tests.support.ledgers import Books
from asset_pipeline_tests.support.project import SCHNELL, Project


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


def test_an_audit_out_of_the_providers_reach_is_no_disagreement(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs each hour by itself: a token that is missing, or an outage, is a warning."""
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "replicate")
    assert _run(project, "audit_spending").success
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_x")
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://127.0.0.1:1")
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


def _schedules(config: Path) -> dict[str, dg.ScheduleDefinition]:
    return {each.name: each for each in build_schedules(read_schedules(config))}


def test_what_pays_or_deletes_is_off_by_itself(tmp_path: Path) -> None:
    """Without a file everything is in UTC, and only what costs nothing is on."""
    schedules = _schedules(tmp_path)
    assert {each.execution_timezone for each in schedules.values()} == {"UTC"}
    on = {
        name
        for name, each in schedules.items()
        if each.default_status is dg.DefaultScheduleStatus.RUNNING
    }
    assert on == {"reconcile_hourly", "audit_hourly", "cost_report_daily"}
    assert schedules["reconcile_hourly"].cron_schedule != schedules["audit_hourly"].cron_schedule


def test_times_and_zone_are_in_a_file(tmp_path: Path) -> None:
    """What the file does not say stays as it is."""
    (tmp_path / "schedules.yaml").write_text(
        'timezone: Europe/Berlin\nretry_failed: {cron: "5 1 * * *", on: true}\naudit: {on: false}\n'
    )
    schedules = _schedules(tmp_path)
    assert {each.execution_timezone for each in schedules.values()} == {"Europe/Berlin"}
    for kind in Kind:
        retry = schedules[f"retry_failed_{kind}"]
        assert retry.cron_schedule == "5 1 * * *"
        assert retry.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedules["audit_hourly"].cron_schedule == "17 * * * *"
    assert schedules["audit_hourly"].default_status is dg.DefaultScheduleStatus.STOPPED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("retry_failed: {cron: often}", "retry_failed.cron"),
        ("timezone: Bavaria", "timezone"),
        ("retry_failed: {cron: '1 1 * * *', at: noon}", "retry_failed.at"),
        ("nightly: {on: true}", "nightly"),
        ("audit: {on: sometimes}", "audit.on"),
        ("- audit", "not a mapping"),
        ("audit: [", "not YAML"),
        ("audit: {on: true}\naudit: {on: false}", "given twice"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, content: str, said: str) -> None:
    """Nothing would run at the time that somebody wrote down."""
    (tmp_path / "schedules.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        read_schedules(tmp_path)


def _evaluate(project: Project, name: str, at: datetime) -> dg.ScheduleExecutionData:
    context = dg.build_schedule_context(
        instance=project.instance,
        scheduled_execution_time=at,
        resources={"prompt_library": PromptLibraryResource()},
        repository_def=project.defs.get_repository_def(),
    )
    # Evaluating leaves the instance behind in a context variable.
    schedule = project.defs.resolve_schedule_def(name)
    return copy_context().run(schedule.evaluate_tick, context)


def test_the_nightly_retry_takes_up_what_failed_and_nothing_else(project: Project) -> None:
    """One run for the failed partitions; what landed or was never asked for is left alone."""
    project.write(
        Kind.IMAGE,
        *({"id": name, "text": f"A {name}"} for name in ("ash", "birch", "cedar", "doum", "elm")),
    )
    project.sync()
    project.fault(
        {"fault": "failed", "match": {"prompt": "ash"}, "params": {"error": "NSFW"}},
        {"fault": "failed", "match": {"prompt": "doum"}, "params": {"error": "NSFW"}},
    )
    project.run(Kind.IMAGE, span=("ash", "doum"))
    project.heal()
    (request,) = _evaluate(project, "retry_failed_image", NOON).run_requests or ()
    assert request.run_config == {"ops": {"image": {"config": {"prompt_ids": ["ash", "doum"]}}}}
    assert request.partition_key == "ash"
    assert _evaluate(project, "retry_failed_audio", NOON).run_requests == []
    paid = len(project.charges())
    result = project.defs.resolve_job_def("image_clips").execute_in_process(
        instance=project.instance, partition_key="ash", run_config=request.run_config
    )
    assert result.success
    assert len(project.charges()) == paid + 2
    assert project.statuses(Kind.IMAGE)["elm"] is None
    assert _evaluate(project, "retry_failed_image", NOON).run_requests == []


def test_the_cost_report_is_of_the_last_whole_day(project: Project) -> None:
    """Early on a day in Berlin it is yesterday in UTC still, and the day before is reported."""
    at = datetime(2026, 11, 21, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    (request,) = _evaluate(project, "cost_report_daily", at).run_requests or ()
    assert request.partition_key == "2026-11-19"


def test_a_cost_report_adds_up(project: Project) -> None:
    """Charges, waste and headroom are the ledger's; a day without any is reported as well."""
    project.write(Kind.IMAGE, {"id": "ash", "text": "An ash"}, {"id": "birch", "text": "A birch"})
    project.sync()
    project.fault({"fault": "blank", "match": {"prompt": "birch"}})
    project.run(Kind.IMAGE, "ash", "birch")
    wasted = project.charged() - 3000
    assert wasted >= 3000
    noon = NOON - timedelta(days=200)
    with LedgerResource().open() as book, book.engine.begin() as connection:
        connection.execute(update(intents).values(completed_at=noon))
    job = project.defs.resolve_job_def("report_costs")
    for day, charged in ((noon.date(), project.charged()), (date(2026, 1, 2), 0)):
        result = job.execute_in_process(instance=project.instance, partition_key=str(day))
        (event,) = result.asset_materializations_for_node("cost_report")
        assert event.metadata["charged_usd"].value == charged / 1_000_000
        assert event.metadata["wasted_usd"].value == (wasted / 1_000_000 if charged else 0)
        written = (project.root / "data" / "reports" / f"cost-{day}.md").read_text()
        assert written == event.metadata["report"].value
        assert "| total | $100.00 |" in written
        assert (f"| images | image | {SCHNELL} |" in written) == bool(charged)
