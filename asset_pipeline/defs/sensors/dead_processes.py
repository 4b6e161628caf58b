"""Sensors for what dead processes leave behind."""

from datetime import timedelta

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.jobs import reconcile_job
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import IntentState

_NAMED = 5

# Longer than any model in the catalog predicts, and half the hour for which outputs are kept.
STALE_AFTER = timedelta(minutes=30)


@dg.sensor(
    name="stale_intents",
    job=reconcile_job,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts `reconcile` for open intents that sat in one state for half an hour with "
    "no process at work on them, and names those that wait for a person.",
)
def stale_intents_sensor(
    context: dg.SensorEvaluationContext, ledger: LedgerResource
) -> dg.RunRequest | dg.SkipReason:
    """Request at most one run in half an hour, however many intents there are."""
    now = SystemClock().now()
    try:
        with ledger.open() as book:
            reader = LedgerReader(book.engine)
            found = reader.stale(now - STALE_AFTER, now)
            left = len(reader.stale(now, now)) - len(found)
    except AssetPipelineError as error:
        return dg.SkipReason(str(error))
    questions = [each.intent_id for each in found if each.state is IntentState.QUESTION]
    told = ""
    if questions:
        named = ", ".join(questions[:_NAMED])
        told = (
            f"{len(questions)} wait for a person: {named}. "
            "`asset-pipeline reconcile --charge ID` or `--release ID` answers."
        )
        context.log.warning(told)
    if len(questions) == len(found):
        if left and not told:
            return dg.SkipReason(
                f"{left} open predictions were left by processes that ended: `generate` and "
                "`reconcile` finish them at once, and this does after half an hour."
            )
        return dg.SkipReason(told or "No open intent is stale.")
    # One key for each half hour: a run that changes nothing is not asked for again every tick.
    turn = int(now.timestamp() // STALE_AFTER.total_seconds())
    return dg.RunRequest(run_key=f"stale-{turn}")


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone, so that the daemon runs them "
    "again. It looks at the ledger's workers; Dagster's own monitoring does not see local ones.",
)
def dead_runs_sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SkipReason:
    """Report dead runs as failed; a run that registered no worker yet is left alone."""
    started = context.instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    if not started:
        return dg.SkipReason("No run has started and not ended.")
    try:
        with ledger.open() as book:
            reader = LedgerReader(book.engine)
            dead = reader.dead_runs([run.run_id for run in started], SystemClock().now())
    except AssetPipelineError as error:
        return dg.SkipReason(str(error))
    ended = [run_id for run_id in sorted(dead) if _end(context.instance, run_id)]
    if not ended:
        return dg.SkipReason(f"{len(started)} runs have not ended; none is known to be dead.")
    return dg.SkipReason(f"Ended {len(ended)} dead runs: {', '.join(ended)}.")


def _end(instance: DagsterInstance, run_id: str) -> bool:
    """End a dead run, unless it ended by itself before its process did."""
    # Read after the process was found gone, so that everything it wrote is here.
    run = instance.get_run_by_id(run_id)
    if run is None or run.status is not DagsterRunStatus.STARTED:
        return False
    if _belongs_to_a_command(run):
        instance.report_run_canceled(run, message="The command that ran this was killed.")
    else:
        instance.report_run_failed(run, message="The process that ran this is gone.")
    return True


def _belongs_to_a_command(run: DagsterRun) -> bool:
    """Tell whether a run was started by `asset-pipeline generate`, which no daemon can repeat."""
    return run.remote_job_origin is None
