"""Routes by which clips are ordered. Each takes an Idempotency-Key and answers 202."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.ledger.submissions import Answer, IdempotencyKey
from asset_pipeline.service.bodies import (
    BatchBody,
    GenerationBody,
    PlanAnswer,
    PromptBody,
    RegenerateBody,
    SubmissionAnswer,
)
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.ordering import Order, Ordering
from asset_pipeline.service.problems import ProblemError, request_id_of
from asset_pipeline.service.responses import PROBLEMS
from asset_pipeline.service.shown import submission_shown

router = APIRouter(tags=["orders"], responses=PROBLEMS)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Your own name for this request: the same name never orders twice.",
    ),
]
Generator = Annotated[Caller, Depends(require(Scope.GENERATE))]
_TAKEN: dict[int | str, dict[str, Any]] = {
    202: {"model": SubmissionAnswer, "description": "Taken; Location says where to ask after it."},
    200: {"model": PlanAnswer, "description": "The plan of a dry run."},
}


@router.post("/generations", status_code=202, response_model=None, responses=_TAKEN)
async def order_one(
    request: Request, body: GenerationBody, caller: Generator, idempotency_key: Key = None
) -> JSONResponse:
    """Order the clips of one prompt."""
    prompt = PromptBody.model_validate(
        {name: getattr(body, name) for name in PromptBody.model_fields}
    )

    def order(context: ServiceContext) -> Order:
        ordering = Ordering(context, caller)
        return ordering.of_bodies([prompt], collection=body.collection, at="")

    return await taken(request, body, caller, idempotency_key, order, dry_run=body.dry_run)


@router.post("/batches", status_code=202, response_model=None, responses=_TAKEN)
async def order_many(
    request: Request, body: BatchBody, caller: Generator, idempotency_key: Key = None
) -> JSONResponse:
    """Order the clips of up to 10,000 prompts; all are taken, or none."""

    def order(context: ServiceContext) -> Order:
        return Ordering(context, caller).of_bodies(
            body.prompts, collection=body.collection, kind=body.kind, defaults=body.defaults
        )

    return await taken(request, body, caller, idempotency_key, order, dry_run=body.dry_run)


@router.post("/clips/{clip_id}/regenerate", status_code=202, response_model=None, responses=_TAKEN)
async def order_take(
    request: Request,
    clip_id: str,
    caller: Generator,
    body: RegenerateBody | None = None,
    idempotency_key: Key = None,
) -> JSONResponse:
    """Order another take of one clip; the other variants of its prompt stay as they are."""
    asked = body or RegenerateBody.model_validate({})

    def order(context: ServiceContext) -> Order:
        found = context.clips.get(clip_id)
        if found is None:
            raise ProblemError(404, "not_found", "There is no such clip.")
        clip = found.clip
        if clip.superseded_at is not None or asked.sha256 not in {None, clip.sha256}:
            raise ProblemError(
                409, "clip_replaced", "The clip was replaced meanwhile: look at it again."
            )
        return Ordering(context, caller).of_take(
            clip.kind, clip.prompt_id, clip.variant, text=asked.text, inputs=asked.inputs
        )

    return await taken(request, asked, caller, idempotency_key, order, dry_run=asked.dry_run)


async def taken(
    request: Request,
    body: BaseModel,
    caller: Caller,
    key: str | None,
    order: Callable[[ServiceContext], Order],
    *,
    dry_run: bool,
) -> JSONResponse:
    """Take a submission and answer; with a key that was used before, answer as before.

    Planning reads files and the ledger, and taking writes: both block, in a thread.
    """
    context = context_of(request)
    idempotency = None if key is None else IdempotencyKey(key, _hash(request, body))

    def work() -> tuple[Answer, bool] | Order:
        if idempotency is not None and not dry_run:
            known = context.submissions.answer_to(caller.owner, idempotency)
            if known is not None:
                return known, True
        planned = order(context)
        if dry_run:
            return planned
        new = planned.submission(caller, request_id_of(request))
        waits = not context.daemon_lives()

        def answer_of(submission_id: str) -> Answer:
            shown = submission_shown(submission_id, new, fits=planned.plan.fits, waits=waits)
            return Answer(202, shown.model_dump(mode="json"), shown.status_url)

        return context.submissions.submit(new, answer_of, idempotency)

    found = await asyncio.to_thread(work)
    if isinstance(found, Order):
        return JSONResponse(found.answer().model_dump(mode="json"), 200)
    answer, replayed = found
    headers = {"Location": answer.location}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(dict(answer.body), answer.status, headers=headers)


def _hash(request: Request, body: BaseModel) -> str:
    """Return the hash of what is asked: the same for the same request, however it is written."""
    document = [request.method, request.url.path, body.model_dump(mode="json", exclude_unset=True)]
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
