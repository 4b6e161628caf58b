"""Clocks for tests: one that stands until it is told, and one that never makes anybody wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class FakeClock:
    """Time that only moves when somebody sleeps or says so; sleeping takes no real time."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start = start
        self._seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the time."""
        return self._start + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Return the seconds since the clock was made."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self._seconds += seconds

    async def sleep(self, seconds: float) -> None:
        """Jump ahead, and let the others have their turn."""
        self.slept.append(seconds)
        self._seconds += max(0.0, seconds)
        await asyncio.sleep(0)
