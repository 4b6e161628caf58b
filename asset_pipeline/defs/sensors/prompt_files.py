"""The sensor that follows the prompt files: partitions, observations, and automatic runs."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import FILE_NAME
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.defs.assets.prompt_drafts import sync_briefs
from asset_pipeline.defs.checks.prompts import evaluation_of
from asset_pipeline.defs.jobs import CLIP_JOBS
from asset_pipeline.defs.partition_pruning import prune, pruned_collections
from asset_pipeline.defs.partition_sync import sync_prompts
from asset_pipeline.defs.renames import request_renamed
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource, Prompts
from asset_pipeline.defs.run_requests import request_due
from asset_pipeline.defs.sensors.prompt_file_changes import Notes, survey
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.prompts.library import Library
from asset_pipeline.settings import load_settings

SENSOR_NAME = "prompt_files"

_NAMED = 5

# Dagster gives up on a tick after sixty seconds; what is left then is the next tick's.
_SECONDS = 30.0

# How soon prompts that wait for a budget, or for an earlier run's end, are looked at again.
_LOOK_AGAIN = 300.0


@dg.sensor(
    name=SENSOR_NAME,
    jobs=list(CLIP_JOBS.values()),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for each new prompt and observes edited ones, so that their "
    "clips show as stale. It requests runs only for collections that say `auto: true`, within the "
    "budgets, and for renamed prompts, whose clips are stored, at no cost. It deletes partitions "
    "only for collections that say `prune: true`.",
)
def prompt_files_sensor(
    context: dg.SensorEvaluationContext,
    prompt_library: PromptLibraryResource,
    ledger: LedgerResource,
) -> dg.SensorResult:
    """Compare times and sizes first, and read only files where one of them changed."""
    clock = SystemClock()
    before = Notes.read(context.cursor)
    settings = load_settings()
    models = {f"../{FILE_NAME}": settings.config_dir / FILE_NAME}
    notes, moved = survey(settings.prompts_dir, models, before)
    changed = bool(moved) or notes.unfinished or context.cursor is None
    waited = notes.look_again is not None and clock.now().timestamp() >= notes.look_again
    if not (changed or waited):
        return _result(["No prompt file changed."], notes)
    try:
        prompts = prompt_library.load()
        told = _bring_up_to_date(context, prompts.library, notes, clock) if changed else []
        runs = _request(context, prompts, ledger, notes, clock, told)
    except AssetPipelineError as error:
        # The old notes are kept: the next tick tries again.
        return _result([str(error)], before)
    checks = [evaluation_of(context.instance, prompts.library, kind) for kind in Kind if changed]
    for line in told:
        context.log.info(line)
    return _result(told, notes, runs, checks)


def _bring_up_to_date(
    context: dg.SensorEvaluationContext, library: Library, notes: Notes, clock: Clock
) -> list[str]:
    """Add, observe and prune for a while; return messages for the tick."""
    go_on = _for_seconds(clock, _SECONDS)
    notes.unfinished = False
    sync_briefs(context.instance)
    told: list[str] = []
    for kind in Kind:
        prompts = library.of_kind(kind).values()
        synced = sync_prompts(context.instance, kind, prompts, go_on=go_on)
        pruned, all_pruned = prune(
            context.instance, kind, synced.removed, pruned_collections(library, kind), go_on=go_on
        )
        line = f"{kind}: {len(synced.added)} new, {len(synced.observed)} new or edited"
        if pruned:
            line += f", {len(pruned)} pruned"
        if kept := len(synced.removed) - len(pruned):
            line += f", {kept} removed and kept"
        told.append(line)
        notes.unfinished |= not (synced.complete and all_pruned)
    if notes.unfinished:
        told.append("there is more: the next tick goes on")
    told.extend(str(problem) for problem in library.problems[:_NAMED])
    if len(library.problems) > _NAMED:
        told.append(f"... and {len(library.problems) - _NAMED} more problems")
    return told


def _request(
    context: dg.SensorEvaluationContext,
    prompts: Prompts,
    ledger: LedgerResource,
    notes: Notes,
    clock: Clock,
    told: list[str],
) -> list[dg.RunRequest]:
    """Return the runs of the prompts that are due, and note whether some have to wait."""
    if notes.unfinished:
        return []
    found = [
        ask(context.instance, kind, prompts, ledger, SENSOR_NAME)
        for ask in (request_due, request_renamed)
        for kind in Kind
    ]
    told.extend(each.told for each in found if each.told)
    waiting = any(each.waiting or each.runs for each in found)
    notes.look_again = clock.now().timestamp() + _LOOK_AGAIN if waiting else None
    return [run for each in found for run in each.runs]


def _result(
    told: list[str],
    notes: Notes,
    runs: list[dg.RunRequest] | None = None,
    checks: list[dg.AssetCheckEvaluation] | None = None,
) -> dg.SensorResult:
    """Return a tick's result: what it says shows in the UI when it asks for no run."""
    return dg.SensorResult(
        run_requests=runs or [],
        skip_reason=None if runs else dg.SkipReason("; ".join(told) or "Nothing is due."),
        cursor=notes.write(),
        asset_events=checks or [],
    )


def _for_seconds(clock: Clock, seconds: float) -> Callable[[], bool]:
    end = clock.monotonic() + seconds
    return lambda: clock.monotonic() < end
