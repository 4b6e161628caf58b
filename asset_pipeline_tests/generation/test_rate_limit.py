"""Pacing creates, with time that stands still unless somebody waits."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.generation.rate_limit import RateLimiter
from asset_pipeline_tests.clocks import FakeClock


def send(limiter: RateLimiter, clock: FakeClock, idle: list[float]) -> list[float]:
    """Idle so long before each create; return when each went out."""

    async def run() -> list[float]:
        sent: list[float] = []
        for seconds in idle:
            clock.advance(seconds)
            await limiter.acquire()
            sent.append(clock.monotonic())
        return sent

    return asyncio.run(run())


def test_no_limit_is_no_wait(clock: FakeClock) -> None:
    """Zero creates a minute means that we set no limit of our own."""
    assert send(RateLimiter(0, clock), clock, [0.0] * 1000) == [0.0] * 1000
    assert clock.slept == []


def test_creates_go_out_at_the_rate(clock: FakeClock) -> None:
    """600 a minute is one each tenth of a second."""
    sent = send(RateLimiter(600, clock), clock, [0.0] * 101)
    assert sent[-1] == pytest.approx(10.0)
    assert all(0.09 < later - sooner < 0.11 for sooner, later in pairwise(sent))


@given(
    per_minute=st.sampled_from([1, 6, 60, 600, 3000]),
    idle=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_minute_sees_more_than_the_rate_and_a_burst(per_minute: int, idle: list[float]) -> None:
    """However creates come in, a window of a minute never holds more than the rate and one."""
    clock = FakeClock()
    sent = send(RateLimiter(per_minute, clock), clock, idle)
    for first in range(len(sent)):
        within = [at for at in sent[first:] if at < sent[first] + 60]
        assert len(within) <= per_minute + 1


def test_a_pause_holds_everybody(clock: FakeClock) -> None:
    """After a 429 nothing is sent before the provider's time is up."""
    limiter = RateLimiter(600, clock)
    limiter.pause(5)
    assert send(limiter, clock, [0.0, 0.0]) == pytest.approx([5.0, 5.1])
    limiter = RateLimiter(0, clock)
    limiter.pause(5)
    assert send(limiter, clock, [0.0]) == pytest.approx([10.1])


def test_a_shorter_pause_does_not_cut_a_longer_one(clock: FakeClock) -> None:
    """Two clips are told to wait: the longer wait counts."""
    limiter = RateLimiter(600, clock)
    limiter.pause(10)
    limiter.pause(1)
    assert send(limiter, clock, [0.0]) == pytest.approx([10.0])


def test_a_pause_holds_for_who_waits_for_a_turn_already(clock: FakeClock) -> None:
    """A 429 that comes in while another create waits for its turn stops that one as well."""
    limiter = RateLimiter(6, clock)

    async def run() -> float:
        await limiter.acquire()
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)  # it sleeps for its turn now
        limiter.pause(60)
        await waiting
        return clock.monotonic()

    assert asyncio.run(run()) >= 60


def test_everybody_gets_a_turn_and_a_cancelled_one_takes_none(clock: FakeClock) -> None:
    """Who gives up while waiting does not keep the others from going."""
    limiter = RateLimiter(60, clock)

    async def run() -> int:
        tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return sum(result is None for result in results)

    assert asyncio.run(run()) == 9
    assert clock.monotonic() <= 9
