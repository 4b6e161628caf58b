"""Schedules: the ledger's care, by the hour."""

from __future__ import annotations

import dagster as dg

from asset_pipeline.automation.jobs import audit_job, reconcile_job

# Every hour, not at its beginning, when everybody else's jobs start, and not both at once. A clip
# that a dead process left is fetched sooner, by the `stale_intents` sensor: the provider keeps an
# output for an hour.
_RECONCILE_AT = "7 * * * *"
_AUDIT_AT = "17 * * * *"

# Servers move between zones and summer time skips an hour; budgets are in UTC as well.
_ZONE = "UTC"

RECONCILE_SCHEDULE = dg.ScheduleDefinition(
    name="reconcile_hourly",
    job=reconcile_job,
    cron_schedule=_RECONCILE_AT,
    execution_timezone=_ZONE,
    # On from the start: it sends nothing, and asks the provider only when something is open.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: finish what dead processes left open.",
)

AUDIT_SCHEDULE = dg.ScheduleDefinition(
    name="audit_hourly",
    job=audit_job,
    cron_schedule=_AUDIT_AT,
    execution_timezone=_ZONE,
    # Off until somebody knows that the account is this ledger's alone: what others spend on it
    # would be charged to the budgets here.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every hour: hold the ledger against itself and the provider's list. Turn it on "
    "where nothing else uses the same account.",
)
