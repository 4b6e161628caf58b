"""Time for several sessions in one event loop: it jumps to the next sleeper when nobody is busy."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from asset_pipeline_tests.support.clocks import NOON

T = TypeVar("T")

# Turns of the loop after which everybody who is not asleep has gone as far as they can.
_TURNS = 25


class SimulatedClock:
    """Sleepers wake in the order of their times, at exactly their times."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """Return the time."""
        return NOON + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Return the seconds since the clock was made."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time go by, with nobody waking up meanwhile."""
        self._seconds += seconds

    async def sleep(self, seconds: float) -> None:
        """Sleep until :meth:`run` has come to that time."""
        waking = asyncio.get_running_loop().create_future()
        due = self._seconds + max(0.0, seconds)
        heapq.heappush(self._asleep, (due, next(self._numbers), waking))
        await waking

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end in an event loop of its own, time passing as it sleeps."""

        async def drive() -> T:
            task = asyncio.ensure_future(work)
            idle = 0
            while True:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                if task.done():
                    return task.result()
                idle = 0 if self._asleep else idle + 1
                assert idle < _TURNS, "everybody waits for something that is no sleep"
                if idle:
                    continue  # a long queue moves on by one a turn
                due, _, waking = heapq.heappop(self._asleep)
                self._seconds = max(self._seconds, due)
                if not waking.done():
                    waking.set_result(None)

        return asyncio.run(drive())


class AtOnce:
    """Runs what it is given in the caller's thread, before it returns."""

    async def run(self, step: Callable[[], T], /) -> T:
        """Run it, and let others go on before its end is told, as a thread does."""
        result = step()
        await asyncio.sleep(0)
        return result
