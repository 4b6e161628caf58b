"""Routes that fill the grid: the clips of a view in short, in full, and their pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.clip_pages import ClipFilter
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.review_queue import Order, ReviewCounts, ReviewQueue, ShortClip
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.provenance.badges import badge_of
from asset_pipeline.service.bodies import ClipAnswer
from asset_pipeline.service.context import context_of
from asset_pipeline.service.desk.pictures import ClipPictures, Side
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.shown import clip_shown
from asset_pipeline.stores.protocol import ObjectNotFoundError

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, Depends(require(Scope.READ))]
Word = Annotated[str | None, Query(max_length=200)]

# The first screen comes before the rest is asked of the ledger.
_FIRST = 400
_MOST_DETAILS = 500

_FOR_GOOD = "private, max-age=31536000, immutable"


class DetailsBody(BaseModel):
    """Which clips are wanted in full."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[
        list[Annotated[str, Field(max_length=32)]], Field(min_length=1, max_length=_MOST_DETAILS)
    ]


class DetailedClip(ClipAnswer):
    """A clip, and how its files are marked, in a word or two."""

    badge: str


class DetailsAnswer(BaseModel):
    """Clips in full."""

    items: list[DetailedClip]


def view(
    *,
    kind: Kind | None = None,
    collection: Word = None,
    prompt_id: Word = None,
    model: Word = None,
    state: Literal["approved", "rejected", "undecided"] | None = None,
    q: Word = None,
) -> ClipFilter:
    """Return which clips the page's address asks for."""
    if any(word is not None and "\x00" in word for word in (collection, prompt_id, model, q)):
        raise ProblemError(400, "bad_request", "A parameter holds the character U+0000.")
    return ClipFilter(kind, collection, prompt_id, model, state, q)


View = Annotated[ClipFilter, Depends(view)]


@router.get("/index", response_class=Response)
async def show_index(
    request: Request,
    caller: Reader,
    wanted: View,
    order: Order = Order.NEWEST,
    *,
    whole: Annotated[bool, Query(description="All clips, not only the first screens.")] = False,
) -> Response:
    """Give the clips of a view in short, with its counts."""
    del caller
    queue = queue_of(request)

    def work() -> bytes:
        found = queue.index(wanted, order, limit=None if whole else _FIRST)
        document = {
            "counts": _counted(queue.counts(wanted)),
            "clips": [short(clip) for clip in found],
            "more": not whole and len(found) == _FIRST,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    # In a thread to the end: 100,000 clips are 7 MB of text.
    return Response(await asyncio.to_thread(work), media_type="application/json")


@router.get("/counts")
async def show_counts(request: Request, caller: Reader, wanted: View) -> dict[str, int]:
    """Tell how many clips of a view are left, approved and rejected."""
    del caller
    return _counted(await asyncio.to_thread(queue_of(request).counts, wanted))


@router.get("/choices")
async def show_choices(request: Request, caller: Reader) -> dict[str, list[str]]:
    """Tell which collections and models there are clips of."""
    del caller
    return await asyncio.to_thread(queue_of(request).choices)


@router.post("/details")
async def show_details(request: Request, body: DetailsBody, caller: Reader) -> DetailsAnswer:
    """Give clips in full."""
    del caller
    context = context_of(request)

    def work() -> list[DetailedClip]:
        found = queue_of(request).details(body.ids)
        book = ProvenanceBook(context.engine, context.clock)
        marks = book.of_clips([each.clip.sha256 for each in found])
        return [
            DetailedClip(
                **clip_shown(each).model_dump(), badge=badge_of(marks.get(each.clip.sha256, ()))
            )
            for each in found
        ]

    return DetailsAnswer(items=await asyncio.to_thread(work))


@router.get("/clips/{clip_id}/picture", response_class=Response)
async def show_picture(
    request: Request, clip_id: str, caller: Reader, side: Side = Side.SMALL
) -> Response:
    """Give a picture in a size for the grid."""
    del caller
    clip = _clip(request, clip_id, Kind.IMAGE)
    return await _made(
        request, clip, str(side.value), lambda pictures: pictures.picture(clip, side)
    )


@router.get("/clips/{clip_id}/peaks", response_class=Response)
async def show_peaks(request: Request, clip_id: str, caller: Reader) -> Response:
    """Give the shape of a sound."""
    del caller
    clip = _clip(request, clip_id, Kind.AUDIO)
    return await _made(request, clip, "peaks", lambda pictures: pictures.peaks(clip))


def queue_of(request: Request) -> ReviewQueue:
    """Return the queue of the ledger behind a request."""
    context = context_of(request)
    return ReviewQueue(context.engine, context.clock)


def short(clip: ShortClip) -> list[object]:
    """Return a clip as a list: id, width to height or seconds, state, verdict.

    Names would be most of what 100,000 of them take on the way.
    """
    ratio: float | None = None
    if clip.kind == Kind.IMAGE.value:
        ratio = round(clip.width / clip.height, 3) if clip.width and clip.height else 1.0
    return [clip.clip_id, ratio, clip.duration_seconds, clip.review_state, clip.review_id or 0]


def _counted(counts: ReviewCounts) -> dict[str, int]:
    return {
        "undecided": counts.undecided,
        "approved": counts.approved,
        "rejected": counts.rejected,
    }


def _clip(request: Request, clip_id: str, kind: Kind) -> Clip:
    found = None if "\x00" in clip_id else context_of(request).clips.get(clip_id)
    if found is None or found.clip.removed_at is not None or found.clip.kind is not kind:
        raise ProblemError(404, "not_found", "There is no such clip, or its file is gone.")
    return found.clip


async def _made(
    request: Request,
    clip: Clip,
    name: str,
    make: Callable[[ClipPictures], Awaitable[tuple[bytes, str]]],
) -> Response:
    tag = f'"{clip.sha256[:40]}-{name}"'
    headers = {
        "ETag": tag,
        "Cache-Control": _FOR_GOOD,
        # Whatever a model put into the file is not to run as a page of ours.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        content, media_type = await make(_pictures_of(request))
    except ObjectNotFoundError:
        raise ProblemError(404, "not_found", "The clip's file is gone from the store.") from None
    except BadMediaError as error:
        raise ProblemError(404, "no_picture", error.message) from None
    return Response(content, media_type=media_type, headers=headers)


def _pictures_of(request: Request) -> ClipPictures:
    context = context_of(request)
    found: ClipPictures | None = getattr(request.app.state, "clip_pictures", None)
    if found is None or not found.is_of(context.store):
        found = ClipPictures(context.settings.previews_dir, context.store)
        request.app.state.clip_pictures = found
    return found
