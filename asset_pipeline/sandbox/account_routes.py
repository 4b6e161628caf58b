"""The small routes: who am I, which hardware, which model, and uploads."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import cast

from pydantic import JsonValue
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from asset_pipeline.catalog.spec import InputSpec, Model
from asset_pipeline.files import atomic_path
from asset_pipeline.sandbox.accounts import account_of
from asset_pipeline.sandbox.billing import HARDWARE
from asset_pipeline.sandbox.core import Core, base_url
from asset_pipeline.sandbox.problems import (
    InvalidField,
    ProblemError,
    invalid,
    not_found,
    too_large,
)
from asset_pipeline.sandbox.replies import timestamp
from asset_pipeline.sandbox.state import MICROSECONDS

UPLOAD_LIMIT = 100 * 1000 * 1000
_UPLOAD_LIFE_US = 24 * 3600 * MICROSECONDS
_CHUNK = 1 << 20
_ENVELOPE = 1 << 16  # what multipart may add around the file


class AccountRoutes:
    """Handlers on one :class:`Core`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._uploads = core.state.state_dir / "uploads"

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/account", self.account, methods=["GET"]),
            Route("/v1/hardware", self.hardware, methods=["GET"]),
            Route("/v1/models/{owner}/{name}", self.model, methods=["GET"]),
            Route("/v1/webhooks/default/secret", self.webhook_secret, methods=["GET"]),
            Route("/v1/files", self.upload, methods=["POST"]),
            Route("/v1/files/{id}", self.uploaded, methods=["GET"]),
            Route("/v1/files/{id}/download", self.download, methods=["GET"]),
        ]

    async def account(self, request: Request) -> Response:
        """Return the account that the token belongs to."""
        name = account_of(request)
        return JSONResponse(
            {"type": "user", "username": name, "name": name.capitalize(), "github_url": None}
        )

    async def hardware(self, request: Request) -> Response:
        """Return the hardware on offer."""
        del request
        return JSONResponse([{"sku": sku, "name": name} for sku, (name, _) in HARDWARE.items()])

    async def webhook_secret(self, request: Request) -> Response:
        """Return the webhook signing secret."""
        del request
        return JSONResponse({"key": self._core.state.webhook_secret()})

    async def model(self, request: Request) -> Response:
        """Return a model with its input schema."""
        owner, name = request.path_params["owner"], request.path_params["name"]
        model = self._core.shelf.named(f"{owner}/{name}")
        if model is None:
            raise ProblemError(not_found())
        return JSONResponse(_model_json(model))

    async def upload(self, request: Request) -> Response:
        """Take a file in."""
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > UPLOAD_LIMIT + _ENVELOPE:
            async for _ in request.stream():
                pass  # read to the end: a client that is still sending would miss the answer
            raise ProblemError(too_large())
        async with request.form() as form:
            content, metadata = form.get("content"), form.get("metadata")
            if not isinstance(content, UploadFile):
                issue = InvalidField("required", "content", "content is required")
                raise ProblemError(invalid([issue]))
            if (content.size or 0) > UPLOAD_LIMIT:
                raise ProblemError(too_large())
            return JSONResponse(await self._store(request, content, str(metadata or "{}")), 201)

    async def uploaded(self, request: Request) -> Response:
        """Return what is known of an upload."""
        return JSONResponse(self._upload_json(request, request.path_params["id"]))

    async def download(self, request: Request) -> Response:
        """Return an upload's bytes."""
        known = self._upload_json(request, request.path_params["id"])
        path = self._uploads / cast("str", known["id"])
        return FileResponse(path, media_type=cast("str", known["content_type"]))

    async def _store(
        self, request: Request, content: UploadFile, metadata: str
    ) -> dict[str, JsonValue]:
        upload_id = secrets.token_hex(16)
        digest, size = hashlib.sha256(), 0
        with atomic_path(self._uploads / upload_id, private=True) as path, path.open("wb") as file:
            while chunk := await content.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        self._core.state.connection.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                upload_id,
                content.filename or "file",
                content.content_type or "application/octet-stream",
                size,
                digest.hexdigest(),
                metadata,
                self._core.state.now_us(),
            ),
        )
        return self._upload_json(request, upload_id)

    def _upload_json(self, request: Request, upload_id: str) -> dict[str, JsonValue]:
        row = self._core.state.connection.execute(
            "SELECT * FROM uploads WHERE id = ?", (upload_id,)
        ).fetchone()
        now = self._core.state.now_us()
        if row is None or now >= row["created_us"] + _UPLOAD_LIFE_US:
            raise ProblemError(not_found())
        url = f"{base_url(request)}/v1/files/{upload_id}"
        created = row["created_us"] + self._core.state.skew().clock_us
        return {
            "id": upload_id,
            "name": row["name"],
            "content_type": row["content_type"],
            "size": row["bytes"],
            "etag": row["sha256"][:32],
            "checksums": {"sha256": row["sha256"]},
            "metadata": json.loads(row["metadata"]),
            "created_at": timestamp(created),
            "expires_at": timestamp(created + _UPLOAD_LIFE_US),
            "urls": {"get": url},
        }


def _model_json(model: Model) -> dict[str, JsonValue]:
    owner, _, name = model.name.partition("/")
    schema: dict[str, JsonValue] = {
        "type": "object",
        "required": [field for field, spec in model.inputs.items() if spec.required],
        "properties": {field: _property(spec) for field, spec in model.inputs.items()},
    }
    openapi: JsonValue = {"openapi": "3.0.2", "components": {"schemas": {"Input": schema}}}
    return {
        "url": f"https://replicate.com/{model.name}",
        "owner": owner,
        "name": name,
        "description": f"The sandbox's stand-in for {model.name}.",
        "visibility": "public",
        "is_official": model.official,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": {
            "id": model.version or "hidden",
            "created_at": "2026-01-01T00:00:00.000000Z",
            "cog_version": "0.16.0",
            "openapi_schema": openapi,
        },
    }


def _property(spec: InputSpec) -> JsonValue:
    bounds = {"minimum": spec.minimum, "maximum": spec.maximum}
    shown: dict[str, JsonValue] = {
        "type": "string" if spec.type == "file" else spec.type,
        "default": spec.default,
        "description": spec.description,
        **{name: float(value) for name, value in bounds.items() if value is not None},
    }
    if spec.type == "file":
        shown["format"] = "uri"
    if spec.choices is not None:
        shown["enum"] = list(spec.choices)
    return shown
