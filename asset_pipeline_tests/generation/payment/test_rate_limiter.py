"""Pacing creates, with time that stands still unless somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from asset_pipeline.generation.payment.rate_limiter import RateLimiter
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.rate_limit import Rate, RateLimitRepository
from asset_pipeline.ledger.schema import rate_limits
from asset_pipeline.providers.protocol import Allowance
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.ratelimit import RateLimit, Traffic
from asset_pipeline.sandbox.state import MICROSECONDS, State
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.simulated_clock import AtOnce, SimulatedClock

AT_LIMIT = 600


class Site:
    """A ledger whose rate several sessions share, and simulated time."""

    def __init__(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(delete(rate_limits))
        self.clock = SimulatedClock()
        self.book = RateLimitRepository(engine, self.clock)

    def limiter(self, per_minute: int) -> RateLimiter:
        """Return the limiter of one more session."""
        return RateLimiter(per_minute, self.clock, self.book, AtOnce())

    def rate(self) -> Rate:
        """Return the rate as it stands."""
        rate = self.book.get()
        assert rate is not None
        return rate

    def send(self, limiter: RateLimiter, idle: list[float]) -> list[float]:
        """Idle so long before each create; return when each went out."""

        async def run() -> list[float]:
            sent: list[float] = []
            for seconds in idle:
                self.clock.advance(seconds)
                await limiter.acquire()
                sent.append(self.clock.monotonic())
            return sent

        return self.clock.run(run())

    def crowd(self, limiters: list[RateLimiter], until: float, each: Callable[[int], None]) -> None:
        """Let twenty clips of each session create over and over; tell who sent."""

        async def clip(number: int, limiter: RateLimiter) -> None:
            while True:
                await limiter.acquire()
                if self.clock.monotonic() >= until:
                    return
                each(number)

        async def run() -> None:
            clips = [clip(n, limiter) for n, limiter in enumerate(limiters) for _ in range(20)]
            await asyncio.gather(*clips)

        self.clock.run(run())


@pytest.fixture
def engine(new_sqlite: NewLedger) -> Engine:
    """A ledger."""
    return open_engine(new_sqlite())


@pytest.fixture
def site(engine: Engine) -> Site:
    """A ledger and a clock."""
    return Site(engine)


class _Sandbox(State):
    """The sandbox's state, at simulated time."""

    def __init__(self, folder: Path, clock: SimulatedClock) -> None:
        super().__init__(folder)
        self._clock = clock

    def now_us(self) -> int:
        return round(self._clock.now().timestamp() * MICROSECONDS)


def test_no_limit_is_no_wait_and_no_ledger(site: Site) -> None:
    """Zero creates a minute means that we set no limit, and the ledger is never written."""
    assert site.send(site.limiter(0), [0.0] * 1000) == [0.0] * 1000
    assert site.book.get() is None


def test_creates_go_out_at_just_under_the_rate(site: Site) -> None:
    """600 a minute is one each tenth of a second, two in a hundred being left as headroom."""
    sent = site.send(site.limiter(AT_LIMIT), [0.0] * 101)
    assert sent[-1] == pytest.approx(10.2, abs=0.01)
    assert all(later - sooner < 0.11 for sooner, later in pairwise(sent))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    per_minute=st.sampled_from([1, 6, 60, 600, 3000]),
    idle=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_minute_sees_more_than_the_rate_and_a_burst(
    engine: Engine, per_minute: int, idle: list[float]
) -> None:
    """However creates come in, a window of a minute never holds more than the rate and one."""
    site = Site(engine)
    sent = site.send(site.limiter(per_minute), idle)
    for first in range(len(sent)):
        within = [at for at in sent[first:] if at < sent[first] + 60]
        assert len(within) <= per_minute + 1


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_limit_is_used_fairly_and_never_refused(
    site: Site, tmp_path: Path, processes: int
) -> None:
    """At 600 a minute the sandbox grants 95% of it at least, refuses none, and serves all alike."""
    door = RateLimit(_Sandbox(tmp_path, site.clock), SandboxOptions(creates_per_minute=AT_LIMIT))
    sent = [0] * processes
    refused: list[float] = []

    def create(process: int) -> None:
        sent[process] += 1
        if not door.take(Traffic.CREATES, "POST").allowed:
            refused.append(site.clock.monotonic())

    site.crowd([site.limiter(AT_LIMIT) for _ in range(processes)], 150, create)
    assert refused == []
    assert sum(sent) >= 0.95 * AT_LIMIT * 150 / 60
    assert max(sent) - min(sent) <= 5


def test_the_ledger_is_written_once_for_several_creates(site: Site) -> None:
    """At 600 a minute a lease is five slots: a fifth of a transaction a clip."""
    leases: list[int] = []
    lease = site.book.lease

    def counted(count: int, per_minute: int) -> object:
        leases.append(count)
        return lease(count, per_minute)

    site.book.lease = counted  # type: ignore[assignment, method-assign]
    sent: list[int] = []
    site.crowd([site.limiter(AT_LIMIT)], 30, sent.append)
    assert len(leases) <= len(sent) / 5 + 20
    assert max(leases) == 5


