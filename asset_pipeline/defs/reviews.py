"""The sensor that acts on verdicts: it has approved clips published, and others taken back."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.export_targets import open_target
from asset_pipeline.defs.approvals import observe_verdicts
from asset_pipeline.defs.assets.prompts import changed_prompts, observe
from asset_pipeline.defs.checks.approvals import approval_evaluation
from asset_pipeline.defs.jobs import PUBLISHED_JOBS
from asset_pipeline.defs.launching import follow, publish_request
from asset_pipeline.defs.partition_sync import add_partitions
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.exports import ExportRepository, JudgedExport
from asset_pipeline.ledger.reviews import Reviews
from asset_pipeline.ledger.submissions import Submissions
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.environment import settings_for

SENSOR_NAME = "reviews"


@dg.sensor(
    name=SENSOR_NAME,
    jobs=list(PUBLISHED_JOBS.values()),
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes what people have approved and takes back what they approve no more, all "
    "of a kind in one run; shows verdicts on the partitions, and as stale what another take is "
    "wanted of.",
)
def reviews_sensor(
    context: dg.SensorEvaluationContext,
    prompt_library: PromptLibraryResource,
    ledger: LedgerResource,
) -> dg.SensorResult:
    """Look at the verdicts that no tick has looked at."""
    try:
        with ledger.open() as book:
            clock = SystemClock()
            submissions, reviews = Submissions(book.engine, clock), Reviews(book.engine, clock)
            jobs = {kind: job.name for kind, job in PUBLISHED_JOBS.items()}
            offered = follow(context.instance, submissions, jobs.values())
            retaken = reviews.retaken()
            taken = reviews.take_up(jobs, _withdrawn(ExportRepository(book.engine, clock)))
            offered.extend(taken.launches)
            if taken.judged:
                observe_verdicts(context.instance, reviews, taken.judged)
                _evaluate(context, prompt_library, reviews, {kind for kind, _ in taken.judged})
        retaken |= taken.rejected
        if retaken:
            _observe(context, prompt_library, retaken)
    except AssetPipelineError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor or "")
    runs = [publish_request(launch) for launch in offered]
    seen = str(taken.last) if taken.last else context.cursor or ""
    return dg.SensorResult(
        run_requests=runs,
        skip_reason=None if runs else dg.SkipReason("No new verdict asks for a run."),
        cursor=seen,
    )


def _withdrawn(exports: ExportRepository) -> list[JudgedExport]:
    """Return what is published where this project publishes, and is not to be any more."""
    found = exports.judged()
    if not found:
        return []
    settings = load_settings()
    target = open_target(settings.publish_url, settings_for(settings.publish_url, settings))
    return [each for each in found if each.target == target.name]


def _evaluate(
    context: dg.SensorEvaluationContext,
    prompt_library: PromptLibraryResource,
    reviews: Reviews,
    kinds: Collection[Kind],
) -> None:
    """Let the check show how the clips stand after these verdicts."""
    library = prompt_library.load().library
    for kind in kinds:
        found = approval_evaluation(kind, reviews.standing(kind), library.needing_approval(kind))
        context.instance.report_runless_asset_event(found)


def _observe(
    context: dg.SensorEvaluationContext,
    prompt_library: PromptLibraryResource,
    prompts: set[tuple[Kind, str]],
) -> None:
    """Let exactly the prompts that another take is wanted of show as stale."""
    library = prompt_library.load().library
    for kind in Kind:
        found = [
            prompt
            for prompt_id, prompt in library.of_kind(kind).items()
            if (kind, prompt_id) in prompts
        ]
        if found:
            add_partitions(context.instance, kind, found)
            observe(context.instance, changed_prompts(context.instance, kind, found))
