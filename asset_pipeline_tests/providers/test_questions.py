"""Get, cancel and list: asking is free, but a listing proves absence, so it is strict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import pytest

from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import NotFoundError, UnavailableError
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.provider_samples import (
    IMPATIENT,
    SOON,
    TOKEN,
    prediction,
    provider,
)
from asset_pipeline_tests.support.scripted_server import (
    Answer,
    Scripted,
    close,
    drip,
    drop,
    hang,
    reply,
    serving,
)

T = TypeVar("T")
SINCE = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)


def asking(
    question: Callable[[ReplicateProvider], Awaitable[T]], *script: Answer
) -> tuple[T, Scripted]:
    """Ask a scripted server; return the answer and what was on the wire."""

    async def run() -> tuple[T, Scripted]:
        async with serving(*script) as server:
            replicate = provider(server.url)
            try:
                return await question(replicate), server
            finally:
                await replicate.aclose()

    return asyncio.run(run())


async def get(replicate: ReplicateProvider) -> Prediction:
    """Ask for p1."""
    return await replicate.get("p1")


async def listed(replicate: ReplicateProvider) -> list[str]:
    """List everything since :data:`SINCE`, as ids."""
    return [row.prediction_id async for row in replicate.list_since(SINCE)]


def page(*rows: object, following: object = None) -> Answer:
    """One page of a listing."""
    return reply(200, {"next": following, "previous": None, "results": list(rows)})


def test_get_reads_what_matters() -> None:
    """Metrics, times, output and error come through."""
    made, server = asking(
        get,
        reply(
            200,
            prediction(
                status="succeeded",
                output=["https://x/out-0.webp"],
                metrics={"predict_time": 1.5, "image_output_count": 1, "odd": "x", "flag": True},
                started_at="2026-11-21T12:00:01Z",
                completed_at="2026-11-21T13:00:02.5+01:00",
            ),
        ),
    )
    assert made.status is PredictionStatus.SUCCEEDED
    assert made.metrics == {"predict_time": 1.5, "image_output_count": 1.0}
    assert made.completed_at == datetime(2026, 11, 21, 12, 0, 2, 500_000, tzinfo=UTC)
    assert made.output == ["https://x/out-0.webp"]
    assert made.web_url == "https://replicate.com/p/p1"
    assert server.received[0].path == "/v1/predictions/p1"


def test_an_unknown_status_is_not_finished_and_keeps_its_word() -> None:
    """A status that Replicate invents tomorrow is not taken for an end."""
    made, _ = asking(get, reply(200, prediction(status="dreaming")))
    assert made.status is PredictionStatus.UNRECOGNISED
    assert not made.status.is_terminal
    assert made.raw_status == "dreaming"


def test_a_missing_prediction_is_not_found() -> None:
    """404 is an answer of its own."""
    with pytest.raises(NotFoundError):
        asking(get, reply(404, {"detail": "not found"}))


NO_ANSWER = {
    "reset": drop(),
    "closed": close(),
    "hang": hang(),
    "drip": drip(0.02),
    "500": reply(500, {}),
    "503": reply(503, {}),
    "504": reply(504, b"<html>"),
    "401": reply(401, {"detail": "no"}),
    "list-shaped error": reply(422, [1]),
    "broken": reply(200, b"{"),
    "no prediction": reply(200, {"status": "succeeded"}),
    "too deep": reply(200, b"[" * 100_000),
    "redirect": reply(302, b"", headers={"location": "/elsewhere"}),
}


def test_a_server_without_a_listing_is_unavailable() -> None:
    """A 404 for the listing is no statement about any prediction."""
    with pytest.raises(UnavailableError):
        asking(listed, reply(404, {"detail": "not found"}))


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER.keys())
@pytest.mark.parametrize("question", [get, listed], ids=["get", "list"])
def test_no_answer_is_unavailable_soon_and_not_repeated_within(
    question: Callable[[ReplicateProvider], Awaitable[object]], answer: Answer
) -> None:
    """Whatever goes wrong is UnavailableError within our own time: the caller asks again."""
    started = time.monotonic()

    async def run() -> int:
        async with serving(answer) as server:
            replicate = provider(server.url, request_seconds=IMPATIENT)
            with pytest.raises(UnavailableError):
                await question(replicate)
            await replicate.aclose()
            return len(server.received)

    # The library asks once more by itself, at once, where a connection broke.
    assert asyncio.run(run()) <= 2
    assert time.monotonic() - started < SOON


def test_a_long_retry_after_is_handed_on_and_not_slept() -> None:
    """The client sleeps as long as a 429 tells it, uncapped; here the caller decides."""
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        asking(get, reply(429, {}, headers={"retry-after": "9999"}))
    assert caught.value.retry_after == 9999
    assert time.monotonic() - started < SOON


def test_cancel_is_one_post() -> None:
    """A cancel goes to the prediction's own route, once."""
    made, server = asking(lambda p: p.cancel("p1"), reply(200, prediction(status="canceled")))
    assert made.status is PredictionStatus.CANCELED
    assert [(r.method, r.path) for r in server.received] == [("POST", "/v1/predictions/p1/cancel")]


