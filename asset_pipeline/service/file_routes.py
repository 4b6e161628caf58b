"""Routes by which files come in that prompts start from."""

from __future__ import annotations

import asyncio
import os
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, File, Query, Request, Response, UploadFile

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.files import make_private_folder
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.ledger.uploads import Upload
from asset_pipeline.media.bad_media import BadMediaError
from asset_pipeline.media.formats import HEAD_BYTES, sniff
from asset_pipeline.media.probe import MediaInfo, verify
from asset_pipeline.service.bodies import FileAnswer, FilePage
from asset_pipeline.service.context import ServiceContext, context_of
from asset_pipeline.service.guard import MEGABYTE
from asset_pipeline.service.identity import Caller, require
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.responses import PROBLEMS
from asset_pipeline.service.shown import file_shown

router = APIRouter(tags=["files"], responses=PROBLEMS)

Generator = Annotated[Caller, Depends(require(Scope.GENERATE))]
Reader = Annotated[Caller, Depends(require(Scope.READ))]

_BLOCK = 256 * 1024

# Decoding is bounded in memory by how many files are decoded at once.
_DECODING = asyncio.Semaphore(2)


@router.post("/files", status_code=201)
async def upload(
    request: Request,
    response: Response,
    caller: Generator,
    file: Annotated[UploadFile, File(description="A picture or a sound.")],
) -> FileAnswer:
    """Take a file for prompts to start from: give its id as their `reference`.

    It is judged by its content, decoded in full, and named by an id of ours, whatever its sender
    calls it. It is deleted after some days.
    """
    context = context_of(request)
    folder = context.settings.uploads_dir
    make_private_folder(folder)
    file_id = f"file_{uuid.uuid4().hex}"
    landing = folder / f".{file_id}.part"
    try:
        await _save(file, landing)
        async with _DECODING:
            kind, info = await asyncio.to_thread(_judge, landing)
        now = context.clock.now()
        entry = Upload(
            file_id=file_id,
            owner=caller.owner,
            kind=kind,
            mime=info.mime,
            extension=info.extension,
            bytes=info.bytes,
            sha256=info.sha256,
            width=info.width,
            height=info.height,
            created_at=now,
            expires_at=now + timedelta(days=context.settings.upload_days),
        )
        await asyncio.to_thread(_keep, context, entry, landing)
    finally:
        landing.unlink(missing_ok=True)
    response.headers["Location"] = f"/api/v1/files/{file_id}"
    return file_shown(entry)


@router.get("/files")
async def list_files(
    request: Request, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> FilePage:
    """List files that are still kept: one's own, or everybody's for an admin."""
    owner = None if caller.sees_all else caller.owner
    found = context_of(request).uploads.of_owner(owner, limit)
    return FilePage(items=[file_shown(each) for each in found])


@router.get("/files/{file_id}")
async def show_file(request: Request, file_id: str, caller: Reader) -> FileAnswer:
    """Tell what is known of a file."""
    return file_shown(_own(request, file_id, caller))


@router.delete("/files/{file_id}", status_code=204)
async def delete_file(request: Request, file_id: str, caller: Generator) -> None:
    """Delete a file; prompts that start from it can't be made any more."""
    context = context_of(request)
    found = _own(request, file_id, caller)
    await asyncio.to_thread(_delete, context, found)


def sweep(context: ServiceContext) -> int:
    """Delete the files whose time is over; return how many."""
    gone = context.uploads.expired()
    for each in gone:
        _delete(context, each)
    return len(gone)


async def _save(file: UploadFile, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as saved:
        while block := await file.read(_BLOCK):
            await asyncio.to_thread(saved.write, block)


def _judge(path: Path) -> tuple[Kind, MediaInfo]:
    """Decode a file in full; its name and what its sender says it is play no part.

    Raises:
        ProblemError: It is no picture and no sound that can be used.
    """
    with path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    if found is None:
        raise ProblemError(415, "not_media", "The file is no picture and no sound that is known.")
    try:
        return found.kind, verify(path, found.kind)
    except BadMediaError as error:
        detail = error.message.replace(path.name, "the file")
        raise ProblemError(422, "bad_media", detail) from None


def _keep(context: ServiceContext, entry: Upload, landing: Path) -> None:
    quota = context.settings.upload_quota_mb * MEGABYTE
    place = _path(context, entry)
    landing.replace(place)
    try:
        context.uploads.add(entry, quota)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def _delete(context: ServiceContext, entry: Upload) -> None:
    context.uploads.remove(entry.file_id)
    _path(context, entry).unlink(missing_ok=True)


def _path(context: ServiceContext, entry: Upload) -> Path:
    return context.settings.uploads_dir / f"{entry.file_id}.{entry.extension}"


def _own(request: Request, file_id: str, caller: Caller) -> Upload:
    """Return a file that the caller may see; another's is none."""
    found = None if "\x00" in file_id else context_of(request).uploads.get(file_id)
    if found is None or not (caller.sees_all or found.owner == caller.owner):
        raise ProblemError(404, "not_found", "There is no such file.")
    return found
