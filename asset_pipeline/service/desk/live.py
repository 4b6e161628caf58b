"""What happens while somebody looks: verdicts of others, new clips, runs and orders, as events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from asset_pipeline.ledger.review_queue import ReviewQueue
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.desk.clip_views import queue_of, short
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.wakeups import Wakeups

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, Depends(require(Scope.READ))]

# A batch writes a hundred times a second; nobody reads faster than this.
_PAUSE_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_MOST = 500
_JOBS = 20


@router.get("/events", response_class=StreamingResponse)
async def follow(request: Request, caller: Reader) -> StreamingResponse:
    """Stream what changes from now on; a page that lost the stream asks for its counts again."""
    context = context_of(request)
    return StreamingResponse(
        _events(context, request.app.state.wakeups, _Watch(context, queue_of(request), caller)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(context: ServiceContext, wakeups: Wakeups, watch: _Watch) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    loop = asyncio.get_running_loop()
    silent_since = loop.time()
    await asyncio.to_thread(watch.begin)
    with wakeups.watching() as woken:
        while not context.stopping.is_set():
            found = await asyncio.to_thread(watch.news)
            for name, data in found.items():
                yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
            if found:
                silent_since = loop.time()
            elif loop.time() - silent_since > _HEARTBEAT_SECONDS:
                silent_since = loop.time()
                yield ": still here\n\n"
            await woken(_HEARTBEAT_SECONDS)
            if not context.stopping.is_set():
                await asyncio.sleep(_PAUSE_SECONDS)


@dataclass
class _Watch:
    """What one page has been told so far."""

    context: ServiceContext
    queue: ReviewQueue
    caller: Caller
    _review: int = 0
    _clip: Any = None
    _work: Any = None

    def begin(self) -> None:
        """Tell nothing of what is there already."""
        self._review = self.queue.last_review()
        self._clip = self.queue.last_clip()

    def news(self) -> Mapping[str, Any]:
        """Return what is new, by the events' names."""
        found: dict[str, Any] = {}
        verdicts = self.queue.verdicts_since(self._review, _MOST)
        if verdicts:
            self._review = verdicts[-1][0]
            found["verdicts"] = [
                {"review_id": number, "clip_id": clip, "verdict": verdict, "actor": actor}
                for number, clip, verdict, actor in verdicts
            ]
        clips = self.queue.clips_since(self._clip, _MOST)
        if clips:
            self._clip = (clips[-1].created_at, clips[-1].clip.clip_id)
            found["clips"] = [
                {"clip": short(each.clip), "replaces": each.replaces} for each in clips
            ]
        work = {
            "runs": [asdict(run) for run in self.queue.running()],
            "jobs": self._jobs(),
            "daemon": self.context.daemon_lives(),
        }
        if work != self._work:
            self._work = work
            found["work"] = work
        return found

    def _jobs(self) -> list[Mapping[str, Any]]:
        owner = None if self.caller.sees_all else self.caller.owner
        return [
            {
                "id": job.submission_id,
                "state": job.state.value,
                "prompts": job.prompts,
                "running": job.running,
                "completed": job.completed,
                "failed": job.failed + job.refused,
                "cancelled": job.cancelled,
            }
            for job in self.context.submissions.of_owner(owner, None, _JOBS)
            if job.finished_at is None
        ]