def test_a_lost_cancel_is_unavailable_and_sent_once() -> None:
    """A cancel without an answer is not repeated by the transport."""

    async def run() -> int:
        async with serving(drop()) as server:
            replicate = provider(server.url)
            with pytest.raises(UnavailableError):
                await replicate.cancel("p1")
            await replicate.aclose()
            return server.posts()

    assert asyncio.run(run()) == 1


def test_the_listing_asks_from_a_time_in_utc() -> None:
    """`created_after` is sent in UTC whatever the zone it was given in."""
    zoned = SINCE.astimezone(timezone(timedelta(hours=5)))

    async def question(replicate: ReplicateProvider) -> None:
        async for _ in replicate.list_since(zoned):
            pass

    _, server = asking(question, page())
    assert server.received[0].path == (
        "/v1/predictions?created_after=2026-11-21T11%3A00%3A00%2B00%3A00"
    )


def test_the_listing_follows_cursors_on_the_apis_own_host_only() -> None:
    """A cursor that names another host is followed by its path alone: the token stays home."""
    rows, server = asking(
        listed,
        page(prediction(id="a"), following="http://attacker.invalid//steal/x?cursor=1"),
        page(prediction(id="b"), following="//attacker.invalid/y?cursor=2"),
        page(prediction(id="c")),
    )
    assert rows == ["a", "b", "c"]
    assert [request.path for request in server.received[1:]] == ["/x?cursor=1", "/y?cursor=2"]
    assert all(r.headers["authorization"] == f"Bearer {TOKEN}" for r in server.received)


def test_odd_rows_do_not_break_a_listing() -> None:
    """The client's parser fails the whole page for one such row; ours lists them all."""
    odd = [
        prediction(id="a", status="aborted"),
        prediction(id="b", version=None),
        {"id": "c"},
        prediction(id="d", created_at="yesterday", metrics=[1], urls=None, input="text"),
        prediction(id="e", error={"code": 1}, status=None, output={"x": [1]}),
        prediction(id="f", created_at="0001-01-01T00:00:00+14:00", metrics={"x": 10**400}),
    ]
    assert asking(listed, page(*odd))[0] == ["a", "b", "c", "d", "e", "f"]


NO_PAGE = {
    "an empty object": {},
    "null results": {"results": None, "next": None},
    "results of another type": {"results": {"id": "a"}},
    "results a string": {"results": "abc"},
    "results a number": {"results": 7},
    "a list": [],
    "null": None,
    "an odd cursor": {"results": [], "next": 7},
    "a row without an id": {"results": [{"status": "succeeded"}], "next": None},
    "a row with an absurd id": {"results": [prediction(id="../" * 100)], "next": None},
    "a row that is no object": {"results": [7], "next": None},
}


@pytest.mark.parametrize("document", NO_PAGE.values(), ids=NO_PAGE.keys())
def test_what_is_no_page_is_never_an_empty_listing(document: object) -> None:
    """An empty listing proves that a create was not accepted, so nothing else may pass for one."""
    with pytest.raises(UnavailableError):
        asking(listed, reply(200, document))


def test_a_listing_that_breaks_off_is_not_complete() -> None:
    """A second page that fails makes the whole listing prove nothing."""
    with pytest.raises(UnavailableError):
        asking(listed, page(prediction(), following="/v1/predictions?cursor=2"), reply(503, {}))


def test_a_listing_that_goes_round_in_a_circle_ends() -> None:
    """A cursor that leads back to a page already seen ends the listing as not complete."""
    with pytest.raises(UnavailableError):
        asking(listed, page(prediction(), following="/v1/predictions?cursor=1"))
