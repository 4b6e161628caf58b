"""What the provider says of its limit, read from whatever it answers a create with."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asset_pipeline.clock import SystemClock
from asset_pipeline.providers.logged import LoggedProvider
from asset_pipeline.providers.protocol import Allowance, ProviderError
from asset_pipeline_tests.support.provider_samples import SCHNELL, prediction, provider
from asset_pipeline_tests.support.scripted_server import Answer, drop, reply, serving

SAID = {"ratelimit-remaining": "3", "ratelimit-reset": "7"}


def heard(*answers: Answer) -> Allowance | None:
    """Create once for each answer; return what is known of the limit then."""

    async def ask() -> Allowance | None:
        async with serving(*answers) as server:
            made = LoggedProvider(provider(server.url), SystemClock())
            try:
                for _ in answers:
                    with contextlib.suppress(ProviderError):
                        await made.create(SCHNELL)
                return made.allowance()
            finally:
                await made.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, prediction(), headers=SAID),
        reply(429, {"retry_after": 5}, headers=SAID),
        reply(503, b"busy", headers=SAID),
    ],
    ids=["accepted", "throttled", "down"],
)
def test_every_answer_to_a_create_tells_what_is_left(answer: Answer) -> None:
    """Accepted, refused or unclear: the two headers are read from each."""
    assert heard(answer) == Allowance(3, 7.0)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit-remaining": "many", "ratelimit-reset": "7"},
        {"ratelimit-remaining": "3"},
        {"ratelimit-remaining": "3", "ratelimit-reset": "-1"},
        {"ratelimit-remaining": "3", "ratelimit-reset": "inf"},
    ],
)
def test_what_is_not_said_is_not_guessed(headers: dict[str, str]) -> None:
    """Headers that are missing or no numbers say nothing."""
    assert heard(reply(201, prediction(), headers=headers)) is None


def test_old_news_do_not_outlive_a_lost_reply() -> None:
    """After a create without an answer nothing is known."""
    assert heard(reply(201, prediction(), headers=SAID), drop()) is None
