"""A listing ends, whatever its cursors say; what it could not show is never taken for absent."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest

from asset_pipeline.providers.listing import MAX_PAGES, gathered
from asset_pipeline.providers.protocol import IncompleteListingError
from asset_pipeline_tests.support.provider_samples import SOON, prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, reply, serving

SINCE = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)


def gather(*script: Answer) -> tuple[list[str], str, int]:
    """List a scripted server; return the ids, the gap and the number of requests."""

    async def run() -> tuple[list[str], str, int]:
        async with serving(*script) as server:
            replicate = provider(server.url)
            try:
                rows, gap = await gathered(replicate, SINCE)
            finally:
                await replicate.aclose()
            return [row.prediction_id for row in rows], gap, len(server.received)

    return asyncio.run(run())


def page(*rows: object, following: object = None) -> Answer:
    """One page of a listing."""
    return reply(200, {"next": following, "previous": None, "results": list(rows)})


def endless(*rows: object) -> Answer:
    """Pages of the same rows, each with a cursor that was never seen."""
    count = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await page(*rows, following=f"/v1/predictions?cursor={count}")(writer)

    return answer


@pytest.mark.parametrize("rows", [[], [prediction()], [{"id": "a"}]], ids=["none", "new", "odd"])
def test_a_listing_without_an_end_is_given_up(rows: list[object]) -> None:
    """It took 300,000 requests; now it takes as many as the widest window needs."""
    began = time.monotonic()
    _, gap, asked = gather(endless(*rows))
    assert asked == MAX_PAGES
    assert f"more than {MAX_PAGES} pages" in gap
    assert time.monotonic() - began < 30


def test_a_page_older_than_the_window_ends_the_listing() -> None:
    """The newest come first, and a server may not know `created_after`."""
    old = prediction(id="old", created_at="2026-11-21T10:59:59Z")
    rows, gap, asked = gather(endless(old))
    assert (rows, gap, asked) == (["old"], "", 1)


def test_an_old_row_among_new_ones_ends_nothing() -> None:
    """Nor does one whose date can't be read: a page must be old as a whole."""
    old = prediction(id="old", created_at="2026-11-21T10:59:59Z")
    mixed = page(old, prediction(id="new"), following="/v1/predictions?cursor=1")
    dateless = page(prediction(id="x", created_at="?"), old, following="/v1/predictions?cursor=2")
    unreadable = page({"id": "../"}, old, following="/v1/predictions?cursor=3")
    rows, gap, asked = gather(mixed, dateless, unreadable, page(prediction(id="last")))
    assert rows == ["old", "new", "x", "old", "old", "last"]
    assert "1 rows that can't be read" in gap
    assert asked == 4


CURSORS = {
    "no url": "http://[broken",
    "a word": "elsewhere",
    "a script": "javascript:alert(1)",
    "a file": "file:///etc/passwd",
    "no path": "http://127.0.0.1:1",
    "a line end": "/v1/predictions?cursor=1\r\nx: y",
    "nul": "/v1/predictions?cursor=\x00",
    "a surrogate": "/v1/predictions?cursor=\ud800",
    "a blank": "/v1/predictions?cursor= 1",
    "a long one": "/v1/predictions?cursor=" + "1" * 10_000,
}


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS.keys())
def test_a_cursor_that_is_no_address_leaves_the_listing_incomplete(cursor: str) -> None:
    """The rows before it are there; no exception of a library comes through."""
    rows, gap, asked = gather(page(prediction(id="a"), following=cursor))
    assert (rows, asked) == (["a"], 1)
    assert "next page has no address" in gap


UNREADABLE = ([7], [None], [{}], [{"id": ""}], [{"id": "a" * 65}], [{"id": "\x00"}], [["a"]])


@pytest.mark.parametrize("rows", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_row_that_cannot_be_read_hides_no_other(rows: list[object]) -> None:
    """The others of its page, and of the pages after it, are listed; it is counted."""
    first = page(prediction(id="a"), *rows, prediction(id="b"), following="/v1/predictions?c=1")
    found, gap, _ = gather(first, page(prediction(id="c")))
    assert found == ["a", "b", "c"]
    assert "1 rows that can't be read" in gap


def test_a_page_over_the_bounds_leaves_the_listing_incomplete() -> None:
    """Asked again it would be as large: whoever waits for the listing is told so."""
    wide = b'{"results": [' + b"[]," * 600_000 + b'[]], "next": null}'
    found, gap, _ = gather(
        page(prediction(id="a"), following="/v1/predictions?c=1"), reply(200, wide)
    )
    assert found == ["a"]
    assert "500,000 values" in gap
    long = json.dumps({"results": ["a" * (33 * 1024 * 1024)]}).encode()
    assert "33,554,432 bytes" in gather(reply(200, long))[1]


def test_a_listing_of_slow_pages_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is for all pages together, and each page has what the others left."""
    monkeypatch.setattr("asset_pipeline.providers.listing.MAX_SECONDS", 0.5)

    async def never(writer: asyncio.StreamWriter) -> None:
        del writer
        await asyncio.sleep(60)

    began = time.monotonic()
    first = page(prediction(id="a"), following="/v1/predictions?c=1")
    found, gap, _ = gather(first, never)
    assert found == ["a"]
    assert "did not end within" in gap
    assert time.monotonic() - began < SOON


def test_the_listing_itself_raises() -> None:
    """Who does not ask for the rows with their gap can't take them for complete."""

    async def run() -> None:
        async with serving(page({"id": None})) as server:
            replicate = provider(server.url)
            try:
                with pytest.raises(IncompleteListingError):
                    _ = [row async for row in replicate.list_since(SINCE)]
            finally:
                await replicate.aclose()

    asyncio.run(run())
