"""Routes by which a submission is followed: how it stands, what happens to it, stopping it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from asset_pipeline.ledger.job_money import clips_of_items, money_of_job
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.ledger.submissions import Event, Item, Submission
from asset_pipeline.service.bodies import ItemPage, JobAnswer, JobPage
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.responses import PROBLEMS
from asset_pipeline.service.shown import cursor_of, items_shown, job_shown, read_cursor
from asset_pipeline.service.wakeups import Wakeups

router = APIRouter(tags=["jobs"], responses=PROBLEMS)

Reader = Annotated[Caller, Depends(require(Scope.READ))]
Generator = Annotated[Caller, Depends(require(Scope.GENERATE))]
Cursor = Annotated[str | None, Query(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=1000)]

_ITEMS_SHOWN = 100
_HEARTBEAT_SECONDS = 15.0


@router.get("/jobs")
async def list_jobs(
    request: Request, caller: Reader, cursor: Cursor = None, limit: Limit = 50
) -> JobPage:
    """List submissions, the newest first: one's own, or everybody's for an admin."""
    context = context_of(request)
    owner = None if caller.sees_all else caller.owner
    found = context.submissions.of_owner(owner, read_cursor(cursor), limit)
    daemon = context.daemon_lives()
    shown = [
        job_shown(job, money_of_job(context.engine, job.submission_id), [], {}, daemon=daemon)
        for job in found
    ]
    last = found[-1] if len(found) == limit else None
    following = None if last is None else cursor_of(last.created_at, last.submission_id)
    return JobPage(items=shown, next_cursor=following)


@router.get("/jobs/{job_id}")
async def show_job(request: Request, job_id: str, caller: Reader) -> JobAnswer:
    """Tell how a submission stands."""
    return _shown(context_of(request), _own(request, job_id, caller))


@router.get("/jobs/{job_id}/items")
async def list_items(
    request: Request,
    job_id: str,
    caller: Reader,
    cursor: Annotated[int, Query(ge=-1, lt=2**31)] = -1,
    limit: Limit = 100,
) -> ItemPage:
    """List a submission's prompts with what became of each."""
    context = context_of(request)
    job = _own(request, job_id, caller)
    items = context.submissions.items(job.submission_id, cursor, limit)
    clips = clips_of_items(context.engine, items)
    following = str(items[-1].position) if len(items) == limit else None
    return ItemPage(items=items_shown(items, clips), next_cursor=following)


@router.post("/jobs/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str, caller: Generator) -> JobAnswer:
    """Begin nothing more of a submission.

    What the provider has taken already is paid for and still lands. One that has ended stays as it
    is.
    """
    context = context_of(request)
    _own(request, job_id, caller)
    job = await asyncio.to_thread(context.submissions.cancel, job_id, caller.actor)
    if job is None:
        raise ProblemError(404, "not_found", "There is no such job.")
    return _shown(context, job)


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def follow_job(
    request: Request,
    job_id: str,
    caller: Reader,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> StreamingResponse:
    """Follow a submission as server-sent events, until it has ended.

    Give the last id that was received as Last-Event-ID, and none is lost over a reconnect.
    """
    context = context_of(request)
    job = _own(request, job_id, caller)
    if last_event_id is not None:
        if not last_event_id.isdecimal() or int(last_event_id) >= 2**31:
            raise ProblemError(400, "bad_request", "Last-Event-ID is no id that this gave.")
        after = int(last_event_id)
    wakeups: Wakeups = request.app.state.wakeups
    return StreamingResponse(
        _events(context, wakeups, job.submission_id, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    context: ServiceContext, wakeups: Wakeups, submission_id: str, after: int
) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    loop = asyncio.get_running_loop()
    silent_since = loop.time()
    with wakeups.watching() as woken:
        while not context.stopping.is_set():
            found = context.submissions.events(submission_id, after)
            for event in found:
                after = event.number
                yield _written(event)
            if found:
                silent_since = loop.time()
                if found[-1].type in _LAST:
                    return
            elif after and _has_ended(context, submission_id, after):
                return
            if loop.time() - silent_since > _HEARTBEAT_SECONDS:
                silent_since = loop.time()
                yield ": still here\n\n"
            await woken(_HEARTBEAT_SECONDS)


def _has_ended(context: ServiceContext, submission_id: str, after: int) -> bool:
    job = context.submissions.get(submission_id)
    return job is None or (job.finished_at is not None and job.last_event <= after)


def _written(event: Event) -> str:
    data = {"type": event.type, "at": event.created_at.isoformat(), **event.data}
    return (
        f"id: {event.number}\nevent: {event.type}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
    )


def _own(request: Request, job_id: str, caller: Caller) -> Submission:
    """Return a submission that the caller may see; another's is none."""
    job = context_of(request).submissions.get(job_id)
    if job is None or not (caller.sees_all or job.owner == caller.owner):
        raise ProblemError(404, "not_found", "There is no such job.")
    return job


def _shown(context: ServiceContext, job: Submission) -> JobAnswer:
    items: list[Item] = context.submissions.items(job.submission_id, -1, _ITEMS_SHOWN)
    return job_shown(
        job,
        money_of_job(context.engine, job.submission_id),
        items,
        clips_of_items(context.engine, items),
        daemon=job.finished_at is not None or context.daemon_lives(),
    )


_LAST = {
    f"job.{state}"
    for state in ("completed", "partly_failed", "failed", "cancelled", "refused_by_budget")
}
