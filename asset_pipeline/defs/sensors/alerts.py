"""Alerts about failed runs, for people who do not look at the UI."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import dagster as dg
from dagster import DagsterEvent, DagsterRun

from asset_pipeline.defs._dagster_private import WILL_RETRY_TAG
from asset_pipeline.defs.failure_events import FAILED_BY_CLASS
from asset_pipeline.defs.process_logs import start_logs
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.sensors.alert_outbox import AlertOutbox
from asset_pipeline.defs.sensors.alert_text import Alert, FailedClass
from asset_pipeline.desk_links import failures_link
from asset_pipeline.disclosure.process_redactor import redactor
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd
from asset_pipeline.settings import load_settings

_HIDDEN_JOB = "__ASSET_JOB"


def build_alert_sensor(outbox: AlertOutbox) -> dg.SensorDefinition:
    """Return the sensor that sends an alert for each failed run, without waiting for it."""

    @dg.run_failure_sensor(
        name="alerts",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts each failed run to ASSET_PIPELINE_ALERT_WEBHOOK_URL, in a form that "
        "Slack shows. Without that variable it does nothing; a run that the daemon repeats by "
        "itself is not told.",
    )
    def alerts(context: dg.RunFailureSensorContext, ledger: LedgerResource) -> dg.SkipReason | None:
        settings = load_settings()
        url = settings.alert_webhook_url
        if url is None:
            return dg.SkipReason("ASSET_PIPELINE_ALERT_WEBHOOK_URL is not set.")
        if urlsplit(url.get_secret_value()).scheme not in ("http", "https"):
            return dg.SkipReason("ASSET_PIPELINE_ALERT_WEBHOOK_URL is no http(s) address.")
        run = context.dagster_run
        if run.tags.get(WILL_RETRY_TAG) == "true":
            return dg.SkipReason(f"Run {run.run_id} is run again by the daemon.")
        start_logs(settings)
        alert = _alert(context, ledger)
        payload = redactor().value(alert.payload())
        if not outbox.put(url, cast("Mapping[str, Any]", payload), run.run_id):
            return dg.SkipReason(f"Run {run.run_id} gets no alert: too many alerts are waiting.")
        return None

    return alerts


def _alert(context: dg.RunFailureSensorContext, ledger: LedgerResource) -> Alert:
    run, steps = context.dagster_run, context.get_step_failure_events()
    alert = Alert(
        job=_name(run),
        run_id=run.run_id,
        failed=_failed(steps),
        error=_error(steps) or context.failure_event.message or "it did not say why",
        desk=failures_link(load_settings().service_url),
    )
    record = context.instance.get_run_record_by_id(run.run_id)
    since = record.create_timestamp if record is not None else datetime.now(UTC)
    try:
        with ledger.open() as book:
            reader = LedgerReader(book.engine)
            paid, still_open = reader.charged_by([run.run_id], since), reader.open_intents()
    except AssetPipelineError:
        return alert
    return replace(
        alert,
        paid=paid,
        held=MicroUsd(sum(group.reserved for group in still_open)),
        unsettled=sum(group.count for group in still_open),
    )


def _name(run: DagsterRun) -> str:
    """Return a readable name of the run: a backfill's job has none of its own."""
    if not run.job_name.startswith(_HIDDEN_JOB) or not run.asset_selection:
        return run.job_name
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection))


def _failed(steps: Sequence[DagsterEvent]) -> list[FailedClass]:
    """Return what the failures of batches say about their prompts."""
    return [
        FailedClass(error_class, found["count"], found["prompts"], found["next"])
        for step in steps
        for error_class, found in _by_class(step).items()
    ]


def _by_class(step: DagsterEvent) -> Mapping[str, Any]:
    told = step.step_failure_data.user_failure_data
    value = told.metadata.get(FAILED_BY_CLASS) if told is not None else None
    return cast("Mapping[str, Any]", value.value) if isinstance(value, dg.JsonMetadataValue) else {}


def _error(steps: Sequence[DagsterEvent]) -> str:
    """Return the innermost error of the first step that has one, as one line."""
    error = next((step.step_failure_data.error for step in steps), None)
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else " ".join(error.message.split())
