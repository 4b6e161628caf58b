"""Downloads: streamed, capped, bounded in time, and the token goes to the API's own host only."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from asset_pipeline.providers.protocol import (
    BadAddressError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.provider_samples import IMPATIENT, SOON, TOKEN, provider
from asset_pipeline_tests.support.scripted_server import Answer, drip, drop, hang, reply, serving

FILE = b"RIFF" + bytes(range(256)) * 40


def download(
    answer: Answer, target: Path, *, max_bytes: int = 1_000_000, seconds: float = 10.0
) -> int:
    """Download from the API's own host."""

    async def run() -> int:
        async with serving(answer) as server:
            replicate = provider(server.url, request_seconds=seconds, download_seconds=seconds)
            try:
                return await replicate.download(f"{server.url}/out", target, max_bytes=max_bytes)
            finally:
                await replicate.aclose()

    return asyncio.run(run())


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """The bytes land as they were sent, and their number is returned."""
    target = tmp_path / "out"
    assert download(reply(200, FILE), target) == len(FILE)
    assert target.read_bytes() == FILE


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_gone_file_is_not_found(status: int, tmp_path: Path) -> None:
    """An output past its hour, or a signature past its time, is gone."""
    with pytest.raises(NotFoundError):
        download(reply(status, {}), tmp_path / "out")


