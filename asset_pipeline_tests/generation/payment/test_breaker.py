"""The models' breakers as a session meets them, and a whole batch through an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlalchemy import event

from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, HeldBackFailure
from asset_pipeline.generation.payment.breaker import BreakerGuard, Breakers
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.breakers import BreakerRepository
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.schema import BreakerState
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import SCHNELL, SPEECH, SPOKEN
from asset_pipeline_tests.support.simulated_clock import AtOnce, SimulatedClock
from asset_pipeline_tests.support.stage import Stage

RULES = BreakerRules(failure_threshold=3, open_seconds=10, max_open_seconds=40, probe_seconds=30)
T = TypeVar("T")


class Sessions:
    """A ledger that several sessions share, at simulated time."""

    def __init__(self, new_ledger: NewLedger) -> None:
        self.engine = open_engine(new_ledger())
        self.clock = SimulatedClock()
        self.book = BreakerRepository(self.engine, self.clock)

    def open(self, owner: str = "w1") -> Breakers:
        """Open one more session."""
        return Breakers(self.book, lambda: RULES, self.clock, AtOnce(), owner)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work at simulated time."""
        return self.clock.run(work)


@pytest.fixture
def sessions(new_sqlite: NewLedger) -> Sessions:
    """A ledger and a clock."""
    return Sessions(new_sqlite)


def failure(found: ErrorClass) -> GenerationFailure:
    """A failure of a class."""
    return GenerationFailure(found, "what the provider said")


async def fail(breakers: Breakers, times: int, found: ErrorClass, model: str = SCHNELL) -> None:
    """Send so often, and be refused each time."""
    for _ in range(times):
        async with BreakerGuard(breakers, model) as trial:
            await trial.admit()
            await trial.refused(failure(found))


@pytest.mark.parametrize("found", ErrorClass)
def test_only_the_provider_s_health_opens_it(sessions: Sessions, found: ErrorClass) -> None:
    """No content, no credit, no input and no limit of the account ever counts."""
    breakers = sessions.open()

    async def run() -> None:
        with_health = {ErrorClass.SERVER_ERROR, ErrorClass.NETWORK, ErrorClass.TIMEOUT}
        if found in with_health:
            await fail(breakers, 3, found)
            assert breakers.is_open(SCHNELL)
            with pytest.raises(HeldBackFailure, match="what the provider said"):
                await fail(breakers, 1, found)
        else:
            await fail(breakers, 30, found)
            for _ in range(30):
                async with BreakerGuard(breakers, SCHNELL) as trial:
                    await trial.admit()
                    await trial.accepted()
                    await trial.ended(failure(found))
            assert breakers.is_closed(SCHNELL)
        assert not breakers.is_open(SPEECH)

    sessions.run(run())


