"""The transport under the `replicate` client, which keeps what the client drops.

Facts about replicate 1.0.7, each held by a test:

- it sends a create without any timeout, so the wire sets one on every request;
- its own transport repeats a GET on 429, 503 and 504 ten times and sleeps as long as
  ``Retry-After`` says, without a cap; raising here, below it, hands that decision to us;
- its errors drop headers, ``retry_after`` and ``invalid_fields``, and an error body that is a list
  raises AttributeError; the wire keeps the whole answer;
- it refuses status ``aborted`` and a null version while parsing, and one such row breaks a whole
  listing; it also takes 1 ms a row. So it is never shown an answer: :class:`Answered` ends the
  request once the wire has the whole body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from ssl import SSLContext
from typing import cast

import httpx

from asset_pipeline.clock import Clock
from asset_pipeline.providers.protocol import Allowance
from asset_pipeline.providers.transport import AiohttpTransport

MAX_REPLY_BYTES = 32 * 1024 * 1024


@dataclass
class Exchange:
    """One request of ours: what to add to it, how far it got, and what came back."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    sent: bool = False
    clock_offset: float | None = None  # what the provider's clock is ahead of ours, in seconds
    allowance: Allowance | None = None
    document: object = None


class Answered(Exception):  # noqa: N818 -- good news
    """The whole answer is in :data:`CURRENT`, and the client has no more to do."""


class ErrorReply(Exception):  # noqa: N818 -- an answer, turned into an error of ours by the caller
    """The provider answered with an error status."""

    def __init__(self, status: int, headers: httpx.Headers, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        problem = _problem(body)
        self.title = _text(problem.get("title"))
        self.detail = _text(problem.get("detail"))
        self.retry_after = _seconds(problem.get("retry_after"), headers.get("retry-after"))
        self.invalid_fields = tuple(_objections(problem.get("invalid_fields")))

    @property
    def sentence(self) -> str:
        """The provider's own words, or the bare status."""
        words = [word for word in (self.title, self.detail.strip()) if word]
        return f"HTTP {self.status}: {'. '.join(words)}" if words else f"HTTP {self.status}"


CURRENT: ContextVar[Exchange] = ContextVar("exchange")


class Wire(httpx.AsyncBaseTransport):
    """Sends one request with a timeout and records the whole answer in :data:`CURRENT`."""

    def __init__(self, timeout: httpx.Timeout, trust: SSLContext, clock: Clock) -> None:
        self._inner = AiohttpTransport(trust)
        self._timeout = timeout
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, read everything, record; never return.

        Raises:
            Answered: A whole answer came.
            ErrorReply: The answer has an error status.
            httpx.HTTPError: There was no answer, or not a whole one.
            ValueError: The answer is no JSON.
        """
        exchange = CURRENT.get()
        request.extensions["timeout"] = self._timeout.as_dict()
        request.headers.update(exchange.headers)
        exchange.sent = True
        began = self._clock.now()
        response = await self._inner.handle_async_request(request)
        exchange.clock_offset = _offset(response.headers, began, self._clock.now())
        exchange.allowance = _allowance(response.headers)
        body = await _read(response)
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise ErrorReply(response.status_code, response.headers, body)
        exchange.document = json.loads(body)
        raise Answered

    async def aclose(self) -> None:
        """Close the connections; the client has no way to."""
        await self._inner.aclose()


async def _read(response: httpx.Response) -> bytes:
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise httpx.RemoteProtocolError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        return bytes(body)
    finally:
        await response.aclose()


def _problem(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}


def _objections(value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields that a 422 names, each with its objection; what is odd is passed over."""
    for each in cast("list[object]", value) if isinstance(value, list) else ():
        if isinstance(each, dict):
            fields = cast("dict[str, object]", each)
            yield _text(fields.get("field")), _text(fields.get("description"))


def _allowance(headers: httpx.Headers) -> Allowance | None:
    try:
        remaining = int(headers.get("ratelimit-remaining", ""))
    except ValueError:
        return None
    seconds = _seconds(headers.get("ratelimit-reset"))
    return None if seconds is None else Allowance(max(0, remaining), seconds)


def _offset(headers: httpx.Headers, began: datetime, ended: datetime) -> float | None:
    """Return what the Date header is ahead of the middle of the exchange; it counts seconds."""
    try:
        said = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    if said.tzinfo is None:
        return None
    return (said - (began + (ended - began) / 2)).total_seconds()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(*candidates: object) -> float | None:
    for candidate in candidates:
        try:
            seconds = float(str(candidate))
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
