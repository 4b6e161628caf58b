"""Downloads: streamed, capped, bounded in time, and the token goes to the API's own host only."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asset_pipeline.providers.protocol import NotFoundError, TooLargeError, UnavailableError
from asset_pipeline_tests.providers.samples import IMPATIENT, SOON, TOKEN, provider
from asset_pipeline_tests.providers.scripted import Answer, drip, drop, hang, reply, serving

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
    "redirect to nowhere": reply(302, b"a page", headers={}),
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


@pytest.mark.parametrize("url", ["http://[broken", "http://a b/", "nonsense"])
def test_an_url_that_is_none_is_unavailable(url: str, tmp_path: Path) -> None:
    """An output that is no URL raises an error of ours, not of a library's."""

    async def run() -> None:
        replicate = provider("http://127.0.0.1:1")
        with pytest.raises(UnavailableError):
            await replicate.download(url, tmp_path / "out", max_bytes=1)
        await replicate.aclose()

    asyncio.run(run())


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
        assert replicate._headers_for(url) == {}
    assert replicate._headers_for("https://API.replicate.com:443/f") != {}


def test_redirects_without_end_are_unavailable(tmp_path: Path) -> None:
    """A file that redirects to itself is given up."""
    with pytest.raises(UnavailableError):
        download(reply(302, b"", headers={"location": "/out"}), tmp_path / "out")
