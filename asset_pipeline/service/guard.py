"""What every request passes before any route: its id, its size, its host, and the headers it gets.

Plain ASGI, because a body has to be bounded while it streams in, and an event stream must not be
gathered up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from typing import Any, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.service_audit import AuditEntry
from asset_pipeline.logs.fields import bound
from asset_pipeline.service.context import context_of
from asset_pipeline.service.identity import Caller
from asset_pipeline.service.problems import ProblemError, problem_response
from asset_pipeline.tracing.spans import annotate, span, traced_logs

_log = logging.getLogger("asset_pipeline.service")
_access = logging.getLogger("asset_pipeline.service.access")

_PROBES = {"/healthz", "/readyz", "/metrics"}
_FAILED = 400

MEGABYTE = 1024 * 1024
MAX_JSON_BYTES = 32 * MEGABYTE
MAX_UPLOAD_BYTES = 64 * MEGABYTE
MAX_DEPTH = 32

# How long a whole body may take, and how long nothing may come of it.
_BODY_SECONDS = 120.0
_SILENT_SECONDS = 15.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """The outermost part of the service.

    It refuses names that are not the service's: a page of another site can give its own name this
    machine's address, and would then read what it likes.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.state.request_id = request_id
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, request, request_id)
            await send(message)

        began = time.monotonic()
        with (
            span(
                f"{request.method} {request.url.path}",
                parent=request.headers.get("traceparent"),
                http__request__method=request.method,
                url__path=request.url.path,
                asset_pipeline__request_id=request_id,
            ),
            traced_logs(),
            bound(request_id=request_id),
        ):
            try:
                receiving = await self._bounded(request, receive)
                await self._app(scope, receiving, sending)
            except ProblemError as problem:
                await problem_response(request, problem)(scope, receive, sending)
            finally:
                annotate(http__response__status_code=status)
                if request.method in _UNSAFE:
                    await self._note(request, request_id, status)
                _log_access(request, status, time.monotonic() - began)

    def _add_headers(self, message: Message, request: Request, request_id: str) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-Id"] = request_id
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if request.url.path.startswith("/api/"):
            headers.setdefault("Cache-Control", "no-store")
        for name, value in getattr(request.state, "rate_headers", {}).items():
            headers[name] = value

    async def _bounded(self, request: Request, receive: Receive) -> Receive:
        """Return what hands the body on; a JSON body is read and looked at first.

        Raises:
            ProblemError: The host is not ours, or the body is too large, too slow or no JSON.
        """
        hosts: frozenset[str] = request.app.state.hosts
        if hosts and _host_of(request) not in hosts:
            raise ProblemError(421, "wrong_host", "This service is not called by that name.")
        if request.method not in _UNSAFE:
            return receive
        upload = request.url.path.rstrip("/").endswith("/files")
        most = MAX_UPLOAD_BYTES if upload else MAX_JSON_BYTES
        length = request.headers.get("content-length", "0")
        if not length.isdecimal():
            raise ProblemError(400, "bad_request", "Content-Length is no number.")
        if int(length) > most:
            raise _too_large(most)
        bounded = _Bounded(receive, most)
        if upload:
            return bounded
        body = await bounded.whole()
        check_json(request, body)
        return _replay(body, receive)

    async def _note(self, request: Request, request_id: str, status: int) -> None:
        """Write down who changed, or tried to change, something."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            return  # whoever it was said nothing true of themselves: the log has it
        entry = AuditEntry(
            request_id=request_id,
            actor=caller.actor,
            key_id=caller.key_id,
            action=f"{request.method} {request.url.path}"[:300],
            status=status,
            code=getattr(request.state, "problem_code", ""),
            client="" if request.client is None else request.client.host[:64],
        )
        try:
            await asyncio.to_thread(context_of(request).audit.add, entry)
        except LedgerError as error:
            _log.warning("not in the audit: %s: %s", entry, error)


def _log_access(request: Request, status: int, seconds: float) -> None:
    """Write the line of a request, without its query, which may be private."""
    if request.url.path in _PROBES and status < _FAILED:
        return  # several a second, and each says that all is well
    caller: Caller | None = getattr(request.state, "caller", None)
    _access.info(
        "%s %s %d",
        request.method,
        request.url.path,
        status,
        extra={
            "method": request.method,
            "path": request.url.path,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "key_id": None if caller is None else caller.key_id,
            "actor": None if caller is None else caller.actor,
            "client": None if request.client is None else request.client.host,
            "code": getattr(request.state, "problem_code", None),
        },
    )


class _Bounded:
    """Hands a body on as long as it keeps to its size and its time."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._read = 0
        self._ended = False
        self._deadline = asyncio.get_running_loop().time() + _BODY_SECONDS

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(0.0, min(_SILENT_SECONDS, left))):
                message = await self._receive()
        except TimeoutError:
            raise ProblemError(
                408, "too_slow", "The body did not come in time.", headers={"Connection": "close"}
            ) from None
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._read > self._most:
                raise _too_large(self._most)
        return message

    async def whole(self) -> bytes:
        """Return the whole body."""
        parts: list[bytes] = []
        while True:
            message = await self()
            if message["type"] != "http.request":
                raise ProblemError(400, "bad_request", "The caller went away.")
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)


def check_json(request: Request, body: bytes) -> None:
    """Refuse a body that is no JSON that can be stored and sent on.

    Raises:
        ProblemError: It is not JSON, is nested too deep, or holds text that is none.
    """
    if not body:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Anything else could be sent by a form on another site, without the browser asking first.
        raise ProblemError(415, "unsupported_media_type", "Send application/json.")
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_number)
        _check_depth(document)
    except ProblemError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise ProblemError(400, "bad_json", f"The body is no JSON: {error}"[:300]) from None


def _check_depth(document: object) -> None:
    level: list[object] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                for key, each in cast("dict[str, object]", value).items():
                    _check_text(key)
                    below.append(each)
            elif isinstance(value, list):
                below.extend(cast("list[object]", value))
        level = below


def _check_text(value: str) -> None:
    if "\x00" in value:
        raise ProblemError(400, "bad_json", "The body holds the character U+0000.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ProblemError(400, "bad_json", "The body holds half a character.") from None


def _no_number(name: str) -> Any:  # noqa: ANN401 -- json's own signature
    raise ValueError(f"{name} is no number in JSON")


def _too_deep() -> ProblemError:
    return ProblemError(400, "too_deep", f"The body is nested deeper than {MAX_DEPTH} levels.")


def _too_large(most: int) -> ProblemError:
    return ProblemError(
        413,
        "too_large",
        f"At most {most // MEGABYTE} MB are taken.",
        headers={"Connection": "close"},
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _host_of(request: Request) -> str:
    host = request.headers.get("host", "")
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[").lower()
    return host.partition(":")[0].lower()
