"""Showing in Dagster that a clip is gone: its partition turns from landed to failed.

Open-source Dagster can't take back the materialization of one partition (`wipe_asset_partitions` is
not implemented for its storages, tried on 1.13), and doing so would lose its history. What its UI
goes by is a later plan to materialize that ended in a failed run: so the run that found the loss
plans the partition, and fails.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import dagster as dg
from dagster import DagsterEvent, DagsterInstance, DagsterRun, DagsterRunStatus

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs._dagster_private import (
    AssetMaterializationPlannedData,
    AssetPartitionStatus,
    make_new_run_id,
)
from asset_pipeline.defs.partitions import PARTITIONS

FSCK_JOB = "fsck"

LostPrompts = Mapping[Kind, Collection[str]]


def shown_as_landed(instance: DagsterInstance, lost: LostPrompts) -> dict[Kind, list[str]]:
    """Return those of the prompts whose partitions Dagster still shows as materialized."""
    shown: dict[Kind, list[str]] = {}
    for kind, prompt_ids in lost.items():
        if not prompt_ids:
            continue
        found = instance.get_status_by_partition(
            dg.AssetKey(kind.value), list(prompt_ids), PARTITIONS[kind]
        )
        landed = AssetPartitionStatus.MATERIALIZED
        shown[kind] = [each for each, status in (found or {}).items() if status is landed]
    return {kind: prompt_ids for kind, prompt_ids in shown.items() if prompt_ids}


def plan_again(instance: DagsterInstance, run: DagsterRun, lost: LostPrompts) -> None:
    """Log partitions as planned by a run that is about to fail."""
    for kind, prompt_ids in lost.items():
        for prompt_id in prompt_ids:
            instance.report_dagster_event(
                DagsterEvent.build_asset_materialization_planned_event(
                    run.job_name,
                    run.job_name,
                    AssetMaterializationPlannedData(dg.AssetKey(kind.value), partition=prompt_id),
                ),
                run.run_id,
                logging.DEBUG,
            )


_FOUND_BY_FSCK = "Stored clips are gone; `asset-pipeline fsck` found it."


def show_lost(
    instance: DagsterInstance, lost: LostPrompts, why: str = _FOUND_BY_FSCK
) -> dict[Kind, list[str]]:
    """Show partitions as failed by a run of their own, for a command that is no run.

    Args:
        instance: Where they show.
        lost: The prompts.
        why: What the run says when it fails.

    Returns:
        Those that were shown as landed until now.
    """
    shown = shown_as_landed(instance, lost)
    if shown:
        run = instance.run_storage.add_run(
            DagsterRun(job_name=FSCK_JOB, run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
        )
        plan_again(instance, run, shown)
        instance.report_run_failed(run, message=why)
    return shown
