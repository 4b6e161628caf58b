"""The partitions of a step, and how failures outside its partition range are shown.

Dagster knows one partition or one contiguous range a run. A selection such as "the seven that
failed" is neither, and the smallest covering range would plan, and on failure mark as failed,
partitions that nobody asked for. Such a run is a run of its first partition and carries all its
keys in its config. (A run without any partition fails in Dagster 1.13 when it looks up the data
version of a partitioned upstream.)
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEvent, DagsterInstance

from asset_pipeline.defs._dagster_private import AssetMaterializationPlannedData
from asset_pipeline.defs.events import store_events


def announce(context: dg.AssetExecutionContext, partitions: Collection[str]) -> None:
    """Log partitions outside the run's own range as planned, as Dagster does inside it.

    A planned partition shows as in progress until it lands, and as failed when its run fails
    without it. All are announced in one write.
    """
    step = str(context.op_execution_context.op_handle)
    store_events(
        context.instance,
        context.run.run_id,
        [
            DagsterEvent.build_asset_materialization_planned_event(
                context.job_name,
                step,
                AssetMaterializationPlannedData(context.asset_key, partition=partition),
            )
            for partition in sorted(partitions)
        ],
        step_key=step,
        level=logging.DEBUG,
    )


def unfinished(context: dg.AssetExecutionContext, partitions: Iterable[str]) -> list[str]:
    """Return the partitions that this run has not materialized yet: a retry takes up only those."""
    if context.retry_number == 0:
        return list(partitions)
    landed = {
        record.partition_key
        for record in _records(context.instance, context.run.run_id)
        if record.asset_key == context.asset_key
    }
    return [partition for partition in partitions if partition not in landed]


def family_started(context: dg.AssetExecutionContext) -> datetime:
    """Return when the first run of this run's retries was created.

    What was paid since then was paid on this request's behalf, so `force` does not pay it again.
    """
    root = context.run.root_run_id or context.run.run_id
    record = context.instance.get_run_record_by_id(root)
    created = (
        context.instance.get_run_record_by_id(context.run.run_id) if record is None else record
    )
    if created is None:
        return datetime.now(UTC)
    return created.create_timestamp.astimezone(UTC)


def _records(instance: DagsterInstance, run_id: str) -> Iterable[dg.EventLogRecord]:
    cursor: str | None = None
    more = True
    while more:
        page = instance.get_records_for_run(
            run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1000
        )
        yield from page.records
        cursor, more = page.cursor, page.has_more
