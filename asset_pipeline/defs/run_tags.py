"""What runs are found and limited by: tags for kind, collection and budget, and their status."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs._dagster_private import REPOSITORY_LABEL_TAG
from asset_pipeline.ledger.budgets import BudgetCaps, CapsSource
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.settings import load_settings
from asset_pipeline.tracing.otlp import start_tracing
from asset_pipeline.tracing.spans import span

KIND_TAG = "asset_pipeline/kind"
COLLECTION_TAG = "asset_pipeline/collection"
BUDGET_TAG = "asset_pipeline/budget"

COMMAND_TAG = "asset_pipeline/command"
"""The command that a run is a part of: --max-usd is one cap for all its runs."""

LAUNCH_TAG = "asset_pipeline/launch"
"""The launch of submissions that a run makes; its retries carry it too."""

PROMPTS_TAG = "asset_pipeline/prompts"
"""How many prompts a run takes: its partition is only the first of them."""

IN_THE_UI: Mapping[str, str] = {REPOSITORY_LABEL_TAG: "__repository__@asset_pipeline"}
"""With it Dagster shows a run that was started by a command on its job's own page."""

TRACE_TAG = "asset_pipeline/traceparent"
"""The span that a run belongs to: its command's, or its first request's."""

TRACE_LINKS_TAG = "asset_pipeline/trace_links"
"""The spans of the other requests that a run is made for, with commas between them."""

SEVERAL = "several"
"""Where a tag has one value and a run has many."""

SHARED = "shared"
"""A run under nothing but the budgets that everything falls under."""

# A run may be made for a thousand requests; its links say for which, up to a tag's sensible size.
_MOST_LINKS = 50

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The statuses of runs that have not ended."""


def run_tags(kind: Kind, collections: Collection[str], caps: BudgetCaps) -> Mapping[str, str]:
    """Return the tags of a run over prompts of these collections.

    The budget is the collection's own where it has one; a run over several collections with
    budgets of their own is under several.
    """
    names = set(collections)
    own = names.intersection(caps.collections_usd)
    return {
        KIND_TAG: kind.value,
        COLLECTION_TAG: _one_of(names),
        BUDGET_TAG: _one_of({f"collection:{name}" for name in own} or {SHARED}),
    }


def budget_id_of(run: dg.DagsterRun) -> str:
    """Return the budget id of a run: its command's, else its first launch's.

    Executing a run again copies its tags and names its root: three repetitions spend one cap.
    """
    return run.tags.get(COMMAND_TAG) or run.root_run_id or run.run_id


def tag_run(context: dg.AssetExecutionContext, kind: Kind, prompts: Collection[Prompt]) -> None:
    """Tag a run by its prompts, however it was launched: a backfill does not know them."""
    caps = CapsSource(load_settings()).current()
    tags = run_tags(kind, {prompt.collection for prompt in prompts}, caps)
    context.instance.add_run_tags(context.run.run_id, dict(tags))


def trace_tags(traceparents: Sequence[str]) -> Mapping[str, str]:
    """Return the tags that join a run to the spans that it is made for; none without any."""
    if not traceparents:
        return {}
    others = ",".join(traceparents[1:_MOST_LINKS])
    return {TRACE_TAG: traceparents[0]} | ({TRACE_LINKS_TAG: others} if others else {})


def run_span(run: dg.DagsterRun) -> AbstractContextManager[None]:
    """Return the span of a run's work, in the trace that its tags name."""
    start_tracing(load_settings().otlp_endpoint, "worker")
    links = run.tags.get(TRACE_LINKS_TAG, "")
    return span(
        "run",
        parent=run.tags.get(TRACE_TAG),
        links=tuple(filter(None, links.split(","))),
        asset_pipeline__run_id=run.run_id,
        asset_pipeline__job=run.job_name,
    )


def _one_of(names: Collection[str]) -> str:
    return next(iter(names)) if len(names) == 1 else SEVERAL
