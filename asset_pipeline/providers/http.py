"""HTTP for the `replicate` client and for downloads: httpx on top, aiohttp's connections below.

With sixty-four predictions in flight httpx's own connection pool takes 3 ms of CPU a request, since
it looks at every connection at each; on aiohttp's connections the same request takes 0.6 ms.

What an error means for money is decided here: :class:`httpx.ConnectError`,
:class:`httpx.ConnectTimeout` and :class:`httpx.UnsupportedProtocol` say that not one byte was sent,
every other error that perhaps it was.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import AsyncIterator, Callable, Generator
from ipaddress import IPv4Address, IPv6Address, ip_address
from ssl import SSLContext
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from asset_pipeline.foreign.addresses import number_of

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