BROKEN = {
    "half a body": reply(200, FILE, length=len(FILE) * 2),
    "reset": drop(),
    "hang": hang(),
    "drip": drip(0.02),
    "500": reply(500, b""),
    "429": reply(429, b""),
    "401": reply(401, b""),
    "304": reply(304, b""),
    "bad gzip": reply(200, b"no gzip", headers={"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_download_may_be_tried_again(answer: Answer, tmp_path: Path) -> None:
    """Whatever breaks a download is UnavailableError, within our own time."""
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        download(answer, tmp_path / "out", seconds=IMPATIENT)
    assert time.monotonic() - started < SOON


def test_a_file_over_the_cap_is_broken_off(tmp_path: Path) -> None:
    """Not one byte over the cap is written, whatever length is claimed."""
    with pytest.raises(TooLargeError):
        download(reply(200, FILE), tmp_path / "out", max_bytes=len(FILE) - 1)
    assert (tmp_path / "out").stat().st_size < len(FILE)
    assert download(reply(200, FILE), tmp_path / "out", max_bytes=len(FILE)) == len(FILE)


def test_a_packed_bomb_is_measured_unpacked(tmp_path: Path) -> None:
    """The cap holds for what is written, not for what came over the wire."""
    bomb = gzip.compress(bytes(5_000_000))
    with pytest.raises(TooLargeError):
        download(reply(200, bomb, headers={"content-encoding": "gzip"}), tmp_path / "out")
    assert (tmp_path / "out").stat().st_size <= 1_000_000


IMPOSSIBLE = (
    "http://[broken",
    "http://a b/",
    "nonsense",
    "",
    "http://",
    "http:///path",
    "https://files.example:0/x",
    "https://files.example:99999/x",
    "https://files.example:port/x",
    "https://user:password@files.example/x",
    "file:///etc/passwd",
    "ftp://files.example/x",
    "javascript:alert(1)",
    "http://files.example/\x00",
    "http://files.example/\ud800",
    "http://files.example/" + "a" * 9000,
    "http://./x",
)


@pytest.mark.parametrize("url", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_an_address_that_is_none_is_final(url: str, tmp_path: Path) -> None:
    """An output that nobody can be asked for raises an error of its own: no wait mends it."""

    async def run() -> str:
        replicate = provider("http://127.0.0.1:1")
        try:
            with pytest.raises(BadAddressError) as caught:
                await replicate.download(url, tmp_path / "out", max_bytes=1)
        finally:
            await replicate.aclose()
        return caught.value.message

    said = asyncio.run(run())
    assert "password" not in said or "user or a password" in said
    assert said.isprintable()
    assert len(said) < 300


NOWHERE = {
    "no location": {},
    "an empty one": {"location": ""},
    "file": {"location": "file:///etc/passwd"},
    "ftp": {"location": "ftp://files.example/x"},
    "data": {"location": "data:text/plain,x"},
    "no host": {"location": "http://"},
    "a bad port": {"location": "http://files.example:99999/"},
    "a broken host": {"location": "http://[::1/"},
    "a user": {"location": "http://user@files.example/"},
    "link-local": {"location": "http://169.254.169.254/latest/meta-data"},
}


@pytest.mark.parametrize("headers", NOWHERE.values(), ids=NOWHERE.keys())
def test_a_redirect_to_nowhere_is_final(headers: dict[str, str], tmp_path: Path) -> None:
    """Each hop is judged like the first address."""
    with pytest.raises(BadAddressError):
        download(reply(302, b"a page", headers=headers), tmp_path / "out")


LOOPBACK = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]")


def public_api(*, allow_private_outputs: bool = False) -> ReplicateProvider:
    """A provider whose API is on the open internet; nothing there is asked for."""
    return ReplicateProvider(
        SecretStr(TOKEN),
        "https://93.184.215.14",
        request_seconds=2.0,
        allow_private_outputs=allow_private_outputs,
    )


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_public_apis_output_is_not_fetched_from_this_machine(host: str, tmp_path: Path) -> None:
    """However a loopback address is written or named, nobody connects to it."""

    async def run() -> int:
        async with serving(reply(200, FILE)) as server:
            replicate = public_api()
            port = server.url.rpartition(":")[2]
            try:
                with pytest.raises(BadAddressError):
                    await replicate.download(
                        f"http://{host}:{port}/out", tmp_path / "out", max_bytes=1_000_000
                    )
            finally:
                await replicate.aclose()
            return server.connections

    assert asyncio.run(run()) == 0


def test_private_outputs_can_be_allowed(tmp_path: Path) -> None:
    """One setting lets a public API's outputs come from private addresses."""

    async def run() -> int:
        async with serving(reply(200, FILE)) as server:
            replicate = public_api(allow_private_outputs=True)
            try:
                return await replicate.download(
                    f"{server.url}/out", tmp_path / "out", max_bytes=1_000_000
                )
            finally:
                await replicate.aclose()

    assert asyncio.run(run()) == len(FILE)


def hops(
    first: Callable[[str, str], str], redirect: Callable[[str, str], str] | None, target: Path
) -> tuple[list[str | None], list[str | None]]:
    """Download through an API host and a files host; return the tokens that each was sent."""

    async def run() -> tuple[list[str | None], list[str | None]]:
        async with serving(reply(200, FILE)) as api, serving(reply(200, FILE)) as files:
            if redirect is not None:
                location = redirect(api.url, files.url)
                near = api if first(api.url, files.url).startswith(api.url) else files
                near.script.insert(0, reply(302, b"", headers={"location": location}))
            replicate = provider(api.url)
            await replicate.download(first(api.url, files.url), target, max_bytes=1_000_000)
            await replicate.aclose()
            sent = [
                [request.headers.get("authorization") for request in server.received]
                for server in (api, files)
            ]
            return sent[0], sent[1]

    tokens = asyncio.run(run())
    assert target.read_bytes() == FILE
    return tokens


def test_the_token_goes_to_the_apis_host(tmp_path: Path) -> None:
    """Files that the API itself serves need the token."""
    assert hops(lambda api, _: f"{api}/f", None, tmp_path / "x") == ([f"Bearer {TOKEN}"], [])


def test_the_token_does_not_go_to_another_host(tmp_path: Path) -> None:
    """The client sends the token to whatever host an output names; we don't."""
    assert hops(lambda _, files: f"{files}/f", None, tmp_path / "x") == ([], [None])


def test_the_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    """A redirect from the API's host to another one leaves the token behind."""
    sent = hops(lambda api, _: f"{api}/f", lambda _, files: f"{files}/f", tmp_path / "x")
    assert sent == ([f"Bearer {TOKEN}"], [None])


def test_the_same_name_on_another_port_is_another_host(tmp_path: Path) -> None:
    """Another port is another server; a name that only begins like the API's is as well."""
    assert hops(lambda _, files: f"{files}/f", None, tmp_path / "x")[1] == [None]
    replicate = provider("https://api.replicate.com")
    for url in (
        "https://api.replicate.com.attacker.invalid/f",
        "https://api.replicate.com@attacker.invalid/f",
        "http://api.replicate.com/f",
        "https://api.replicate.com:8443/f",
        "https://replicate.delivery/f",
    ):
        assert replicate._headers_for(httpx.URL(url)) == {}
    assert replicate._headers_for(httpx.URL("https://API.replicate.com:443/f")) != {}


def test_a_redirect_back_to_the_api_is_sent_the_token_and_the_hop_between_is_not(
    tmp_path: Path,
) -> None:
    """Who gets the token is decided anew at each hop, by its own origin."""

    async def run() -> tuple[list[str | None], list[str | None]]:
        async with serving(reply(200, FILE)) as api, serving(reply(200, FILE)) as files:
            files.script.insert(0, reply(302, b"", headers={"location": f"{api.url}/file"}))
            replicate = provider(api.url)
            await replicate.download(f"{files.url}/x", tmp_path / "out", max_bytes=1_000_000)
            await replicate.aclose()
            sent = [
                [request.headers.get("authorization") for request in server.received]
                for server in (api, files)
            ]
            return sent[0], sent[1]

    assert asyncio.run(run()) == ([f"Bearer {TOKEN}"], [None])


def test_redirects_without_end_are_unavailable(tmp_path: Path) -> None:
    """A file that redirects to itself is given up."""
    with pytest.raises(UnavailableError):
        download(reply(302, b"", headers={"location": "/out"}), tmp_path / "out")
