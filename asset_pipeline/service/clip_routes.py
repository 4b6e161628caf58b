"""Routes by which clips are found, seen and judged."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.clip_pages import ClipFilter
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reviews import Decision, Review
from asset_pipeline.ledger.service_schema import Scope, Verdict
from asset_pipeline.ledger.submissions import Answer
from asset_pipeline.service.bodies import (
    ClipDetail,
    ClipPage,
    DecisionBody,
    ReviewAnswer,
    ReviewsAnswer,
    ReviewsBody,
    SubmissionAnswer,
)
from asset_pipeline.service.context import context_of
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.ordering import Ordering
from asset_pipeline.service.problems import ProblemError, request_id_of
from asset_pipeline.service.responses import PROBLEMS
from asset_pipeline.service.shown import (
    clip_reference,
    clip_shown,
    cursor_of,
    read_cursor,
    review_shown,
    submission_shown,
)
from asset_pipeline.stores.protocol import ObjectNotFoundError

router = APIRouter(responses=PROBLEMS)

Reader = Annotated[Caller, Depends(require(Scope.READ))]
Reviewer = Annotated[Caller, Depends(require(Scope.REVIEW))]
Word = Annotated[str | None, Query(max_length=200)]
ReviewId = Annotated[int, Path(ge=1, lt=2**63)]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def _no_nul(*words: str | None) -> None:
    if any(word is not None and "\x00" in word for word in words):
        raise ProblemError(400, "bad_request", "A parameter holds the character U+0000.")


@router.get("/clips", tags=["clips"])
async def list_clips(
    request: Request,
    caller: Reader,
    *,
    kind: Kind | None = None,
    collection: Word = None,
    prompt_id: Word = None,
    model: Word = None,
    review_state: Literal["approved", "rejected", "undecided"] | None = None,
    q: Annotated[str | None, Query(max_length=200, description="A part of id or text.")] = None,
    superseded: Annotated[bool, Query(description="Also those that were replaced.")] = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ClipPage:
    """List clips, the newest first."""
    del caller
    _no_nul(collection, prompt_id, model, q)
    context = context_of(request)
    wanted = ClipFilter(kind, collection, prompt_id, model, review_state, q, superseded)
    found = context.clips.page(wanted, read_cursor(cursor), limit)
    last = found[-1].clip if len(found) == limit else None
    return ClipPage(
        items=[clip_shown(each) for each in found],
        next_cursor=None if last is None else cursor_of(last.created_at, last.clip_id),
        total=context.clips.count(wanted) if cursor is None else None,
    )


@router.get("/clips/{clip_id}", tags=["clips"])
async def show_clip(request: Request, clip_id: str, caller: Reader) -> ClipDetail:
    """Show a clip with all that ever stood in its place, and what people thought of it."""
    del caller
    context = context_of(request)
    _no_nul(clip_id)
    found = context.clips.get(clip_id)
    if found is None:
        raise ProblemError(404, "not_found", "There is no such clip.")
    return ClipDetail(
        **clip_shown(found).model_dump(),
        takes=[clip_reference(clip) for clip in context.clips.takes_of(found.clip)],
        reviews=[review_shown(each) for each in context.reviews.of_clip(clip_id)],
    )


@router.get(
    "/clips/{clip_id}/media",
    tags=["clips"],
    response_class=Response,
    responses={
        200: {"content": {"image/*": {}, "audio/*": {}}},
        206: {"description": "A part, as Range asked."},
        304: {"description": "What you have is it."},
        416: {"description": "There is no such part."},
    },
)
async def show_media(request: Request, clip_id: str, caller: Reader) -> Response:
    """Give a clip's file. It never changes under its id, so that it may be kept for good."""
    del caller
    context = context_of(request)
    _no_nul(clip_id)
    found = context.clips.get(clip_id)
    if found is None or found.clip.removed_at is not None:
        raise ProblemError(404, "not_found", "There is no such clip, or its file is gone.")
    clip = found.clip
    headers = {
        "ETag": f'"{clip.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Accept-Ranges": "bytes",
        # Whatever a model put into the file is not to run as a page of ours.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{_file_name(clip)}"',
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    part = _part(request.headers.get("range"), clip.bytes)
    if part is None:
        headers |= {"Content-Length": str(clip.bytes)}
        part, status = range(clip.bytes), 200
    else:
        span = f"bytes {part.start}-{part.stop - 1}/{clip.bytes}"
        headers |= {"Content-Length": str(len(part)), "Content-Range": span}
        status = 206
    blocks = context.store.read(clip.object_key)
    try:
        first = await asyncio.to_thread(next, blocks, b"")
    except ObjectNotFoundError:
        raise ProblemError(404, "not_found", "The clip's file is gone from the store.") from None
    return StreamingResponse(
        _cut(first, blocks, part), status, headers=headers, media_type=clip.mime
    )


@router.get("/reviews", tags=["reviews"])
async def list_reviews(
    request: Request,
    caller: Reader,
    clip_id: Word = None,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ReviewsAnswer:
    """List verdicts, the newest first."""
    del caller
    _no_nul(clip_id)
    found = context_of(request).reviews.listed(cursor, limit, clip_id)
    following = str(found[-1].review_id) if len(found) == limit else None
    return ReviewsAnswer(items=[review_shown(each) for each in found], next_cursor=following)


@router.post("/reviews", tags=["reviews"], status_code=201)
async def decide(
    request: Request, body: DecisionBody | ReviewsBody, caller: Reviewer
) -> ReviewAnswer | ReviewsAnswer:
    """Decide about a clip, or about several at once.

    A verdict is bound to the file that was looked at: 409 when another stands there by now.
    """
    context = context_of(request)
    bodies = [body] if isinstance(body, DecisionBody) else body.reviews
    for each in bodies:
        _no_nul(each.clip_id)
    decisions = [
        Decision(
            each.clip_id,
            each.sha256,
            Verdict(each.verdict),
            each.reason_code,
            each.note,
            each.supersedes,
        )
        for each in bodies
    ]
    found = await asyncio.to_thread(context.reviews.decide, decisions, caller.actor)
    retakes = await asyncio.to_thread(_retake, request, caller, found)
    shown = [review_shown(each, retakes.get(each.review_id)) for each in found]
    return shown[0] if isinstance(body, DecisionBody) else ReviewsAnswer(items=shown)


@router.post("/reviews/{review_id}/undo", tags=["reviews"], status_code=201)
async def undo(request: Request, review_id: ReviewId, caller: Reviewer) -> ReviewAnswer:
    """Take a verdict back: another one is added that says what was thought before."""
    context = context_of(request)
    found = await asyncio.to_thread(context.reviews.undo, review_id, caller.actor)
    return review_shown(found)


def _retake(
    request: Request, caller: Caller, found: Sequence[Review]
) -> dict[int, SubmissionAnswer]:
    """Order another take of what was rejected, where its collection says so.

    The run that makes it keeps to the budgets, as any other does.
    """
    context = context_of(request)
    rejected = [each for each in found if each.verdict is Verdict.REJECTED]
    if not rejected:
        return {}
    ordering = Ordering(context, caller)
    rejections = context.reviews.rejections(
        [each.supersedes for each in rejected if each.supersedes is not None]
    )
    taken: dict[int, SubmissionAnswer] = {}
    for review in rejected:
        paged = context.clips.get(review.clip_id)
        # A verdict that is sent again, by whom it was or by another, asks for no second take.
        if review.supersedes in rejections:
            continue
        if paged is None or not ordering.retakes(paged.clip.kind, paged.clip.prompt_id):
            continue
        clip = paged.clip
        order = ordering.of_take(clip.kind, clip.prompt_id, clip.variant)
        new = order.submission(caller, request_id_of(request))
        waits = not context.daemon_lives()

        def answer_of(submission_id: str) -> Answer:
            shown = submission_shown(submission_id, new, fits=order.plan.fits, waits=waits)  # noqa: B023 -- called at once
            return Answer(202, shown.model_dump(mode="json"), shown.status_url)

        answer, _ = context.submissions.submit(new, answer_of)
        taken[review.review_id] = SubmissionAnswer.model_validate(answer.body)
    return taken


def _file_name(clip: Clip) -> str:
    extension = clip.object_key.rpartition(".")[2]
    return f"{clip.prompt_id}-{clip.variant}.{extension}"


def _part(asked: str | None, size: int) -> range | None:
    """Return the one part that Range asks for; None for the whole.

    Raises:
        ProblemError: There is no such part.
    """
    match = None if asked is None else _RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        stop = min(size, int(match[2]) + 1) if match[2] else size
    if start >= stop:
        headers = {"Content-Range": f"bytes */{size}"}
        raise ProblemError(416, "no_such_range", "There is no such part.", headers=headers)
    return range(start, stop)


def _cut(first: bytes, blocks: Iterator[bytes], part: range) -> Iterable[bytes]:
    at = 0
    block = first
    while block:
        begin, end = max(part.start - at, 0), min(part.stop - at, len(block))
        if begin < end:
            yield block[begin:end]
        at += len(block)
        if at >= part.stop:
            return
        block = next(blocks, b"")
