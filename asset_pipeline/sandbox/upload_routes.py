"""The routes about files: send one, list, read and delete them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Literal, cast
from urllib.parse import quote

from pydantic import Field, JsonValue, TypeAdapter
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.sandbox.accounts import account_of
from asset_pipeline.sandbox.bodies import UnreadableJsonError, bounded, parsed
from asset_pipeline.sandbox.core import Core, base_url
from asset_pipeline.sandbox.problems import (
    InvalidField,
    ProblemError,
    check_query,
    invalid,
    not_found,
    problem,
    too_large,
    unsupported_type,
)
from asset_pipeline.sandbox.replies import timestamp
from asset_pipeline.sandbox.upload_repository import (
    LIFE_US,
    Description,
    Upload,
    UploadRepository,
)

UPLOAD_LIMIT = 100 * 1000 * 1000
_CHUNK = 1 << 20
_ENVELOPE = 1 << 16  # what multipart may add around the file
_LONGEST_NAME = 255
_MIME = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(?:;[ -~]{0,200})?", re.ASCII)
_CURSOR = TypeAdapter(
    dict[Literal["older_than", "newer_than"], Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]]
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UploadRoutes:
    """Handlers on one :class:`Core`."""

    def __init__(self, core: Core) -> None:
        self._state = core.state
        self._uploads = UploadRepository(core.state)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/files", self.create, methods=["POST"]),
            Route("/v1/files", self.list_, methods=["GET"]),
            Route("/v1/files/{id}", self.get, methods=["GET"]),
            Route("/v1/files/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/files/{id}/download", self.download, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Take in a file, ``content``, with a ``filename``, ``type`` and ``metadata`` if given.

        The limit holds for what comes, whatever the request says of its length.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise ProblemError(unsupported_type("multipart/form-data"))
        source = bounded(request.receive, UPLOAD_LIMIT + _ENVELOPE)
        try:
            async with Request(request.scope, source).form() as form:
                content, description = _described(form, account_of(request))
                upload = await self._uploads.add(description, _chunks(content))
        except FormParserError as error:
            detail = f"The multipart body cannot be read: {error}."
            raise ProblemError(problem(400, "Bad request", detail)) from None
        return JSONResponse(self._shown(request, upload), 201)

    async def list_(self, request: Request) -> Response:
        """Return a page of the account's files, newest first."""
        check_query(request.query_params, ("cursor",))
        older_than, newer_than = _place(request.query_params.get("cursor"))
        page = self._uploads.page(account_of(request), older_than=older_than, newer_than=newer_than)

        def link(name: str, number: int | None) -> str | None:
            if number is None:
                return None
            cursor = base64.urlsafe_b64encode(json.dumps({name: number}).encode()).decode()
            return f"{base_url(request)}/v1/files?cursor={quote(cursor)}"

        return JSONResponse(
            {
                "next": link("older_than", page.older),
                "previous": link("newer_than", page.newer),
                "results": [self._shown(request, upload) for upload in page.uploads],
            }
        )

    async def get(self, request: Request) -> Response:
        """Return what is known of a file."""
        return JSONResponse(self._shown(request, self._asked_for(request)))

    async def delete(self, request: Request) -> Response:
        """Remove a file."""
        self._uploads.remove(self._asked_for(request))
        return Response(status_code=204)

    async def download(self, request: Request) -> Response:
        """Return a file's bytes, never as a page of this server."""
        upload = self._asked_for(request)
        path = self._uploads.path(upload.id)
        if not path.is_file():
            raise ProblemError(not_found())
        return FileResponse(
            path,
            media_type=upload.content_type,
            filename=upload.name,
            headers={"x-content-type-options": "nosniff"},
        )

    def _asked_for(self, request: Request) -> Upload:
        """Return the account's file that a request names.

        Raises:
            ProblemError: 404, there is none, or it is another account's.
        """
        upload = self._uploads.find(account_of(request), request.path_params["id"])
        if upload is None:
            raise ProblemError(not_found())
        return upload

    def _shown(self, request: Request, upload: Upload) -> dict[str, JsonValue]:
        created = upload.created_us + self._state.skew().clock_us
        return {
            "id": upload.id,
            "name": upload.name,
            "content_type": upload.content_type,
            "size": upload.bytes,
            "etag": upload.sha256[:32],
            "checksums": {"sha256": upload.sha256},
            "metadata": upload.metadata,
            "created_at": timestamp(created),
            "expires_at": timestamp(created + LIFE_US),
            "urls": {"get": f"{base_url(request)}/v1/files/{upload.id}"},
        }


def _described(form: FormData, account: str) -> tuple[UploadFile, Description]:
    """Return a form's file, and what the form says of it.

    Raises:
        ProblemError: 413, the file is too large; 422, naming each field that is wrong.
    """
    content = form.get("content")
    if not isinstance(content, UploadFile):
        raise ProblemError(invalid([InvalidField("required", "content", "content is required")]))
    if (content.size or 0) > UPLOAD_LIMIT:
        raise ProblemError(too_large(UPLOAD_LIMIT))
    name = _text(form, "filename") or content.filename or "file"
    mime = _text(form, "type") or content.content_type or "application/octet-stream"
    issues: list[InvalidField] = []
    if len(name.encode(errors="replace")) > _LONGEST_NAME or _CONTROL.search(name):
        words = f"must be at most {_LONGEST_NAME} bytes, without control characters"
        issues.append(InvalidField("string_lte", "filename", words))
    if not _MIME.fullmatch(mime):
        issues.append(InvalidField("format", "type", "must be a media type, such as image/png"))
    metadata: JsonValue = {}
    try:
        metadata = parsed(_text(form, "metadata") or "{}")
    except UnreadableJsonError:
        metadata = None
    if not isinstance(metadata, dict):
        issues.append(InvalidField("invalid_type", "metadata", "must be a JSON object"))
    if issues:
        raise ProblemError(invalid(issues))
    return content, Description(account, name, mime, cast("dict[str, JsonValue]", metadata))


def _text(form: FormData, name: str) -> str | None:
    """Return a field of a form.

    Raises:
        ProblemError: 422, it is a file.
    """
    value = form.get(name)
    if value is None or isinstance(value, str):
        return value
    raise ProblemError(invalid([InvalidField("invalid_type", name, "must not be a file")]))


async def _chunks(content: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await content.read(_CHUNK):
        yield chunk


def _place(cursor: str | None) -> tuple[int | None, int | None]:
    """Return the number that a page comes after, and the one that it comes before.

    Raises:
        ProblemError: 422, the cursor cannot be read.
    """
    if cursor is None:
        return None, None
    try:
        place = _CURSOR.validate_json(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise ProblemError(invalid([InvalidField("format", "cursor", "Invalid cursor")])) from None
    return place.get("older_than"), place.get("newer_than")