def test_a_closed_breaker_costs_no_transaction(sessions: Sessions) -> None:
    """A thousand clips in a minute: a read a second, and not one write."""
    statements: list[str] = []
    event.listen(sessions.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    breakers = sessions.open()

    async def run() -> None:
        for _ in range(1000):
            async with BreakerGuard(breakers, SCHNELL) as trial:
                await trial.admit()
                await trial.confirm()
                await trial.accepted()
                await trial.ended(None)
            await sessions.clock.sleep(0.06)

    sessions.run(run())
    assert {words.split()[0] for words in statements} == {"BEGIN", "SELECT"}
    assert sum(words.startswith("SELECT") for words in statements) <= 61


def test_another_session_learns_of_it_within_a_second(sessions: Sessions) -> None:
    """What one process found out keeps the others from sending."""
    one, two = sessions.open("w1"), sessions.open("w2")

    async def run() -> None:
        await two.refresh()
        await fail(one, 3, ErrorClass.SERVER_ERROR)
        await sessions.clock.sleep(1)
        with pytest.raises(HeldBackFailure) as held_back:
            await fail(two, 1, ErrorClass.SERVER_ERROR)
        assert held_back.value.retry_after == pytest.approx(9)

    sessions.run(run())


def test_a_permit_from_before_is_no_leave_to_send(sessions: Sessions) -> None:
    """A clip that waited for its slot while the breaker opened is held back after all."""
    breakers = sessions.open()

    async def run() -> None:
        async with BreakerGuard(breakers, SCHNELL) as trial:
            await trial.admit()
            await fail(breakers, 3, ErrorClass.NETWORK)
            with pytest.raises(HeldBackFailure):
                await trial.confirm()

    sessions.run(run())


def test_one_probe_of_two_sessions_closes_it_for_both(sessions: Sessions) -> None:
    """Forty clips of two sessions come at once when time is up: one goes out."""
    one, two = sessions.open("w1"), sessions.open("w2")
    sent: list[int] = []

    async def clip(breakers: Breakers) -> None:
        while True:
            try:
                async with BreakerGuard(breakers, SCHNELL) as trial:
                    await trial.admit()
                    sent.append(round(sessions.clock.monotonic()))
                    await sessions.clock.sleep(5)
                    await trial.accepted()
                    await trial.ended(None)
                    return
            except HeldBackFailure as held_back:
                await sessions.clock.sleep(held_back.retry_after or 0)

    async def run() -> None:
        await fail(one, 3, ErrorClass.SERVER_ERROR)
        await asyncio.gather(*(clip(breakers) for breakers in [one, two] * 20))

    sessions.run(run())
    assert sent[0] == 10
    assert sent[1] >= 15
    assert len(sent) == 40


def test_a_slow_probe_keeps_its_claim_and_a_cancelled_one_gives_it_back(sessions: Sessions) -> None:
    """A prediction of two minutes is still the only one; one that is stopped blocks nobody."""
    one, two = sessions.open("w1"), sessions.open("w2")

    async def probe(seconds: float) -> None:
        async with BreakerGuard(one, SCHNELL) as trial:
            await trial.admit()
            await sessions.clock.sleep(seconds)

    async def run() -> None:
        await fail(one, 3, ErrorClass.SERVER_ERROR)
        await sessions.clock.sleep(10)
        probing = asyncio.ensure_future(probe(1000))
        await sessions.clock.sleep(120)
        with pytest.raises(HeldBackFailure):
            await fail(two, 1, ErrorClass.SERVER_ERROR)
        probing.cancel()
        await asyncio.wait([probing])
        await sessions.clock.sleep(1)
        async with BreakerGuard(two, SCHNELL) as trial:
            await trial.admit()
            assert sessions.book.all()[SCHNELL].probe_owner == "w2"

    sessions.run(run())


def test_waiting_has_an_end(sessions: Sessions) -> None:
    """After ten minutes without a success what waits fails, with the cause that holds it back."""
    breakers = sessions.open()

    async def run() -> None:
        await fail(breakers, 3, ErrorClass.TIMEOUT)
        while True:
            try:
                await fail(breakers, 1, ErrorClass.TIMEOUT)
            except HeldBackFailure as held_back:
                await sessions.clock.sleep(held_back.retry_after or 0)

    with pytest.raises(GenerationFailure, match="has not worked since") as caught:
        sessions.run(run())
    assert not isinstance(caught.value, HeldBackFailure)
    assert caught.value.error_class is ErrorClass.TIMEOUT
    assert sessions.clock.monotonic() >= 600


def test_a_batch_goes_through_an_outage(site: Site, name: str) -> None:
    """Refused in mid-batch, it sends no more than its allowance, waits, probes once, and finishes.

    The other model, which is well, goes on meanwhile.
    """
    site.fault({"fault": "outage", "match": {"model": SCHNELL, "nth": 6}, "params": {"seconds": 3}})
    rules = BreakerRules(failure_threshold=3, open_seconds=1, max_open_seconds=1)
    stage = Stage(site, plan={"breaker_rules": lambda: rules}, max_in_flight=4)
    prompts = [replace(workload.picture(f"{name}-{number}"), model=SCHNELL) for number in range(20)]
    outcomes = stage.run(*prompts)
    assert [key for key, outcome in outcomes.items() if not outcome.done] == []
    assert len(outcomes) == 20
    # Those that were sent and lost: three that opened it, what was on the wire then, the probes.
    lost = stage.intents(lambda intent: intent.state.value == "refused" and bool(intent.lost_at))
    assert 3 <= len(lost) <= 3 + 4 + 4
    (breaker,) = BreakerRepository(stage.ledger().engine, stage.clock).all().values()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.last_error_class == "server_error"


def test_other_models_of_a_batch_go_on(site: Site, name: str) -> None:
    """One model fails all the time and fills the batch; the other one's clips land all the same."""
    site.fault({"fault": "error_5xx_before", "match": {"model": SCHNELL}})
    rules = BreakerRules(
        failure_threshold=2, open_seconds=3600, max_open_seconds=3600, give_up_seconds=8
    )
    stage = Stage(site, plan={"breaker_rules": lambda: rules}, max_in_flight=4)
    broken = [replace(workload.picture(f"{name}-{number}"), model=SCHNELL) for number in range(12)]
    spoken = [replace(SPOKEN, prompt_id=f"{name}-s{n}", text=f"{name} {n}") for n in range(3)]
    outcomes = stage.run(*broken, *spoken)
    done = {key for key, outcome in outcomes.items() if outcome.done}
    assert done == {prompt.prompt_id for prompt in spoken}
    sent = stage.intents(lambda intent: intent.model == SCHNELL and bool(intent.submitted_at))
    assert len(sent) <= 2 + 4
