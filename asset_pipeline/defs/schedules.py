"""The schedules; their times are in ``schedules.yaml``."""

from __future__ import annotations

from datetime import UTC, timedelta

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.chunks import chunks
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.custody_jobs import fsck_job, retention_job
from asset_pipeline.defs.jobs import (
    CLIP_JOBS,
    COST_REPORT_JOB,
    audit_job,
    reconcile_job,
)
from asset_pipeline.defs.prompt_states import failed_prompts
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.run_requests import clip_run
from asset_pipeline.defs.schedules_file import ScheduleEntry, Schedules
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.budgets import CapsSource
from asset_pipeline.settings import load_settings


def build_schedules(schedules: Schedules) -> list[dg.ScheduleDefinition]:
    """Return all schedules at the times that were asked for."""
    zone = schedules.timezone
    return [
        _plain("reconcile_hourly", reconcile_job, schedules.reconcile, zone, _RECONCILE),
        _plain("audit_hourly", audit_job, schedules.audit, zone, _AUDIT),
        _plain("retention_weekly", retention_job, schedules.retention, zone, _RETENTION),
        _plain("fsck_weekly", fsck_job, schedules.fsck, zone, _FSCK),
        _cost_report(schedules.cost_report, zone),
        *(_retry_failed(kind, schedules.retry_failed, zone) for kind in Kind),
    ]


_RECONCILE = (
    "Finish what dead processes left open. On from the start: it sends nothing, and asks the "
    "provider only when something is open."
)
_AUDIT = (
    "Compare the ledger with its own entries and the provider's list. On from the start; turn it "
    "off where others use the same account: what they spend on it is charged to the budgets here."
)
_RETENTION = "Show what the retention rules let go, and delete it where the rules say so."
_FSCK = "Read every stored clip back and compare it with the ledger; on S3 reading costs money."


def _plain(
    name: str, job: dg.JobDefinition, timing: ScheduleEntry, zone: str, description: str
) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=timing.cron,
        execution_timezone=zone,
        default_status=_status(timing),
        description=description,
    )


def _cost_report(timing: ScheduleEntry, zone: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="cost_report_daily",
        job=COST_REPORT_JOB,
        cron_schedule=timing.cron,
        execution_timezone=zone,
        default_status=_status(timing),
        description="Report what the last whole UTC day cost.",
    )
    def cost_report_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(run_key=str(day), partition_key=str(day))

    return cost_report_daily


def _retry_failed(kind: Kind, timing: ScheduleEntry, zone: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"retry_failed_{kind}",
        job=CLIP_JOBS[kind],
        cron_schedule=timing.cron,
        execution_timezone=zone,
        default_status=_status(timing),
        description=f"Run the {kind} partitions that show as failed once more, all of them in one "
        "run and no others. It pays, so it is off until somebody turns it on.",
    )
    def retry_failed(
        context: dg.ScheduleEvaluationContext, prompt_library: PromptLibraryResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            prompts = prompt_library.load().library.of_kind(kind)
            caps = CapsSource(load_settings()).current()
        except AssetPipelineError as error:
            return dg.SkipReason(str(error))
        failed = failed_prompts(context.instance, kind, prompts.values())
        if not failed:
            return dg.SkipReason(f"No {kind} partition shows as failed.")
        again = [prompts[prompt_id] for prompt_id in failed]
        return [clip_run(kind, run, caps) for run in chunks(again, PARTITIONS_A_RUN)]

    return retry_failed


def _status(timing: ScheduleEntry) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if timing.is_on else dg.DefaultScheduleStatus.STOPPED
