"""The connections below httpx: what an error says of what was sent, and whole answers."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from asset_pipeline.providers.http import AiohttpTransport
from asset_pipeline_tests.support.scripted_server import Answer, close, drop, hang, reply, serving

T = TypeVar("T")

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)

BREAKS = {
    "reset": drop(),
    "closed": close(),
    "silent": hang(),
    "cut": reply(200, b"half of it", length=1000),
    "no http": reply(200, headers={"bad\r\nheader": "x"}),
}


async def _with_client(use: Callable[[httpx.AsyncClient], Awaitable[T]], seconds: float = 20) -> T:
    transport = AiohttpTransport(httpx.create_ssl_context())
    async with httpx.AsyncClient(transport=transport, timeout=seconds) as client:
        return await use(client)


@pytest.mark.parametrize("answer", BREAKS.values(), ids=BREAKS.keys())
def test_what_breaks_after_sending_never_looks_unsent(answer: Answer) -> None:
    """A create whose reply is lost must not pass for one never sent: it would be repeated."""

    async def run() -> int:
        async with serving(answer) as server:

            async def post(client: httpx.AsyncClient) -> None:
                await client.post(server.url, json={"prompt": "a fox"})

            with pytest.raises(httpx.TransportError) as caught:
                await _with_client(post, 0.5)
            assert not isinstance(caught.value, NEVER_SENT)
            return server.posts()

    assert asyncio.run(run()) == 1


def test_a_kept_connection_that_breaks_never_looks_unsent() -> None:
    """The second request on one connection is lost as the first would be, and not sent again."""

    async def run() -> int:
        async with serving(reply(200, {}), close()) as server:

            async def post_twice(client: httpx.AsyncClient) -> None:
                await client.post(server.url, json={})
                with pytest.raises(httpx.TransportError) as caught:
                    await client.post(server.url, json={})
                assert not isinstance(caught.value, NEVER_SENT)

            await _with_client(post_twice)
            return server.posts()

    assert asyncio.run(run()) == 2


def test_no_connection_is_never_sent() -> None:
    """A refused connection, a name that is none, an answer without TLS: nothing went out."""

    async def run() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
            closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
            async with serving(reply(200, {})) as server:
                no_tls = server.url.replace("http:", "https:")
                for url in (closed, "http://nowhere.invalid", no_tls):

                    async def post(client: httpx.AsyncClient, url: str = url) -> None:
                        await client.post(url, json={})

                    with pytest.raises(NEVER_SENT):
                        await _with_client(post, 1)
                assert server.posts() == 0

    asyncio.run(run())


def test_a_busy_pool_is_never_sent() -> None:
    """Who gets no connection in time has sent nothing."""

    async def run() -> None:
        async with serving(hang()) as server:

            async def too_many(client: httpx.AsyncClient) -> list[object]:
                posts = (client.post(server.url, json={}) for _ in range(40))
                return await asyncio.gather(*posts, return_exceptions=True)

            ends = await _with_client(too_many, 1)
            unsent = sum(isinstance(end, NEVER_SENT) for end in ends)
            assert unsent == 40 - server.posts() > 0

    asyncio.run(run())


def test_a_compressed_answer_comes_unpacked() -> None:
    """Compressed bodies are unpacked once."""
    packed = reply(200, gzip.compress(b"whole"), headers={"content-encoding": "gzip"})

    async def run() -> bytes:
        async with serving(packed) as server:

            async def get(client: httpx.AsyncClient) -> bytes:
                return (await client.get(server.url)).content

            return await _with_client(get)

    assert asyncio.run(run()) == b"whole"


def test_a_signed_url_arrives_as_it_was_signed() -> None:
    """Escapes in a path or query are part of a signature: quoting them anew breaks it."""
    signed = "/a%2Fb/c%20d?sig=%2B%3D%7E&x=1%2F2"

    async def run() -> str:
        async with serving(reply(200, b"")) as server:

            async def get(client: httpx.AsyncClient) -> str:
                await client.get(server.url + signed)
                return server.received[0].path

            return await _with_client(get)

    assert asyncio.run(run()) == signed


def test_a_long_redirect_is_followed() -> None:
    """A location of 20 kB, as a signed URL may be, is no broken answer."""

    async def run() -> int:
        async with serving(
            reply(302, b"", headers={"location": "/" + "x" * 20_000}), reply(200, b"")
        ) as server:

            async def get(client: httpx.AsyncClient) -> int:
                answer = await client.get(server.url, follow_redirects=True)
                return answer.status_code

            return await _with_client(get)

    assert asyncio.run(run()) == 200


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no proxy and no exception."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_no_error_quotes_a_password_or_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of an error is kept for good: what opens doors is left out of it."""

    async def said(url: str) -> str:
        async def get(client: httpx.AsyncClient) -> None:
            await client.get(url)

        with pytest.raises(NEVER_SENT) as caught:
            await _with_client(get, 1)
        return str(caught.value)

    async def run() -> None:
        async with serving(reply(407, b"")) as proxy:
            address = proxy.url.replace("://", "://somebody:s3cr/et@")
            monkeypatch.setenv("https_proxy", proxy.url.replace("://", "://somebody:s3cret@"))
            told = await said("https://elsewhere.invalid/clip.webp?signature=s3cret")
            assert "407" in told
            monkeypatch.setenv("https_proxy", address)
            more = await said("https://elsewhere.invalid/clip.webp?signature=s3cret")
            monkeypatch.delenv("https_proxy")
            last = await said("http://nowhere.invalid/clip.webp?signature=s3cret")
            for text in (told, more, last):
                assert "s3cr" not in text

    asyncio.run(run())


@pytest.mark.usefixtures("no_proxy")
def test_a_proxy_without_a_scheme_is_one_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """As curl reads it; what is no proxy of HTTP is named, and nothing is sent."""

    async def run() -> None:
        async with serving(reply(200, b"")) as proxy:

            async def get(client: httpx.AsyncClient) -> None:
                await client.get("http://api.elsewhere.invalid/")

            monkeypatch.setenv("all_proxy", proxy.url.removeprefix("http://"))
            await _with_client(get)
            assert len(proxy.received) == 1
            monkeypatch.setenv("all_proxy", proxy.url.replace("http:", "socks5:"))
            with pytest.raises(httpx.UnsupportedProtocol, match="ALL_PROXY"):
                await _with_client(get)

    asyncio.run(run())


def test_who_is_named_in_an_address_is_named_once() -> None:
    """A user and password in a URL go into the header, as httpx puts them there."""

    async def run() -> str:
        async with serving(reply(200, b"")) as server:

            async def get(client: httpx.AsyncClient) -> None:
                await client.get(server.url.replace("://", "://somebody:else@"))

            await _with_client(get)
            return server.received[0].headers["authorization"]

    assert asyncio.run(run()).startswith("Basic ")


@pytest.mark.usefixtures("no_proxy")
def test_the_environments_proxy_is_used_but_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What leaves the machine goes by the proxy; the sandbox on loopback needs none."""

    async def run() -> None:
        async with serving(reply(200, b"")) as proxy, serving(reply(200, b"")) as server:
            monkeypatch.setenv("http_proxy", proxy.url)

            async def get(client: httpx.AsyncClient) -> None:
                await client.get(server.url)
                await client.get("http://api.elsewhere.invalid/v1/models")

            await _with_client(get)
            assert len(server.received) == 1
            assert [seen.path for seen in proxy.received] == [
                "http://api.elsewhere.invalid/v1/models"
            ]

    asyncio.run(run())
