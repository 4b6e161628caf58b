"""A provider that does not answer: what asks it then, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import cast

import pytest

from asset_pipeline.generation.payment.poller import PredictionPoller
from asset_pipeline.generation.reconciliation.reconciler import Lister
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import Provider, UnavailableError
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.generation_samples import prediction
from asset_pipeline_tests.support.simulated_clock import SimulatedClock


class Silent:
    """A provider whose listing fails until a time, and then shows one prediction."""

    def __init__(self, clock: SimulatedClock, until: float = float("inf")) -> None:
        self._clock = clock
        self._until = until
        self.asked = 0

    async def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        del since
        self.asked += 1
        await self._clock.sleep(0.1)
        if self._clock.monotonic() < self._until:
            raise UnavailableError("HTTP 503", status=503)
        yield prediction(id="p1")


def watch_of(provider: Silent, clock: SimulatedClock) -> PredictionPoller:
    """A watch over a provider."""
    return PredictionPoller(cast("Provider", provider), clock, Timeouts())


def test_sixty_predictions_knock_as_one_while_nobody_answers() -> None:
    """In thirty seconds of silence the listing is asked for some times, no prediction by itself."""
    clock = SimulatedClock()
    provider = Silent(clock)

    async def run() -> list[Prediction | None]:
        watch = watch_of(provider, clock)
        waiting = [watch.until_ended(f"p{number}", NOON, 5.0) for number in range(60)]
        try:
            return await asyncio.gather(*waiting)
        finally:
            await watch.aclose()

    assert clock.run(run()) == [None] * 60
    assert 25 <= clock.monotonic() <= 35
    assert provider.asked <= 10


def test_the_end_of_the_silence_is_found_out_soon() -> None:
    """Five seconds after the provider is back at the latest, those that ended are told."""
    clock = SimulatedClock()
    provider = Silent(clock, until=20)

    async def run() -> Prediction | None:
        watch = watch_of(provider, clock)
        try:
            return await watch.until_ended("p1", NOON, 5.0)
        finally:
            await watch.aclose()

    found = clock.run(run())
    assert found is not None
    assert clock.monotonic() <= 26


def test_one_failure_to_list_is_shared_by_all_who_waited_for_it() -> None:
    """Sixty lost replies ask a provider that is down once, not sixty times."""
    clock = SimulatedClock()
    provider = Silent(clock)

    async def run() -> list[object]:
        lister = Lister(cast("Provider", provider), clock)
        asking = [lister.since(NOON) for _ in range(60)]
        return list(await asyncio.gather(*asking, return_exceptions=True))

    outcomes = clock.run(run())
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
    assert provider.asked == 1


def test_a_later_question_is_asked_anew() -> None:
    """Who asks after a failure has come gets a listing of their own."""
    clock = SimulatedClock()
    provider = Silent(clock, until=1)

    async def run() -> int:
        lister = Lister(cast("Provider", provider), clock)
        with pytest.raises(UnavailableError, match="503"):
            await lister.since(NOON)
        await clock.sleep(1)
        return len((await lister.since(NOON)).predictions)

    assert clock.run(run()) == 1


class Answering:
    """A provider that answers, and whose one prediction ends at a time."""

    def __init__(self, clock: SimulatedClock, ends_at: float) -> None:
        self._clock = clock
        self._ends_at = ends_at
        self.asked = 0

    async def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        del since
        self.asked += 1
        done = self._clock.monotonic() >= self._ends_at
        yield prediction(id="p1", status="succeeded" if done else "processing")


@pytest.mark.parametrize(("seconds", "late", "looks"), [(2.0, 0.15, 21), (60.0, 1.1, 110)])
def test_the_end_of_a_prediction_is_seen_soon_and_for_few_looks(
    seconds: float, late: float, looks: int
) -> None:
    """A place stands empty until somebody looks; a look a second is enough for a long one."""
    clock = SimulatedClock()
    provider = Answering(clock, seconds)

    async def run() -> Prediction | None:
        watch = PredictionPoller(cast("Provider", provider), clock, Timeouts())
        try:
            return await watch.until_ended("p1", NOON, 3600)
        finally:
            await watch.aclose()

    assert clock.run(run()) is not None
    assert seconds <= clock.monotonic() <= seconds + late
    assert provider.asked <= looks