def test_a_429_holds_everybody_and_slows_them_down_for_a_while(site: Site) -> None:
    """After a 429 nothing is sent before its time, then slower, and in a minute as before."""
    one, two = site.limiter(AT_LIMIT), site.limiter(AT_LIMIT)
    sent: list[float] = []
    site.crowd([one, two], 5, lambda _: None)
    site.clock.run(one.throttled(5))
    site.clock.run(two.throttled(5))  # both creates were on their way
    assert site.rate().throttles == 1
    began = site.clock.monotonic()
    later = [site.limiter(AT_LIMIT), site.limiter(AT_LIMIT)]
    site.crowd(later, began + 75, lambda _: sent.append(site.clock.monotonic() - began))
    assert min(sent) >= 5
    first, last = ([at for at in sent if a <= at < a + 10] for a in (5, 65))
    assert 60 <= len(first) <= 80
    assert len(last) >= 95
    assert site.rate().share > 0.99


def test_one_session_s_pause_reaches_those_that_hold_slots(site: Site) -> None:
    """A session that leased slots far ahead asks for news before it uses them."""
    one, two = site.limiter(6), site.limiter(6)

    async def run() -> float:
        await one.acquire()
        late = asyncio.ensure_future(two.acquire())  # its slot is ten seconds away
        await site.clock.sleep(1)
        await one.throttled(60)
        await late
        return site.clock.monotonic()

    assert site.clock.run(run()) >= 61


def test_without_a_limit_of_our_own_a_429_is_obeyed_too(site: Site) -> None:
    """Zero means no limit of ours; what the provider asks for still counts."""
    limiter = site.limiter(0)
    site.clock.run(limiter.throttled(5))
    assert site.send(limiter, [0.0]) == pytest.approx([5.0])


def test_a_shorter_pause_does_not_cut_a_longer_one(site: Site) -> None:
    """Two clips are told to wait: the longer wait counts."""
    limiter = site.limiter(AT_LIMIT)
    site.clock.run(limiter.throttled(10))
    site.clock.run(limiter.throttled(1))
    assert site.send(limiter, [0.0]) == pytest.approx([10.0])


def test_a_pause_holds_for_who_waits_for_a_turn_already(site: Site) -> None:
    """A 429 that comes in while another create waits for its turn stops that one as well."""
    limiter = site.limiter(6)

    async def run() -> float:
        await limiter.acquire()
        waiting = asyncio.ensure_future(limiter.acquire())
        await site.clock.sleep(0.1)  # it sleeps for its turn now
        await limiter.throttled(60)
        await waiting
        return site.clock.monotonic()

    assert site.clock.run(run()) >= 60


def test_the_rate_never_falls_below_what_the_poorest_account_has(site: Site) -> None:
    """However often it is throttled, some creates still go out."""
    limiter = site.limiter(AT_LIMIT)
    for _ in range(40):
        site.clock.run(limiter.throttled(1))
        site.clock.advance(3)
    assert 0.01 <= site.rate().share < 0.1


def test_a_limit_that_is_used_up_is_not_run_into(site: Site, tmp_path: Path) -> None:
    """An account of six creates a minute: its headers pace two sessions without one refusal."""
    door = RateLimit(_Sandbox(tmp_path, site.clock), SandboxOptions(creates_per_minute=6))
    allowed: list[bool] = []

    async def clip(limiter: RateLimiter) -> None:
        for _ in range(6):
            await limiter.acquire()
            granted = door.take(Traffic.CREATES, "POST")
            allowed.append(granted.allowed)
            await limiter.heed(Allowance(granted.remaining, float(granted.reset)))

    async def run() -> None:
        await clip(site.limiter(AT_LIMIT))
        await clip(site.limiter(AT_LIMIT))

    site.clock.run(run())
    assert allowed == [True] * 12


def test_plenty_left_changes_nothing(site: Site) -> None:
    """Headers that say that there is room are no reason to wait or to write."""
    limiter = site.limiter(AT_LIMIT)
    site.clock.run(limiter.heed(Allowance(50, 30)))
    site.clock.run(limiter.heed(None))
    assert site.book.get() is None
    assert site.send(limiter, [0.0]) == [0.0]


def test_a_clock_that_was_set_back_stops_nobody(site: Site) -> None:
    """Slots that lie an hour ahead were leased by a wrong clock."""
    limiter = site.limiter(AT_LIMIT)
    site.send(limiter, [0.0])
    site.clock.advance(3600)
    site.send(site.limiter(AT_LIMIT), [0.0])
    site.clock.advance(-3600)
    assert site.send(site.limiter(AT_LIMIT), [0.0])[0] < 1


def test_everybody_gets_a_turn_and_a_cancelled_one_takes_none(site: Site) -> None:
    """Who gives up while waiting does not keep the others from going."""
    limiter = site.limiter(60)

    async def run() -> int:
        tasks = [asyncio.ensure_future(limiter.acquire()) for _ in range(10)]
        await site.clock.sleep(0.1)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return sum(result is None for result in results)

    assert site.clock.run(run()) == 9
    assert site.clock.monotonic() <= 9
