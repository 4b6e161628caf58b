"""Who is asked, and by which clock: evidence that other steps rest on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from asset_pipeline.origin import Origin
from asset_pipeline.providers.protocol import CreateRequest, RefusedError, UnavailableError
from asset_pipeline_tests.support.provider_samples import prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, Scripted, drop, reply, serving

ACCOUNT = reply(200, {"type": "user", "username": "acme", "name": "Acme"})
CREATE = CreateRequest("black-forest-labs/flux-schnell", None, {"prompt": "x"}, 60)


def origin_of(*script: Answer, times: int = 1) -> tuple[Origin, Scripted]:
    """Ask a scripted server so often who pays."""

    async def run() -> tuple[Origin, Scripted]:
        async with serving(*script) as server:
            replicate = provider(server.url)
            try:
                found = [await replicate.origin() for _ in range(times)]
            finally:
                await replicate.aclose()
            return found[-1], server

    return asyncio.run(run())


def test_the_account_is_asked_for_once() -> None:
    """It is known from then on: a clip costs no request for it."""
    found, server = origin_of(ACCOUNT, times=3)
    assert (found.provider, found.base_url, found.account) == ("replicate", server.url, "acme")
    assert [request.path for request in server.received] == ["/v1/account"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_of_ones_own_needs_no_accounts(status: int) -> None:
    """Its address tells whose work it is."""
    found, server = origin_of(reply(status, {"detail": "no such thing"}))
    assert (found.account, found.base_url) == ("", server.url)


@pytest.mark.parametrize("document", [[], {}, {"username": None}, {"username": 7}, "acme"])
def test_an_account_without_a_name_is_none(document: object) -> None:
    """An odd answer names nobody and breaks nothing."""
    assert origin_of(reply(200, document))[0].account == ""


def test_a_token_that_is_not_accepted_pays_nothing() -> None:
    """It is a clear no, as for a create."""
    with pytest.raises(RefusedError, match="401"):
        origin_of(reply(401, {"title": "Unauthenticated", "status": 401}))


def test_all_who_wait_share_one_failure() -> None:
    """Sixty clips that begin while nobody answers ask once."""

    async def run() -> tuple[list[object], int]:
        async with serving(drop()) as server:
            replicate = provider(server.url)
            try:
                asking = [replicate.origin() for _ in range(60)]
                return list(await asyncio.gather(*asking, return_exceptions=True)), len(
                    server.received
                )
            finally:
                await replicate.aclose()

    failures, asked = asyncio.run(run())
    assert all(isinstance(failure, UnavailableError) for failure in failures)
    assert asked <= 2


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (Origin("replicate", "https://a", "x"), Origin("replicate", "https://b", "x"), True),
        (Origin("replicate", "https://a", "x"), Origin("replicate", "https://a", "y"), False),
        (Origin("replicate", "https://a", "x"), Origin("sandbox", "https://a", "x"), False),
        (Origin("replicate", "https://a", ""), Origin("replicate", "https://a", "x"), True),
        (Origin("replicate", "https://a", ""), Origin("replicate", "https://b", ""), False),
        (Origin(), Origin("replicate", "https://a", "x"), True),
    ],
)
def test_accounts_decide_where_both_are_known(one: Origin, other: Origin, agree: bool) -> None:  # noqa: FBT001 -- of the table
    """The same account may be asked under another address; without names the address decides."""
    assert one.agrees_with(other) is agree
    assert other.agrees_with(one) is agree


def offset_after(*, date: datetime | None, created: datetime | None) -> tuple[float, float]:
    """Create once at a server whose clocks are off, and return what was measured."""
    headers = {} if date is None else {"date": format_datetime(date, usegmt=True)}
    stamp = {"created_at": None if created is None else created.isoformat()}

    async def run() -> tuple[float, float]:
        async with serving(reply(201, prediction(**stamp), headers=headers)) as server:
            replicate = provider(server.url)
            try:
                await replicate.create(CREATE)
                return replicate.clock_offset()
            finally:
                await replicate.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("seconds", [-3600, -90, 90, 3600])
def test_the_clock_is_measured_by_every_answer(seconds: int) -> None:
    """The Date header tells, and the stamp of a fresh prediction, whose clock may be another."""
    now = datetime.now(UTC)
    off = now + timedelta(seconds=seconds)
    for measured in (offset_after(date=off, created=now), offset_after(date=now, created=off)):
        behind, ahead = measured
        assert behind <= 0 <= ahead
        assert (behind if seconds < 0 else ahead) == pytest.approx(seconds, abs=5)


def test_a_date_that_is_none_measures_nothing() -> None:
    """Without a header and a stamp the clocks count as equal, and the skew has to do."""
    assert offset_after(date=None, created=None) == (0.0, 0.0)
