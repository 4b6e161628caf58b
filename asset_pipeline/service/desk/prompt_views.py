"""Routes about prompts: what asks for a clip, what failed, and the next take of it.

Each change can be asked what it would cost at the most before it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.ledger.clip_pages import PagedClip
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.prompts.file_edit import (
    PromptEdit,
    PromptFileChangedError,
    edited,
    read_source,
    write_edit,
)
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.service.bodies import ClipAnswer, Id, Inputs, Sha256, Text
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.desk.clip_views import queue_of
from asset_pipeline.service.desk.file_prompts import resolved_after
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.ordering import Order, Ordering, usd
from asset_pipeline.service.ordering_routes import Generator, Key, taken
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.shown import clip_shown

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, Depends(require(Scope.READ))]
PromptId = Annotated[str, Path(max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")]

_MOST_TAKES = 500
_MOST_PROMPTS = 1_000
_MOST_CLIPS = 400


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClipSeen(_Body):
    """A clip, and the file that was looked at."""

    clip_id: Annotated[str, Field(max_length=32)]
    sha256: Sha256


class TakesBody(_Body):
    """Clips of which another take is wanted."""

    clips: Annotated[list[ClipSeen], Field(min_length=1, max_length=_MOST_TAKES)]
    dry_run: bool = False


class CostsAnswer(BaseModel):
    """What keys would cost at the most, before they are pressed.

    Attributes:
        gone: Clips that no prompt asks for any more: no other take of them can be made.
    """

    takes: int
    takes_usd: str
    takes_fit: bool
    gone: int
    retakes: int = Field(description="Takes that rejecting orders, as the collections say.")
    retakes_usd: str


class PromptName(_Body):
    """A prompt by its kind and id."""

    kind: Annotated[Kind, Field(strict=False)]
    prompt_id: Id


class RetryBody(_Body):
    """Prompts whose missing clips are wanted again."""

    prompts: Annotated[list[PromptName], Field(min_length=1, max_length=_MOST_PROMPTS)]
    dry_run: bool = False


class EditBody(_Body):
    """A prompt of a file as it is to be, and the file that was looked at."""

    file_sha256: Sha256
    text: Text | None = None
    inputs: Inputs | None = None
    dry_run: bool = False


class PromptAnswer(BaseModel):
    """What asks for a clip."""

    kind: str
    prompt_id: str
    source: Literal["file", "ledger", "gone"]
    path: str | None = None
    file_sha256: str | None = None
    may_edit: bool = False
    collection: str | None = None
    text: str | None = None
    style: str | None = None
    model: str | None = None
    variants: int = 0
    tags: list[str] = Field(default_factory=list)
    inputs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Those that the prompt itself sets."
    )
    effective_inputs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Those over the collection's and the model's defaults."
    )
    fixed_inputs: list[str] = Field(
        default_factory=list, description="Inputs that no prompt may set."
    )
    retake_rejected: bool = False
    take_usd: list[str] = Field(
        default_factory=list, description="What another take of each variant costs at the most."
    )
    clips: list[ClipAnswer] = Field(default_factory=list[ClipAnswer])


class FailureAnswer(BaseModel):
    """A prompt that the last run left without all of its clips."""

    kind: str
    prompt_id: str
    how: str
    error_class: str
    error: str
    hint: str
    run_id: str
    ended_at: str
    text: str | None
    gone: bool


class FailuresAnswer(BaseModel):
    """All of them."""

    items: list[FailureAnswer]


@router.get("/prompts/{kind}/{prompt_id}")
async def show_prompt(
    request: Request, kind: Kind, prompt_id: PromptId, caller: Reader
) -> PromptAnswer:
    """Tell what asks for a clip, all that was made of it, and what another take costs."""
    return await asyncio.to_thread(_prompt, request, caller, kind, prompt_id)


@router.get("/failures")
async def show_failures(request: Request, caller: Reader) -> FailuresAnswer:
    """List the prompts that failed, with the reason and what to do."""
    queue = queue_of(request)

    def work() -> FailuresAnswer:
        ordering = Ordering(context_of(request), caller)
        items: list[FailureAnswer] = []
        for each in queue.failed(_MOST_PROMPTS):
            prompt = ordering.prompt(each.kind, each.prompt_id)
            items.append(
                FailureAnswer(
                    kind=each.kind.value,
                    prompt_id=each.prompt_id,
                    how=each.how,
                    error_class=each.error_class,
                    error=each.error,
                    hint=_hint(each.error_class),
                    run_id=each.run_id,
                    ended_at=each.ended_at.isoformat(),
                    text=None if prompt is None else prompt.text,
                    gone=prompt is None,
                )
            )
        return FailuresAnswer(items=items)

    return await asyncio.to_thread(work)


@router.post("/costs")
async def show_costs(request: Request, body: TakesBody, caller: Reader) -> CostsAnswer:
    """Tell what another take of each of some clips costs, and what rejecting them does."""
    return await asyncio.to_thread(_costs, request, caller, body)


@router.post("/takes", status_code=202, response_model=None)
async def order_takes(
    request: Request, body: TakesBody, caller: Generator, idempotency_key: Key = None
) -> JSONResponse:
    """Order another take of each of some clips, all or none."""

    def order(context: ServiceContext) -> Order:
        wanted: list[tuple[Kind, str, int]] = []
        found = {each.clip.clip_id: each.clip for each in _details(request, body)}
        for asked in body.clips:
            clip = found.get(asked.clip_id)
            if clip is None:
                raise ProblemError(404, "not_found", "There is no such clip.")
            if clip.superseded_at is not None or clip.sha256 != asked.sha256:
                raise ProblemError(
                    409, "clip_replaced", "A clip was replaced meanwhile: look at it again."
                )
            wanted.append((clip.kind, clip.prompt_id, clip.variant))
        return Ordering(context, caller).of_takes(wanted)

    return await taken(request, body, caller, idempotency_key, order, dry_run=body.dry_run)


@router.post("/retries", status_code=202, response_model=None)
async def order_retries(
    request: Request, body: RetryBody, caller: Generator, idempotency_key: Key = None
) -> JSONResponse:
    """Order what some prompts lack."""

    def order(context: ServiceContext) -> Order:
        keys = [(each.kind, each.prompt_id) for each in body.prompts]
        return Ordering(context, caller).of_known(keys)

    return await taken(request, body, caller, idempotency_key, order, dry_run=body.dry_run)


@router.post("/prompts/{kind}/{prompt_id}/edit", status_code=202, response_model=None)
async def edit_prompt(
    request: Request,
    kind: Kind,
    prompt_id: PromptId,
    body: EditBody,
    caller: Generator,
    idempotency_key: Key = None,
) -> JSONResponse:
    """Change a prompt in its file and order its clips; or say what they would cost."""

    def order(context: ServiceContext) -> Order:
        ordering = Ordering(context, caller)
        prompt = ordering.prompt(kind, prompt_id)
        if prompt is None or not ordering.is_of_file((kind, prompt_id)):
            raise ProblemError(409, "prompt_gone", "No prompt file has this prompt any more.")
        folder = context.settings.prompts_dir
        edit = PromptEdit(prompt_id, body.text, body.inputs)
        try:
            text = edited(folder, prompt.path, edit, body.file_sha256)
            wanted = replace(resolved_after(context, prompt, text), takes=prompt.takes)
            planned = ordering.of_prompts([wanted])
            if not body.dry_run:
                write_edit(folder, prompt.path, edit, body.file_sha256)
        except PromptFileChangedError as error:
            detail = f"{error.message} {error.hint}"
            raise ProblemError(409, "file_changed", detail) from None
        return planned

    return await taken(request, body, caller, idempotency_key, order, dry_run=body.dry_run)


def _prompt(request: Request, caller: Caller, kind: Kind, prompt_id: str) -> PromptAnswer:
    context = context_of(request)
    ordering = Ordering(context, caller)
    clips = [clip_shown(each) for each in queue_of(request).of_prompt(kind, prompt_id, _MOST_CLIPS)]
    prompt = ordering.prompt(kind, prompt_id)
    if prompt is None:
        return PromptAnswer(kind=kind.value, prompt_id=prompt_id, source="gone", clips=clips)
    model = context.catalog().get(prompt.model)
    return PromptAnswer(
        kind=kind.value,
        prompt_id=prompt_id,
        path=prompt.path,
        collection=prompt.collection,
        style=prompt.style,
        model=prompt.model,
        variants=prompt.variants,
        tags=list(prompt.tags),
        effective_inputs={**model.defaults, **prompt.inputs},
        fixed_inputs=[model.prompt_input, *model.fixed_inputs, *filter(None, [model.count_input])],
        retake_rejected=ordering.retakes(kind, prompt_id),
        take_usd=[usd(amount) for amount in ordering.worst_cases(prompt)],
        clips=clips,
        **_source(context, ordering, caller, prompt),
    )


def _costs(request: Request, caller: Caller, body: TakesBody) -> CostsAnswer:
    ordering = Ordering(context_of(request), caller)
    wanted: list[tuple[Kind, str, int]] = []
    clips = [each.clip for each in _details(request, body)]
    for clip in clips:
        prompt = ordering.prompt(clip.kind, clip.prompt_id)
        if prompt is not None and clip.variant <= prompt.variants and not clip.superseded_at:
            wanted.append((clip.kind, clip.prompt_id, clip.variant))
    automatic = [each for each in wanted if ordering.retakes(each[0], each[1])]
    takes, retakes = ordering.of_takes(wanted).plan, ordering.of_takes(automatic).plan
    return CostsAnswer(
        takes=takes.to_generate,
        takes_usd=usd(takes.worst_case),
        takes_fit=takes.fits,
        gone=len(clips) - len(wanted),
        retakes=retakes.to_generate,
        retakes_usd=usd(retakes.worst_case),
    )


def _source(
    context: ServiceContext, ordering: Ordering, caller: Caller, prompt: Prompt
) -> Mapping[str, Any]:
    """Return where a prompt is written, and as what."""
    may = caller.may(Scope.GENERATE)
    if ordering.is_of_file((prompt.kind, prompt.prompt_id)):
        found = read_source(context.settings.prompts_dir, prompt.path, prompt.prompt_id)
        return {
            "source": "file",
            "file_sha256": found.sha256,
            "text": found.text,
            "inputs": dict(found.inputs),
            "may_edit": may,
        }
    stored = context.submitted.find(prompt.kind, prompt.prompt_id)
    return {
        "source": "ledger",
        "text": prompt.text,
        "inputs": dict(prompt.inputs),
        "may_edit": may and stored is not None and stored.owner == caller.owner,
    }


def _details(request: Request, body: TakesBody) -> list[PagedClip]:
    return queue_of(request).details([each.clip_id for each in body.clips])


def _hint(error_class: str) -> str:
    try:
        return GenerationFailure(ErrorClass(error_class), "").hint
    except ValueError:
        return ""
