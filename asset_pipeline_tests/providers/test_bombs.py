"""What comes out of an answer is bounded, not only what goes in: bodies, packings and headers."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from asset_pipeline.providers.protocol import (
    RefusedError,
    TooLargeError,
    UnavailableError,
    UnclearError,
)
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.provider_samples import SCHNELL, prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, reply, serving

MB = 1024 * 1024
ZEROS = bytes(64 * MB)


def raw_deflate(content: bytes) -> bytes:
    """Pack without a header, as some servers do."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


BOMBS = {
    "gzip": (gzip.compress(ZEROS), "gzip"),
    "deflate": (zlib.compress(ZEROS), "deflate"),
    "raw deflate": (raw_deflate(ZEROS), "deflate"),
    "gzip in gzip": (gzip.compress(gzip.compress(ZEROS)), "gzip, gzip"),
    "gzip in deflate": (zlib.compress(gzip.compress(ZEROS)), "gzip, deflate"),
    "many": (gzip.compress(ZEROS), ", ".join(["gzip"] * 50)),
    "brotli": (b"\x0b\x02\x80", "br"),
    "zstd": (b"\x28\xb5\x2f\xfd", "zstd"),
}


async def _with(answer: Answer, do: Callable[[ReplicateProvider, str], Awaitable[object]]) -> None:
    async with serving(answer) as server:
        replicate = provider(server.url)
        try:
            await do(replicate, server.url)
        finally:
            await replicate.aclose()


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("call", ["get", "create", "error", "download"])
def test_a_bomb_costs_one_answer_and_little_memory(
    bomb: tuple[bytes, str], call: str, tmp_path: Path
) -> None:
    """Sixty-four megabytes of zeros, packed: 13 kB of them, packed twice, took 3.5 GB."""
    body, packing = bomb
    status = 422 if call == "error" else 200
    answer = reply(status, body, headers={"content-encoding": packing})

    async def do(replicate: ReplicateProvider, url: str) -> None:
        match call:
            case "get":
                with pytest.raises(UnavailableError):
                    await replicate.get("p1")
            case "create":
                with pytest.raises(UnclearError):
                    await replicate.create(SCHNELL)
            case "error":
                # The status is an answer, whatever the body is.
                with pytest.raises(RefusedError, match=r"^HTTP 422$"):
                    await replicate.create(SCHNELL)
            case _:
                with pytest.raises((TooLargeError, UnavailableError)):
                    await replicate.download(f"{url}/f", tmp_path / "out", max_bytes=MB)

    tracemalloc.start()
    asyncio.run(_with(answer, do))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * MB
    assert not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size <= MB


PACKED = {
    "gzip": (gzip.compress, "gzip"),
    "x-gzip": (gzip.compress, "X-GZIP"),
    "deflate": (zlib.compress, "deflate"),
    "raw deflate": (raw_deflate, "deflate"),
    "identity": (bytes, "identity"),
    "a storage's word": (bytes, "aws-chunked"),
}


@pytest.mark.parametrize(("pack", "name"), PACKED.values(), ids=PACKED.keys())
def test_an_answer_packed_once_is_understood(
    pack: Callable[[bytes], bytes], name: str, tmp_path: Path
) -> None:
    """We ask for none of it, and some servers do so all the same."""
    content = bytes(range(256)) * 8000

    async def do(replicate: ReplicateProvider, url: str) -> None:
        await replicate.download(f"{url}/f", tmp_path / "out", max_bytes=4 * MB)

    asyncio.run(_with(reply(200, pack(content), headers={"content-encoding": name}), do))
    assert (tmp_path / "out").read_bytes() == content


def test_we_ask_for_answers_that_are_not_packed(tmp_path: Path) -> None:
    """Of the API and of files alike."""

    async def run() -> list[str]:
        async with serving(reply(200, prediction())) as server:
            replicate = provider(server.url)
            await replicate.get("p1")
            await replicate.create(SCHNELL)
            await replicate.download(f"{server.url}/f", tmp_path / "out", max_bytes=MB)
            await replicate.aclose()
            return [request.headers["accept-encoding"] for request in server.received]

    assert asyncio.run(run()) == ["identity"] * 3


def test_a_packed_answer_that_is_cut_short_is_no_answer(tmp_path: Path) -> None:
    """Half a file must not pass for a whole one."""
    half = gzip.compress(bytes(range(256)) * 8000)[:-20]

    async def do(replicate: ReplicateProvider, url: str) -> None:
        with pytest.raises(UnavailableError, match="cut short"):
            await replicate.download(f"{url}/f", tmp_path / "out", max_bytes=4 * MB)

    asyncio.run(_with(reply(200, half, headers={"content-encoding": "gzip"}), do))


HEADERS = {
    "one long": {"x-long": "a" * 200_000},
    "many": {f"x-{number}": "a" for number in range(5000)},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_headers_without_an_end_are_no_answer(headers: dict[str, str]) -> None:
    """They cost one answer."""

    async def do(replicate: ReplicateProvider, url: str) -> None:
        del url
        with pytest.raises(UnavailableError):
            await replicate.get("p1")

    asyncio.run(_with(reply(200, prediction(), headers=headers), do))


def test_odd_numbers_in_headers_say_nothing() -> None:
    """A wait of centuries is cut to a day; a date far away moves no clock past the calendar."""
    headers = {
        "retry-after": "1e300",
        "ratelimit-remaining": "9" * 5000,
        "ratelimit-reset": "nan",
        "date": "Fri, 31 Dec 9999 23:59:59 GMT",
    }

    async def do(replicate: ReplicateProvider, url: str) -> None:
        del url
        with pytest.raises(RefusedError) as caught:
            await replicate.create(SCHNELL)
        assert caught.value.retry_after == 86_400
        assert replicate.allowance() is None
        assert replicate.clock_offset()[1] <= 200 * 366 * 86_400

    asyncio.run(_with(reply(429, {"detail": "no"}, headers=headers), do))


def test_an_errors_words_are_cleaned_and_shortened() -> None:
    """They are stored, logged and shown."""
    body = {
        "title": "\x1b[31mBad\x00\ud800",
        "detail": "x" * 10_000,
        "invalid_fields": [{"field": "\x00", "description": "y" * 999}] * 100,
    }

    async def do(replicate: ReplicateProvider, url: str) -> None:
        del url
        with pytest.raises(RefusedError) as caught:
            await replicate.create(SCHNELL)
        said = caught.value.message
        assert said.startswith("HTTP 422: Bad\ufffd\ufffd. xxx")
        assert len(said) < 1300
        assert len(caught.value.invalid_fields) == 32
        assert caught.value.invalid_fields[0] == ("\ufffd", "y" * 197 + "...")

    asyncio.run(_with(reply(422, body), do))
