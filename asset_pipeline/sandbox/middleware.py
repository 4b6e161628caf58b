"""Before every route: the token, the limit and the count; on every reply: the limit's headers."""

from __future__ import annotations

import re
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asset_pipeline.sandbox.accounts import token_of
from asset_pipeline.sandbox.core import Core
from asset_pipeline.sandbox.faults.transport_faults import DroppedConnectionError, refusal_in_outage
from asset_pipeline.sandbox.problems import (
    ProblemResponse,
    insufficient_credit,
    throttled,
    unauthenticated,
)
from asset_pipeline.sandbox.ratelimit import Allowance, Traffic

_TEMPLATES = (
    (re.compile(r"/v1/predictions"), "/v1/predictions"),
    (re.compile(r"/v1/predictions/[^/]+"), "/v1/predictions/{id}"),
    (re.compile(r"/v1/predictions/[^/]+/cancel"), "/v1/predictions/{id}/cancel"),
    (re.compile(r"/v1/models/[^/]+/[^/]+/predictions"), "/v1/models/{owner}/{name}/predictions"),
    (
        re.compile(r"/v1/deployments/[^/]+/[^/]+/predictions"),
        "/v1/deployments/{owner}/{name}/predictions",
    ),
    (re.compile(r"/delivery/[^/]+/[^/]+"), "/delivery/{id}/{name}"),
    (re.compile(r"/v1/models/[^/]+/[^/]+"), "/v1/models/{owner}/{name}"),
    (re.compile(r"/v1/files/[^/]+"), "/v1/files/{id}"),
    (re.compile(r"/v1/files/[^/]+/download"), "/v1/files/{id}/download"),
)
_LONGEST_PATH = 200  # of one that no route has: each is a row


def template(path: str) -> str:
    """Return a path with its changing parts replaced by names, as requests are counted."""
    known = next((name for pattern, name in _TEMPLATES if pattern.fullmatch(path)), None)
    return known or path[:_LONGEST_PATH]


def creates(method: str, route: str) -> bool:
    """Return whether this request creates a prediction."""
    return method == "POST" and route.endswith("/predictions")


class ApiMiddleware:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app = app
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._core.last_request = time.monotonic()
        path: str = scope["path"]
        if path.startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send, path)
        except DroppedConnectionError:
            await self._drop(scope, receive)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        route = template(path)
        counted = f"{scope['method']} {route}"
        if (outage := self._core.faults.outage()) is not None:
            self._core.limit.count(counted)
            await refusal_in_outage(outage)(scope, receive, send)
            return
        if not path.startswith("/v1/"):
            self._core.limit.count(counted)
            await self._app(scope, receive, send)
            return
        creating = creates(scope["method"], route)
        traffic = Traffic.CREATES if creating else Traffic.OTHERS
        allowance = self._core.limit.take(traffic, counted)
        refusal = self._refusal(Headers(scope=scope), allowance, creating=creating)
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, _with_headers(send, allowance))

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        if self._core.drop is None:
            raise RuntimeError("This server cannot drop connections: run it by `serve`.")
        self._core.drop(scope)
        while (await receive())["type"] != "http.disconnect":
            pass

    def _refusal(
        self, headers: Headers, allowance: Allowance, *, creating: bool
    ) -> ProblemResponse | None:
        token, options = token_of(headers), self._core.options
        if not token or token.startswith(options.bad_token_prefix):
            return unauthenticated()
        if not allowance.allowed:
            what = "creating predictions" if creating else "requests"
            return throttled(allowance.limit, what, allowance.reset)
        if creating and token.startswith(options.poor_token_prefix):
            return insufficient_credit()
        return None


def _with_headers(send: Send, allowance: Allowance) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *allowance.headers()]
        await send(message)

    return sending
