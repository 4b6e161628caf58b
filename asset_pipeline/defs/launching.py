"""Launches: runs that the ledger says are wanted, offered to Dagster until it has them.

A launch is written down before Dagster is asked, and has its own id as the run's key: a daemon that
dies between the two offers it again, and Dagster makes one run of it however often it is offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.run_tags import KIND_TAG, LAUNCH_TAG, run_tags, trace_tags
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.submissions import Launch, Submissions

# Dagster's own tag on a failed run that its daemon is about to run again.
_WILL_RETRY = "dagster/will_retry"


def follow(
    instance: DagsterInstance, submissions: Submissions, jobs: Iterable[str]
) -> list[Launch]:
    """Note which launches have begun and ended; return those that Dagster does not have yet."""
    wanted = frozenset(jobs)
    offered: list[Launch] = []
    for launch in submissions.unended():
        if launch.job not in wanted:
            continue
        run = _newest(instance, launch.launch_id)
        if run is None:
            offered.append(launch)
            continue
        if launch.run_id != run.run_id:
            submissions.begun(launch.launch_id, run.run_id)
        if run.is_finished and run.tags.get(_WILL_RETRY) != "true":
            status = run.status.value.lower()
            submissions.end(
                launch.launch_id, f"The run {run.run_id} ended ({status}) without this prompt."
            )
    return offered


def clip_request(
    launch: Launch,
    collections: frozenset[str],
    caps: BudgetCaps,
    traceparents: Sequence[str] = (),
) -> dg.RunRequest:
    """Return the run that makes the clips of a launch, in the trace of who ordered them."""
    ids = list(launch.prompt_ids)
    return dg.RunRequest(
        run_key=launch.launch_id,
        job_name=CLIP_JOBS[launch.kind].name,
        partition_key=ids[0],
        run_config={"ops": {launch.kind.value: {"config": {"prompt_ids": ids}}}},
        tags={
            **run_tags(launch.kind, collections, caps),
            **trace_tags(traceparents),
            LAUNCH_TAG: launch.launch_id,
        },
    )


def publish_request(launch: Launch) -> dg.RunRequest:
    """Return the run that publishes the approved clips of a launch."""
    ids = list(launch.prompt_ids)
    config = {"prompt_ids": ids, "approved_only": True}
    return dg.RunRequest(
        run_key=launch.launch_id,
        job_name=launch.job,
        partition_key=ids[0],
        run_config={"ops": {f"published__{launch.kind}": {"config": config}}},
        tags={KIND_TAG: f"published_{launch.kind}", LAUNCH_TAG: launch.launch_id},
    )


def _newest(instance: DagsterInstance, launch_id: str) -> DagsterRun | None:
    runs = instance.get_runs(RunsFilter(tags={LAUNCH_TAG: launch_id}), limit=1)
    return runs[0] if runs else None
