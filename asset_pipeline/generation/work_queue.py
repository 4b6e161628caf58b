"""The work queue of a batch: new clips, and those whose wait is over.

A clip that has to wait gives its place to others and comes back, as long as others are under way.
When nothing is left but waiting it is not waited here: Dagster retries the step after the wait.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from typing import Generic, TypeVar

from asset_pipeline.clock import Clock

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """A delay queue for concurrent workers of one event loop.

    Whoever took a piece says :meth:`done` or :meth:`again` before it takes the next.

    Args:
        new: Work that nobody has begun; drawn one by one.
        clock: For the waits.
    """

    def __init__(self, new: Iterator[T], clock: Clock) -> None:
        self._new = new
        self._clock = clock
        self._under_way = 0
        self._kept = 0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, T, bool]] = []
        self._news = asyncio.Event()

    async def next(self) -> T | None:
        """Return a piece of work; None if the rest only waits."""
        while True:
            if self._waiting and self._waiting[0][0] <= self._clock.monotonic():
                _, _, piece, here = heapq.heappop(self._waiting)
                self._kept -= here
                return self._begin(piece)
            piece = next(self._new, None)
            if piece is not None:
                return self._begin(piece)
            if not self._waiting or not (self._under_way or self._kept):
                return None
            await self._wait(self._waiting[0][0] - self._clock.monotonic())

    def done(self) -> None:
        """Say that a piece has come to its end."""
        self._under_way -= 1
        self._tell()

    def again(self, piece: T, seconds: float, *, here: bool) -> None:
        """Say that a piece has to wait before it goes on.

        Args:
            piece: What was taken.
            seconds: For how long.
            here: Whether it is waited for even when nothing else is under way.
        """
        self._under_way -= 1
        self._kept += here
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._waiting, (due, next(self._order), piece, here))
        self._tell()

    def left(self) -> list[tuple[T, float]]:
        """Return what still waits, each with its seconds, after the workers have ended."""
        now = self._clock.monotonic()
        return [(piece, max(0.0, due - now)) for due, _, piece, _ in sorted(self._waiting)]

    def _begin(self, piece: T) -> T:
        self._under_way += 1
        return piece

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        """Wait for so long, or until a piece has ended."""
        news = asyncio.ensure_future(self._news.wait())
        patience = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({news, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            patience.cancel()
