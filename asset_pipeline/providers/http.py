"""HTTP for the `replicate` client and for downloads: httpx on top, aiohttp's connections below.

With sixty-four predictions in flight httpx's own connection pool takes 3 ms of CPU a request, since
it looks at every connection at each; on aiohttp's connections the same request takes 0.6 ms.

What an error means for money is decided here: :class:`httpx.ConnectError`,
:class:`httpx.ConnectTimeout` and :class:`httpx.UnsupportedProtocol` say that not one byte was sent,
every other error that perhaps it was.

On top stands :class:`Wire`, which keeps what the `replicate` client drops. Facts about replicate
1.0.7, each held by a test:

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
import errno
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from ssl import SSLContext
from typing import cast
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from asset_pipeline.clock import Clock
from asset_pipeline.foreign.addresses import number_of
from asset_pipeline.foreign.document import UnboundedDocumentError, read_json
from asset_pipeline.foreign.text import cleaned, number, written_number
from asset_pipeline.providers.protocol import Allowance
from asset_pipeline.providers.unpacking import unpacked

# Of 64 predictions in flight most wait at any moment, and waiting takes no connection.
_CONNECTIONS = 32

_USER = re.compile(r"://\S*@")
_SIGNATURE = re.compile(r"\?\S*")

# By these words a refusal is known again: the libraries between keep nothing else of an error.
_PRIVATE = "is not an address of the open internet"

# A redirect to a signed URL is one long header; aiohttp's own bound is 8 kB.
_LONGEST_HEADER = 64 * 1024


Guard = Callable[[IPv4Address | IPv6Address], bool]
"""Says whether an address may be connected to."""


class RefusedPeerError(httpx.ConnectError):
    """The guard of a transport refused the only addresses that a host has."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over aiohttp's connections; one object serves one event loop.

    Proxies are those that the environment names (``HTTPS_PROXY``, ``NO_PROXY`` and so on), but
    never for this machine's own loopback address.

    Args:
        trust: The certificates to trust.
        guard: Asked before each connection to a server, with the very address that is connected
            to; a proxy's own address is not asked for. None to connect to anybody.
    """

    def __init__(self, trust: SSLContext, guard: Guard | None = None) -> None:
        self._trust = trust
        self._guard = guard
        self._proxies = getproxies()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer, whose body is still to be read.

        Raises:
            httpx.ConnectError: No connection was made; nothing was sent.
            httpx.ConnectTimeout: There was none to be had in time; nothing was sent.
            RefusedPeerError: The guard refused; nothing was sent.
            httpx.UnsupportedProtocol: The address, or the proxy's, is none; nothing was sent.
            httpx.TransportError: Anything else; the request may have arrived.
        """
        timeout = request.extensions["timeout"]
        with _as_httpx(request):
            proxy = self._proxy_for(request.url)
            answer = await self._opened(is_direct=not proxy).request(
                request.method,
                # Encoded already: a signed URL must not be quoted anew.
                # Who is named in it is in a header by now.
                URL(str(request.url), encoded=True).with_user(None),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                proxy=proxy,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout["pool"],
                    sock_connect=timeout["connect"],
                    sock_read=timeout["read"],
                ),
            )
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=_Body(answer, request)
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _opened(self, *, is_direct: bool) -> aiohttp.ClientSession:
        # A session belongs to the loop that runs when it is made.
        if is_direct not in self._sessions:
            self._sessions[is_direct] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._trust,
                    limit=_CONNECTIONS,
                    socket_factory=self._guarded_socket if is_direct and self._guard else None,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
            )
        return self._sessions[is_direct]

    def _guarded_socket(
        self, place: tuple[int, int, int, str, tuple[object, ...]]
    ) -> socket.socket:
        # Here, and not by a question of its own to the names' server: that may answer twice.
        host = number_of(str(place[4][0]))
        if self._guard is not None and (host is None or not self._guard(host)):
            raise OSError(errno.EACCES, f"{place[4][0]} {_PRIVATE}")
        made = socket.socket(place[0], place[1], place[2])
        made.setblocking(False)
        return made

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if not self._proxies or _is_loopback(url.host) or proxy_bypass(url.host):
            return None
        named = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not named or "://" not in named:
            return named and f"http://{named}"
        if not named.startswith(("http://", "https://")):
            raise httpx.UnsupportedProtocol(
                f"{url.scheme.upper()}_PROXY or ALL_PROXY names a proxy that is not one of HTTP"
            )
        return named


class _Body(httpx.AsyncByteStream):
    """An answer's body as it comes in, still compressed: httpx unpacks it."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # Gives the connection back when all was read, and closes it otherwise.
        self._answer.release()
        # An early answer may leave the request half sent, which changes nothing about the answer.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._answer.wait_for_close()


@contextlib.contextmanager
def _as_httpx(request: httpx.Request) -> Generator[None]:
    try:
        yield
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol(_words(error), request=request) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(_words(error), request=request) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
        if _PRIVATE in str(error):
            raise RefusedPeerError(_words(error), request=request) from error
        raise httpx.ConnectError(_words(error), request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(_words(error), request=request) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise httpx.ReadError(_words(error), request=request) from error


def _words(error: Exception) -> str:
    """Return what an error says, without the secrets that URLs carry: passwords and signatures."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status} {error.message}"  # its text quotes the proxy's address
    said = _SIGNATURE.sub("?...", _USER.sub("://", str(error)))
    return said or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
