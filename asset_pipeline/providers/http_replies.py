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

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from ssl import SSLContext
from typing import cast

import httpx

from asset_pipeline.clock import Clock
from asset_pipeline.foreign.document import UnboundedDocumentError, read_json
from asset_pipeline.foreign.text import cleaned, number, written_number
from asset_pipeline.providers.http import AiohttpTransport
from asset_pipeline.providers.protocol import Allowance
from asset_pipeline.providers.unpacking import unpacked

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""Of an answer that is unpacked: it may hold a picture as a ``data:`` URI."""

# An error says a sentence or two. One that says more is known by its status alone.
_MAX_ERROR_BYTES = 256 * 1024

# Sixty-four large answers at a time would take gigabytes.
_LARGE_REPLY_BYTES = 1024 * 1024
_LARGE_REPLIES = 2

_LONGEST_SENTENCE = 1000
_LONGEST_WORD = 200
_MOST_OBJECTIONS = 32

# Whoever asks us to wait for longer than a day gets a day.
_LONGEST_PAUSE = 86_400.0
_MOST_REMAINING = 1e9

# Sums with a date stay within the calendar; no clock is off by more.
_LARGEST_OFFSET = 200 * 365.25 * 86_400


@dataclass
class Exchange:
    """One request of ours: what to add to it, how far it got, and what came back."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    sent: bool = False
    clock_offset: float | None = None  # what the provider's clock is ahead of ours, in seconds
    allowance: Allowance | None = None
    document: object = None
    weight: int = 0  # about how many bytes the document takes


class OversizedReplyError(Exception):
    """An answer is larger, deeper or wider than anything we read; asked again, it will be so."""


class Answered(Exception):  # noqa: N818 -- good news
    """The whole answer is in :data:`CURRENT`, and the client has no more to do."""


class ErrorReply(Exception):  # noqa: N818 -- an answer, turned into an error of ours by the caller
    """The provider answered with an error status."""

    def __init__(self, status: int, headers: httpx.Headers, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        problem = _problem(body)
        self.title = _text(problem.get("title"), _LONGEST_WORD)
        self.detail = _text(problem.get("detail"))
        self.retry_after = _seconds(problem.get("retry_after"), headers.get("retry-after"))
        self.invalid_fields = tuple(
            islice(_objections(problem.get("invalid_fields")), _MOST_OBJECTIONS)
        )

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
        self._large = asyncio.Semaphore(_LARGE_REPLIES)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, read everything, record; never return.

        Raises:
            Answered: A whole answer came.
            ErrorReply: The answer has an error status.
            OversizedReplyError: The answer passes our bounds.
            httpx.HTTPError: There was no answer, or not a whole one.
            ValueError: The answer is no JSON.
        """
        exchange = CURRENT.get()
        request.extensions["timeout"] = self._timeout.as_dict()
        request.headers.update(exchange.headers)
        request.headers["accept-encoding"] = "identity"
        exchange.sent = True
        began = self._clock.now()
        response = await self._inner.handle_async_request(request)
        exchange.clock_offset = _offset(response.headers, began, self._clock.now())
        exchange.allowance = _allowance(response.headers)
        if response.status_code >= httpx.codes.BAD_REQUEST:
            body = await _read_error(response)
            raise ErrorReply(response.status_code, response.headers, body)
        exchange.document, exchange.weight = await self._read(response)
        raise Answered

    async def _read(self, response: httpx.Response) -> tuple[object, int]:
        """Return an answer's document, and about how many bytes it takes."""
        body = bytearray()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(response.aclose)
            pieces = await stack.enter_async_context(contextlib.aclosing(unpacked(response)))
            is_large = False
            async for piece in pieces:
                body += piece
                if len(body) > MAX_REPLY_BYTES:
                    raise OversizedReplyError(f"an answer of more than {MAX_REPLY_BYTES:,} bytes")
                if not is_large and len(body) > _LARGE_REPLY_BYTES:
                    is_large = True
                    await stack.enter_async_context(self._large)
            try:
                return read_json(bytes(body))
            except UnboundedDocumentError as error:
                raise OversizedReplyError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connections; the client has no way to."""
        await self._inner.aclose()


async def _read_error(response: httpx.Response) -> bytes:
    """Return an error's body; empty when it can't be one, since the status alone is an answer."""
    body = bytearray()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(response.aclose)
        try:
            pieces = await stack.enter_async_context(contextlib.aclosing(unpacked(response)))
            async for piece in pieces:
                body += piece
                if len(body) > _MAX_ERROR_BYTES:
                    return b""
        except httpx.DecodingError:
            return b""
    return bytes(body)


def _problem(body: bytes) -> dict[str, object]:
    try:
        document, _ = read_json(body)
    except ValueError:
        return {}
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}


def _objections(value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields that a 422 names, each with its objection; what is odd is passed over."""
    for each in cast("list[object]", value) if isinstance(value, list) else ():
        if isinstance(each, dict):
            fields = cast("dict[str, object]", each)
            yield (
                _text(fields.get("field"), _LONGEST_WORD),
                _text(fields.get("description"), _LONGEST_WORD),
            )


def _allowance(headers: httpx.Headers) -> Allowance | None:
    remaining = written_number(headers.get("ratelimit-remaining", ""), _MOST_REMAINING)
    seconds = _seconds(headers.get("ratelimit-reset"))
    if remaining is None or seconds is None:
        return None
    return Allowance(int(remaining), seconds)


def _offset(headers: httpx.Headers, began: datetime, ended: datetime) -> float | None:
    """Return what the Date header is ahead of the middle of the exchange; it counts seconds."""
    try:
        said = parsedate_to_datetime(headers.get("date", "")[:_LONGEST_WORD])
        if said.tzinfo is None:
            return None
        offset = (said - (began + (ended - began) / 2)).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    # Cut, not passed over: taking a wrong clock for a right one would prove absences.
    return max(-_LARGEST_OFFSET, min(offset, _LARGEST_OFFSET))


def _text(value: object, longest: int = _LONGEST_SENTENCE) -> str:
    return cleaned(value, longest) if isinstance(value, str) else ""


def _seconds(*candidates: object) -> float | None:
    for candidate in candidates:
        if isinstance(candidate, str):
            seconds = written_number(candidate, _LONGEST_PAUSE)
        elif isinstance(candidate, int | float) and not isinstance(candidate, bool):
            seconds = number(candidate, sys.float_info.max)
        else:
            seconds = None
        if seconds is not None:
            return min(seconds, _LONGEST_PAUSE)
    return None
