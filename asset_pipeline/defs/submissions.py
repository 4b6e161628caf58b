"""The sensor that makes runs of what came over HTTP: one run of many submissions."""

from __future__ import annotations

import dagster as dg
from dagster import DagsterInstance

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline.defs.assets.prompts import changed_prompts, observe
from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.launching import clip_request, follow
from asset_pipeline.defs.partition_sync import add_partitions
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource, Prompts
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.budgets import CapsSource
from asset_pipeline.ledger.submissions import Launch, Submissions
from asset_pipeline.settings import load_settings

SENSOR_NAME = "submissions"

# A batch of 10,000 prompts is ten runs; Dagster gives up on a tick after sixty seconds.
_LAUNCHES_A_TICK = 10


@dg.sensor(
    name=SENSOR_NAME,
    jobs=list(CLIP_JOBS.values()),
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes runs of the prompts that came over HTTP, up to a thousand a run, and notes "
    "how those runs end. The service itself never pays.",
)
def submissions_sensor(
    context: dg.SensorEvaluationContext,
    prompt_library: PromptLibraryResource,
    ledger: LedgerResource,
) -> dg.SensorResult:
    """Offer launches, the ones that were offered before and are not known to Dagster first."""
    try:
        with ledger.open() as book:
            submissions = Submissions(book.engine, SystemClock())
            submissions.beat(SENSOR_NAME)
            jobs = [job.name for job in CLIP_JOBS.values()]
            offered = follow(context.instance, submissions, jobs)
            for kind in Kind:
                while len(offered) < _LAUNCHES_A_TICK:
                    taken = submissions.take_up(kind, CLIP_JOBS[kind].name, PARTITIONS_A_RUN)
                    if taken is None:
                        break
                    offered.append(taken)
            traces = {each.launch_id: submissions.traceparents(each.launch_id) for each in offered}
        if not offered:
            return _result(context, [], "Nothing waits.")
        prompts = prompt_library.load()
        caps = CapsSource(load_settings()).current()
    except AssetPipelineError as error:
        return _result(context, [], str(error))
    runs: list[dg.RunRequest] = []
    for launch in offered:
        collections = _prepare(context.instance, launch, prompts)
        runs.append(clip_request(launch, collections, caps, traces[launch.launch_id]))
    return _result(context, runs, "", offered[-1].launch_id)


def _prepare(instance: DagsterInstance, launch: Launch, prompts: Prompts) -> frozenset[str]:
    """Give a launch's prompts their partitions, and observe them; return their collections."""
    known = prompts.library.of_kind(launch.kind)
    found = [known[prompt_id] for prompt_id in launch.prompt_ids if prompt_id in known]
    add_partitions(instance, launch.kind, found)
    observe(instance, changed_prompts(instance, launch.kind, found))
    return frozenset(prompt.collection for prompt in found)


def _result(
    context: dg.SensorEvaluationContext,
    runs: list[dg.RunRequest],
    told: str,
    last: str | None = None,
) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=runs,
        skip_reason=None if runs else dg.SkipReason(told),
        cursor=last or context.cursor or "",
    )
